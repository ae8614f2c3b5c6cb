/**
 * @matrix nest-11
 * @never postgres-18
 */

import type { JobContext } from 'nestjs-jobs';
import { JobAbortedError, UnrecoverableError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import { some, textLike } from './support/matchers.js';

const nextDay = { type: 'fixed', delay: '1d', jitter: 0 } as const;
const atOnce = { type: 'fixed', delay: 0 } as const;

describe.each(everyKind)('a handler that exceeds its timeout on $label', (kind) => {
  const apps = useApps(kind);

  it('receives an abort, and its attempt fails', async () => {
    const reasons: unknown[] = [];
    const app = await apps.start({
      options: { timeout: 30, backoff: nextDay },
      handlers: {
        work: (job) => {
          job.signal.addEventListener('abort', () => reasons.push(job.signal.reason));
          return waitForAbort(job);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const { durationMs } = await app.event('retrying', id);
    const job = await app.job(id);
    expect(durationMs).toBeGreaterThanOrEqual(29);
    expect(job).toMatchObject({ status: 'pending', attempt: 1, retries: 1 });
    expect(job.lastError).toMatch(/timeout of 30 ms/);
    expect(reasons).toEqual([some(JobAbortedError)]);
    expect((reasons[0] as JobAbortedError).reason).toBe('timeout');
    expect(apps.log.of('warn')).toEqual([]);
  });

  it('fails even if it returns a value after the abort', async () => {
    const app = await apps.start({
      options: { timeout: 30, maxRetries: 0 },
      handlers: { work: (job) => waitForAbort(job).catch(() => 'half of it') },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ status: 'failed', result: null });
    expect(job.lastError).toMatch(/timeout/);
  });

  it('fails without a retry if it throws an UnrecoverableError after the abort', async () => {
    const app = await apps.start({
      options: { timeout: 30 },
      handlers: {
        work: (job) => waitForAbort(job).catch(() => Promise.reject(new UnrecoverableError('too large for 30 ms'))),
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('failed', id)).toMatchObject({ attempt: 1, lastError: 'too large for 30 ms' });
  });

  it('has its outcome written while it ignores the abort, and a warning is logged', async () => {
    const end = signal();
    const app = await apps.start({
      options: { timeout: 30, backoff: nextDay },
      handlers: { work: () => end.promise },
    });
    const { id } = await app.jobs.enqueue('work', null);
    const job = await app.jobAfter('retrying', id);
    expect(job).toMatchObject({ status: 'pending', retries: 1, lockedBy: null });
    expect(apps.log.of('warn')).toEqual([
      textLike(`handler of 'work' has not returned 100 ms after its timeout \\(job ${id}.*will not run the job again`),
    ]);
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
    // With a free slot the job would run now: each enqueue wakes the dispatcher.
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

  it('does not run twice at once: new claims are released until it returns', async () => {
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
    // The due job is claimed repeatedly and released each time without a charged retry.
    await app.event('released', id, 3);
    expect(runs).toEqual([1]);
    expect(app.eventsOf('started', id)).toHaveLength(1);
    // The claims become less frequent while the handler runs.
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

describe.each(sharedKinds)('a handler that ignores its timeout on $label', (kind) => {
  const apps = useApps(kind);

  it('does not prevent another application from running the job', async () => {
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
