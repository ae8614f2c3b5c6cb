import type { JobContext } from 'nestjs-jobs';
import { JobAbortedError, UnrecoverableError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';
import { obey } from './support/obedient-handler.js';
import { some, textLike } from './support/matchers.js';

const nextDay = { type: 'fixed', delay: '1d', jitter: 0 } as const;
const atOnce = { type: 'fixed', delay: 0 } as const;

describe.each(everyKind)('a handler over its time limit on $label', (kind) => {
  const apps = useApps(kind);

  it('is told by its signal, and its attempt fails', async () => {
    const reasons: unknown[] = [];
    const app = await apps.start({
      options: { timeout: 30, backoff: nextDay },
      handlers: {
        work: (job) => {
          job.signal.addEventListener('abort', () => reasons.push(job.signal.reason));
          return obey(job);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const { durationMs } = await app.event('retrying', id);
    const job = await app.job(id);
    expect(durationMs).toBeGreaterThanOrEqual(29);
    expect(job).toMatchObject({ status: 'pending', attempt: 1, retries: 1 });
    expect(job.lastError).toMatch(/longer than its timeout of 30 ms/);
    expect(reasons).toEqual([some(JobAbortedError)]);
    expect((reasons[0] as JobAbortedError).reason).toBe('timeout');
    expect(apps.log.of('warn')).toEqual([]);
  });

  it('has failed even when it returns a value after its signal', async () => {
    const app = await apps.start({
      options: { timeout: 30, maxRetries: 0 },
      handlers: { work: (job) => obey(job).catch(() => 'half of it') },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ status: 'failed', result: null });
    expect(job.lastError).toMatch(/timeout/);
  });

  it('fails for good when it answers its signal with an UnrecoverableError', async () => {
    const app = await apps.start({
      options: { timeout: 30 },
      handlers: { work: (job) => obey(job).catch(() => Promise.reject(new UnrecoverableError('too large for 30 ms'))) },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('failed', id)).toMatchObject({ attempt: 1, lastError: 'too large for 30 ms' });
  });

  it('is settled without it when it ignores its signal; a warning says so', async () => {
    const end = signal();
    const app = await apps.start({
      options: { timeout: 30, backoff: nextDay },
      handlers: { work: () => end.promise },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('retrying', id);
    expect(job).toMatchObject({ status: 'pending', retries: 1, lockedBy: null });
    expect(apps.log.of('warn')).toEqual([textLike(`handler of 'work' ignores its signal.*${id}`)]);
    end.resolve();
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'pending', retries: 1, result: null });
    expect(app.eventsOf('completed', id)).toEqual([]);
  });

  it('keeps its slot until it returns', async () => {
    const end = signal();
    const handled: string[] = [];
    const app = await apps.start({
      options: { concurrency: 1, timeout: 30, pollInterval: 10, backoff: nextDay },
      handlers: {
        stubborn: () => end.promise,
        other: () => void handled.push('other'),
      },
    });
    const stubborn = await app.jobs.enqueue('stubborn', null);
    await app.event('retrying', stubborn.id);
    const other = await app.jobs.enqueue('other', null);
    // With a free slot it would run now: an enqueue wakes the dispatcher, and so does each later one.
    for (let round = 0; round < 10; round += 1) {
      await app.jobs.enqueue('other', round);
    }
    await expect(app.jobs.whenIdle({ timeout: 100 })).rejects.toThrow(/not idle/);
    expect(handled).toEqual([]);
    expect(await app.job(other.id)).toMatchObject({ status: 'pending', attempt: 0 });
    end.resolve();
    await app.event('completed', other.id);
    expect(app.eventsOf('completed', stubborn.id)).toEqual([]);
  });

  it('is not run again beside itself: the job is given back until the handler has returned', async () => {
    const end = signal();
    const runs: number[] = [];
    const app = await apps.start({
      options: { timeout: 30, pollInterval: 10, backoff: atOnce },
      handlers: {
        work: (job: JobContext) => {
          runs.push(job.attempt);
          return runs.length === 1 ? end.promise : 'second time';
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('retrying', id);
    // Due at once, it is claimed again and again, and each time put back without a retry charged.
    const { reason } = await app.event('snoozed', id, 3);
    expect(reason).toBe('release');
    expect(runs).toEqual([1]);
    expect(app.eventsOf('started', id)).toHaveLength(1);
    // The longer the handler goes on, the more seldom.
    await until(async () => {
      const { status, runAt, updated } = await app.job(id);
      return status === 'pending' && runAt.getTime() - updated.getTime() > 30;
    });
    end.resolve();
    const job = await app.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'second time', retries: 1 });
    expect(runs).toEqual([1, job.attempt]);
    expect(job.attempt).toBeGreaterThan(3);
  });
});

describe.each(sharedKinds)('a handler that ignores its time limit on $label', (kind) => {
  const apps = useApps(kind);

  it('does not keep another application from running the job', async () => {
    const end = signal();
    const stubborn = await apps.start({
      options: { timeout: 30, pollInterval: 50, backoff: atOnce },
      handlers: { work: () => end.promise },
    });
    const { id } = await stubborn.jobs.enqueue('work', null);
    await stubborn.event('retrying', id);
    const other = await apps.start({ options: { pollInterval: 10 }, handlers: { work: () => 'elsewhere' } });
    expect(await other.jobAfter('completed', id)).toMatchObject({ status: 'completed', result: 'elsewhere' });
    expect(stubborn.eventsOf('started', id)).toHaveLength(1);
    end.resolve();
    await stubborn.jobs.whenIdle();
    expect(await other.job(id)).toMatchObject({ status: 'completed', result: 'elsewhere' });
  });
});
