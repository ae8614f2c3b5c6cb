import type { BackoffOptions, Job } from 'nestjs-jobs';
import type { TestApp } from './support/test-app.js';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

/** How long each retry of the job had to wait, by the database's clock; the last failure has none. */
function waits(app: TestApp, job: Job): number[] {
  return app
    .eventsOf('retrying', job.id)
    .map(({ runAt }, index) => runAt.getTime() - new Date(job.errors[index]!.finished).getTime());
}

/** The waits as they should be: the database rounds to whole milliseconds, once for each of two times. */
function expectWaits(actual: number[], expected: number[]): void {
  expect(actual.map((ms, index) => (Math.abs(ms - expected[index]!) <= 1 ? expected[index] : ms))).toEqual(expected);
}

function fail(): never {
  throw new Error('always');
}

const backoffs: [string, BackoffOptions, number[]][] = [
  ['fixed: the same each time', { type: 'fixed', delay: 20, jitter: 0 }, [20, 20, 20, 20]],
  ['quadratic: n² times the delay', { type: 'quadratic', delay: '10ms', jitter: 0 }, [10, 40, 90, 160]],
  ['exponential: doubled each time', { type: 'exponential', delay: 15, jitter: 0 }, [15, 30, 60, 120]],
  ['no longer than maxDelay', { type: 'quadratic', delay: 10, maxDelay: '50ms', jitter: 0 }, [10, 40, 50, 50]],
];

describe.each(everyKind)('backoff on $label', (kind) => {
  const apps = useApps(kind);

  const failing = (parts: AppParts & { backoff?: BackoffOptions }): Promise<TestApp> =>
    apps.start({ options: { maxRetries: 4, backoff: parts.backoff }, handlers: { work: fail }, ...parts });

  it.each(backoffs)('waits before a retry, %s', async (_, backoff, expected) => {
    const app = await failing({ backoff });
    const { id } = await app.jobs.enqueue('work', null);
    expectWaits(waits(app, await app.jobAfter('failed', id)), expected);
    for (const { waitedMs } of app.eventsOf('started', id)) {
      expect(waitedMs).toBeGreaterThanOrEqual(0);
    }
  });

  it('moves each wait at random by the share that jitter says, up and down', async () => {
    const app = await apps.start({
      options: { concurrency: 40, maxRetries: 1, backoff: { type: 'fixed', delay: '1h', jitter: 0.5 } },
      handlers: { work: fail },
    });
    const jobs = await app.jobs.enqueueMany(Array.from({ length: 40 }, () => ({ topic: 'work', payload: null })));
    const all = await Promise.all(jobs.map(({ id }) => app.jobAfter('retrying', id)));
    const hours = all.map((job) => waits(app, job)[0]! / 3_600_000);
    expect(Math.min(...hours)).toBeGreaterThanOrEqual(0.5);
    expect(Math.max(...hours)).toBeLessThanOrEqual(1.5);
    expect(Math.min(...hours)).toBeLessThan(1);
    expect(Math.max(...hours)).toBeGreaterThan(1);
    expect(new Set(hours).size).toBeGreaterThan(20);
  });

  it('asks the function of the handler, with the number of the retry and the error', async () => {
    const asked: [number, unknown][] = [];
    const error = new Error('always');
    const handler = (): never => {
      throw error;
    };
    const backoff = (retry: number, thrown: unknown): string => {
      asked.push([retry, thrown]);
      return `${retry * 20}ms`;
    };
    const app = await apps.start({ options: { maxRetries: 3 }, handlers: { work: [handler, { backoff }] } });
    const { id } = await app.jobs.enqueue('work', null);
    expectWaits(waits(app, await app.jobAfter('failed', id)), [20, 40, 60]);
    expect(asked).toEqual([
      [1, error],
      [2, error],
      [3, error],
    ]);
  });

  it.each([
    ['fails', fail],
    ['gives no duration', () => 'tomorrow'],
  ])('falls back to the backoff of the module when the function %s, and warns', async (_, backoff) => {
    const app = await apps.start({
      options: { maxRetries: 2, backoff: { type: 'fixed', delay: 30, jitter: 0 } },
      handlers: { work: [fail, { backoff }] },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expectWaits(waits(app, await app.jobAfter('failed', id)), [30, 30]);
    expect(apps.log.of('warn', "backoff function of 'work'")).toHaveLength(2);
  });

  it('never starts a retry before it is due', async () => {
    const app = await failing({ backoff: { type: 'fixed', delay: 40, jitter: 0 } });
    const { id } = await app.jobs.enqueue('work', null);
    const { errors } = await app.jobAfter('failed', id);
    for (const [index, { finished }] of errors.slice(0, -1).entries()) {
      const next = new Date(errors[index + 1]!.started!).getTime();
      expect(next - new Date(finished).getTime()).toBeGreaterThanOrEqual(39);
    }
  });
});
