import { QueueUnavailableError } from '../../lib/core/errors.js';
import type { Outcome } from '../../lib/core/job.js';
import type { Retention } from '../../lib/core/options.js';
import { Settler } from '../../lib/runtime/settler.js';
import { systemClock } from '../../lib/runtime/system-clock.js';
import type { JobStore, Settled } from '../../lib/store/job-store.js';

const GONE: Settled = { applied: false, status: null, attempt: 0, retries: null, runAt: null };
const KEPT: Retention = { completed: false, failed: false, cancelled: false };
const UNKEPT: Retention = { ...KEPT, completed: 0 };
const completed: Outcome = { kind: 'completed', result: null };
const failed: Outcome = { kind: 'failed', failure: { message: 'no luck', stack: null } };
const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined, error: () => undefined };

interface Gone {
  readonly outcome: Outcome;
  readonly retention: Retention;
  readonly isFirstAnswerLost: boolean;
  /** For how long the attempt owns its job. */
  readonly leaseMs: number;
}

/** Settles a job that is gone by now; before that the database may not answer. */
async function settleGone({ outcome, retention, isFirstAnswerLost, leaseMs }: Gone): Promise<unknown> {
  const settle = jest.fn<Promise<Settled[]>, []>().mockResolvedValue([GONE]);
  if (isFirstAnswerLost) {
    settle.mockRejectedValueOnce(new QueueUnavailableError('the database does not answer', { isUncertain: true }));
  }
  const store = { settle } as unknown as JobStore;
  const settler = new Settler({ store, clock: systemClock, logger: quiet, random: () => 0, retention });
  const leaseEndsMs = systemClock.now() + leaseMs;
  const attempt = { claim: { id: 'a', attempt: 1 }, mayBeCompleted: false, leaseEndsMs };
  return new Promise((resolve) => settler.settle(attempt, outcome, 1, resolve));
}

const recorded: Gone = { outcome: completed, retention: UNKEPT, isFirstAnswerLost: true, leaseMs: 60_000 };

describe('an outcome of a job that is gone', () => {
  it('was recorded by the first try, when its answer was lost and completed jobs are not kept', async () => {
    expect(await settleGone(recorded)).toMatchObject({ status: 'completed' });
  });

  it.each<[string, Partial<Gone>]>([
    ['no answer was lost', { isFirstAnswerLost: false }],
    ['completed jobs are kept', { retention: KEPT }],
    ['it is another outcome', { outcome: failed }],
    ['the lease has ended: another attempt may have completed it', { leaseMs: 0 }],
  ])('is lost when %s', async (_title, changes) => {
    expect(await settleGone({ ...recorded, ...changes })).toBe('lease lost');
  });
});
