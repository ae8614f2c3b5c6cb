/** @never postgres-18 */

import type { BackoffFunction, BackoffOptions, Duration, Job } from 'nestjs-jobs';
import type { TestApp } from './support/test-app.js';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

/** Returns the delay of each retry of the job, by the database's clock. The last failure has none. */
function readDelays(app: TestApp, job: Job): number[] {
  return app
    .eventsOf('retrying', job.id)
    .map(({ runAt }, index) => runAt.getTime() - new Date(job.errors[index]!.finished).getTime());
}

/** Allows 1 ms: the database rounds both times to whole milliseconds. */
function expectDelays(actual: number[], expected: number[]): void {
  expect(actual.map((ms, index) => (Math.abs(ms - expected[index]!) <= 1 ? expected[index] : ms))).toEqual(expected);
}

function fail(): never {
  throw new Error('always');
}

const backoffs: [string, BackoffOptions, number[]][] = [
  ['fixed: the same delay each time', { type: 'fixed', delay: 20, jitter: 0 }, [20, 20, 20, 20]],
  ['quadratic: n² times the delay', { type: 'quadratic', delay: '10ms', jitter: 0 }, [10, 40, 90, 160]],
  ['exponential: twice the previous delay', { type: 'exponential', delay: 15, jitter: 0 }, [15, 30, 60, 120]],
  [
    'maxDelay: the upper limit of the delay',
    { type: 'quadratic', delay: 10, maxDelay: '50ms', jitter: 0 },
    [10, 40, 50, 50],
  ],
];

describe.each(everyKind)('backoff on $label', (kind) => {
  const apps = useApps(kind);

  const startFailingApp = (parts: AppParts & { backoff?: BackoffOptions }): Promise<TestApp> =>
    apps.start({ options: { maxRetries: 4, backoff: parts.backoff }, handlers: { work: fail }, ...parts });

  it.each(backoffs)('computes the delay of each retry, %s', async (_, backoff, expected) => {
    const app = await startFailingApp({ backoff });
    const { id } = await app.jobs.enqueue('work', null);
    expectDelays(readDelays(app, await app.jobAfter('failed', id)), expected);
    for (const { waitedMs } of app.eventsOf('started', id)) {
      expect(waitedMs).toBeGreaterThanOrEqual(0);
    }
  });

  it('jitter varies each delay at random, up and down', async () => {
    const app = await apps.start({
      options: { concurrency: 40, maxRetries: 1, backoff: { type: 'fixed', delay: '1h', jitter: 0.5 } },
      handlers: { work: fail },
    });
    const jobs = await app.jobs.enqueueMany(Array.from({ length: 40 }, () => ({ topic: 'work', payload: null })));
    const all = await Promise.all(jobs.map(({ id }) => app.jobAfter('retrying', id)));
    const hours = all.map((job) => readDelays(app, job)[0]! / 3_600_000);
    expect(Math.min(...hours)).toBeGreaterThanOrEqual(0.5);
    expect(Math.max(...hours)).toBeLessThanOrEqual(1.5);
    expect(Math.min(...hours)).toBeLessThan(1);
    expect(Math.max(...hours)).toBeGreaterThan(1);
    expect(new Set(hours).size).toBeGreaterThan(20);
  });

  it('calls the backoff function of the handler with the retry number and the error', async () => {
    const asked: [number, unknown][] = [];
    const error = new Error('always');
    const handler = (): never => {
      throw error;
    };
    const backoff: BackoffFunction = (retry, thrown) => {
      asked.push([retry, thrown]);
      return `${retry * 20}ms`;
    };
    const app = await apps.start({ options: { maxRetries: 3 }, handlers: { work: [handler, { backoff }] } });
    const { id } = await app.jobs.enqueue('work', null);
    expectDelays(readDelays(app, await app.jobAfter('failed', id)), [20, 40, 60]);
    expect(asked).toEqual([
      [1, error],
      [2, error],
      [3, error],
    ]);
  });

  it.each([
    ['throws', fail],
    ['returns no duration', () => 'tomorrow' as Duration],
  ])('uses the backoff of the module and warns when the backoff function %s', async (_, backoff) => {
    const app = await apps.start({
      options: { maxRetries: 2, backoff: { type: 'fixed', delay: 30, jitter: 0 } },
      handlers: { work: [fail, { backoff }] },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expectDelays(readDelays(app, await app.jobAfter('failed', id)), [30, 30]);
    expect(apps.log.of('warn', "backoff function of 'work'")).toHaveLength(2);
  });

  it('never starts a retry before its runAt', async () => {
    const app = await startFailingApp({ backoff: { type: 'fixed', delay: 40, jitter: 0 } });
    const { id } = await app.jobs.enqueue('work', null);
    const { errors } = await app.jobAfter('failed', id);
    for (const [index, { finished }] of errors.slice(0, -1).entries()) {
      const next = new Date(errors[index + 1]!.started!).getTime();
      expect(next - new Date(finished).getTime()).toBeGreaterThanOrEqual(39);
    }
  });
});
