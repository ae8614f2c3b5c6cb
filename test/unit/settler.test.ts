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

interface Try {
  readonly outcome: Outcome;
  readonly retention: Retention;
  readonly isFirstAnswerLost: boolean;
  /** For how long the attempt owns its job. */
  readonly leaseMs: number;
  /** What the database says of an outcome that has moved nothing. */
  readonly standing: Settled;
  readonly abortedFor?: string;
}

/** Settles the first attempt of a job; before the database says how that stands it may not answer. */
async function settle({ outcome, retention, isFirstAnswerLost, leaseMs, standing, abortedFor }: Try): Promise<unknown> {
  const answers = jest.fn<Promise<Settled[]>, []>().mockResolvedValue([standing]);
  if (isFirstAnswerLost) {
    answers.mockRejectedValueOnce(new QueueUnavailableError('the database does not answer', { isUncertain: true }));
  }
  const store = { settle: answers } as unknown as JobStore;
  const settler = new Settler({ store, clock: systemClock, logger: quiet, random: () => 0, retention });
  const leaseEndsMs = systemClock.now() + leaseMs;
  const attempt = { claim: { id: 'a', attempt: 1 }, leaseEndsMs, abortedFor };
  return new Promise((resolve) => settler.settle(attempt, outcome, 1, resolve));
}

const recorded: Try = {
  outcome: completed,
  retention: UNKEPT,
  isFirstAnswerLost: true,
  leaseMs: 60_000,
  standing: GONE,
};

describe('an outcome of a job that is gone', () => {
  it('was recorded by the first try, when its answer was lost and completed jobs are not kept', async () => {
    expect(await settle(recorded)).toMatchObject({ status: 'completed' });
  });

  it('was recorded as cancelled, when somebody had asked for that', async () => {
    expect(await settle({ ...recorded, abortedFor: 'cancelled' })).toMatchObject({ status: 'cancelled' });
    expect(await settle({ ...recorded, abortedFor: 'timeout' })).toMatchObject({ status: 'completed' });
  });

  it.each<[string, Partial<Try>]>([
    ['no answer was lost', { isFirstAnswerLost: false }],
    ['completed jobs are kept', { retention: KEPT }],
    ['it is another outcome', { outcome: failed }],
    ['the lease has ended: another attempt may have completed it', { leaseMs: 0 }],
  ])('is lost when %s', async (_title, changes) => {
    expect(await settle({ ...recorded, ...changes })).toBe('lease lost');
  });
});

describe('an outcome of a job that is completed', () => {
  const standing: Settled = { ...GONE, status: 'completed', attempt: 1 };
  const told: Try = { ...recorded, retention: KEPT, isFirstAnswerLost: false, standing };

  it.each<[string, Partial<Try>]>([
    ['the set it was part of was recorded in part, and refused', {}],
    ['the handler has completed it, in a transaction that seemed to fail', { outcome: failed }],
  ])('was recorded when %s', async (_title, changes) => {
    expect(await settle({ ...told, ...changes })).toMatchObject({ status: 'completed' });
  });

  it('is lost when another attempt has completed it', async () => {
    expect(await settle({ ...told, standing: { ...standing, attempt: 2 } })).toBe('lease lost');
  });
});
