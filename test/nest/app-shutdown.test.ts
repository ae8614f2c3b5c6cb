/** @matrix postgres-18, nest-11 */

import { JobAbortedError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import { some } from './support/matchers.js';
import { waitForAbort } from './support/wait-for-abort.js';

describe.each(sharedKinds)('an application that closes on $label', (kind) => {
  const apps = useApps(kind);

  it('claims no more jobs and waits for running handlers', async () => {
    const end = signal();
    // Nest calls this after every onModuleDestroy.
    const hasStoppedClaiming = signal();
    const app = await apps.start({
      options: { concurrency: 2, pollInterval: 10 },
      handlers: { work: () => end.promise },
      providers: [{ provide: 'SHUTDOWN_HOOK', useValue: { beforeApplicationShutdown: hasStoppedClaiming.resolve } }],
    });
    const running = await app.jobs.enqueueMany([1, 2].map((payload) => ({ topic: 'work', payload })));
    const waiting = await app.jobs.enqueueMany([3, 4].map((payload) => ({ topic: 'work', payload })));
    await app.event('started', running[1]!.id);
    const closing = app.close();
    await hasStoppedClaiming.promise;
    end.resolve();
    await closing;
    const other = await apps.start({ options: { role: 'producer' } });
    for (const { id } of running) {
      expect(await other.job(id)).toMatchObject({ status: 'completed', attempt: 1 });
    }
    for (const { id } of waiting) {
      expect(await other.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
    }
    expect(app.eventsOf('released')).toEqual([]);
  });

  it('ends with a line in the log, except in a producer', async () => {
    await (await apps.start({ handlers: { work: () => null } })).close();
    expect(apps.log.lines.at(-1)!.text).toBe('stopped Jobs');
    await (await apps.start({ options: { role: 'producer' } })).close();
    expect(apps.log.of('log', 'stopped')).toHaveLength(1);
  });

  it('renews the leases of the handlers it waits for', async () => {
    const end = signal();
    const app = await apps.start({ options: { lease: 300 }, handlers: { work: () => end.promise.then(() => 'done') } });
    const other = await apps.start({ options: { lease: 300 }, handlers: { work: () => 'elsewhere' } });
    await other.jobs.stop();
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const closing = app.close();
    const { lockedUntil } = await other.job(id);
    const threeLeasesLater = lockedUntil!.getTime() + 900;
    await until(async () => (await other.job(id)).lockedUntil!.getTime() > threeLeasesLater);
    end.resolve();
    await closing;
    expect(await other.job(id)).toMatchObject({ status: 'completed', result: 'done', attempt: 1, retries: 0 });
  });

  it('aborts and releases running jobs after shutdownTimeout without charging a retry', async () => {
    let reason: unknown;
    const app = await apps.start({
      options: { shutdownTimeout: 50 },
      handlers: {
        work: (job) => {
          job.signal.addEventListener('abort', () => (reason = job.signal.reason as unknown));
          return waitForAbort(job);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.close();
    expect(reason).toBeInstanceOf(JobAbortedError);
    expect((reason as JobAbortedError).reason).toBe('shutdown');
    const released = { type: 'released', id, topic: 'work', attempt: 1, durationMs: some(Number), runAt: some(Date) };
    expect(app.eventsOf('released', id)).toEqual([released]);
    expect(apps.log.of('log', 'waiting up to 50 ms')).toHaveLength(1);
    expect(apps.log.of('warn', 'shutdownTimeout (50 ms)')).toHaveLength(1);

    const other = await apps.start({ handlers: { work: () => 'finished elsewhere' } });
    expect(await other.jobAfter('completed', id)).toMatchObject({
      status: 'completed',
      result: 'finished elsewhere',
      attempt: 2,
      retries: 0,
      lastError: null,
    });
  });

  it('releases the job of a handler that ignores its signal and does not wait for it', async () => {
    const end = signal();
    const app = await apps.start({ options: { shutdownTimeout: 0 }, handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.close();
    const other = await apps.start({ options: { role: 'producer' } });
    expect(await other.job(id)).toMatchObject({ status: 'pending', attempt: 1, retries: 0, lockedBy: null });
    expect(apps.log.of('warn', `has not returned 100 ms after its shutdown (job ${id}`)).toHaveLength(1);
    end.resolve();
  });

  it('waits briefly for a handler whose attempt has already ended', async () => {
    const end = signal();
    let queries = 0;
    const app = await apps.start({
      options: { timeout: 30, backoff: { type: 'fixed', delay: '1d' } },
      handlers: {
        work: async () => {
          await end.promise;
          while (queries < 20) {
            await app.dataSource.query('SELECT 1');
            queries += 1;
          }
        },
      },
      providers: [{ provide: 'SHUTDOWN_HOOK', useValue: { beforeApplicationShutdown: end.resolve } }],
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('retrying', id);
    await app.close();
    expect(queries).toBe(20);
  });

  it('stores the result of a handler that returns after the abort', async () => {
    const app = await apps.start({
      options: { shutdownTimeout: 20 },
      handlers: { work: (job) => waitForAbort(job).catch(() => 'finished in time') },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.close();
    const other = await apps.start({ options: { role: 'producer' } });
    expect(await other.job(id)).toMatchObject({ status: 'completed', result: 'finished in time', attempt: 1 });
  });

  it('lets running handlers enqueue and query, because connections close last', async () => {
    const end = signal();
    const app = await apps.start({
      handlers: {
        work: async () => {
          await end.promise;
          const next = await app.jobs.enqueue('next', null);
          await app.dataSource.query('SELECT 1');
          return next.id;
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const closing = app.close();
    end.resolve();
    await closing;
    const other = await apps.start({ options: { role: 'producer' } });
    const { result } = await other.job(id);
    expect(await other.job(result as string)).toMatchObject({ topic: 'next', status: 'pending' });
  });
});
