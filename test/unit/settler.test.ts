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

/** Settles a job that is gone by now; before that the database may not answer. */
async function settleGone(outcome: Outcome, retention: Retention, isFirstAnswerLost: boolean): Promise<unknown> {
  const settle = jest.fn<Promise<Settled[]>, []>().mockResolvedValue([GONE]);
  if (isFirstAnswerLost) {
    settle.mockRejectedValueOnce(new QueueUnavailableError('the database does not answer', { isUncertain: true }));
  }
  const store = { settle } as unknown as JobStore;
  const settler = new Settler({ store, clock: systemClock, logger: quiet, random: () => 0, retention });
  const attempt = { claim: { id: 'a', attempt: 1 }, mayBeCompleted: false };
  return new Promise((resolve) => settler.settle(attempt, outcome, 1, resolve));
}

describe('an outcome of a job that is gone', () => {
  it('was recorded by the first try, when its answer was lost and completed jobs are not kept', async () => {
    expect(await settleGone(completed, UNKEPT, true)).toMatchObject({ status: 'completed' });
  });

  it.each([
    { title: 'no answer was lost', outcome: completed, retention: UNKEPT, isFirstAnswerLost: false },
    { title: 'completed jobs are kept', outcome: completed, retention: KEPT, isFirstAnswerLost: true },
    { title: 'it is another outcome', outcome: failed, retention: UNKEPT, isFirstAnswerLost: true },
  ])('is lost when $title', async ({ outcome, retention, isFirstAnswerLost }) => {
    expect(await settleGone(outcome, retention, isFirstAnswerLost)).toBe('lease lost');
  });
});
