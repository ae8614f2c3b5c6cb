/** @matrix postgres-18 */

import type { JobContext } from 'nestjs-jobs';
import { JobAbortedError, JobsEngine, JobStateError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import { some } from './support/matchers.js';

describe.each(everyKind)('cancel on $label', (kind) => {
  const apps = useApps(kind);

  it('ends a pending job at once, so that it never runs', async () => {
    const app = await apps.start({ handlers: { work: () => 'ran' } });
    const job = await app.jobs.enqueue('work', null, { delay: '1h' });
    const cancelled = await app.jobs.cancel(job.id);
    expect(cancelled).toMatchObject({ id: job.id, status: 'cancelled', finished: some(Date), attempt: 0 });
    expect(app.eventsOf('cancelled', job.id)).toEqual([
      { type: 'cancelled', id: job.id, topic: 'work', attempt: 0, durationMs: null },
    ]);
    // A job with a later due time has run, so the cancelled one was skipped.
    await app.rows.update({ id: job.id }, { runAt: new Date(Date.now() - 60_000) });
    const later = await app.jobs.enqueue('work', null);
    await app.event('completed', later.id);
    expect(await app.job(job.id)).toMatchObject({ status: 'cancelled', attempt: 0, result: null });
  });

  it('deletes pending jobs at once if retention.cancelled is 0, one by one and in bulk', async () => {
    const app = await apps.start({ options: { retention: { cancelled: 0 } } });
    const jobs = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload, delay: '1h' })));
    const [first, ...others] = jobs.map(({ id }) => id);
    expect(await app.jobs.cancel(first!)).toMatchObject({ id: first, status: 'cancelled' });
    expect(await app.jobs.get(first!)).toBeNull();
    expect(await app.module.get(JobsEngine).bulk.run({ action: 'cancel', ids: others })).toMatchObject({ changed: 2 });
    expect((await app.jobs.list()).items).toEqual([]);
  });

  it('aborts the signal in a copy of the job, which has no manager', async () => {
    let members: string[] = [];
    const app = await apps.start({
      handlers: {
        work: (job) => {
          const copy = { ...job };
          members = Object.keys(copy);
          return waitForAbort(copy);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.jobs.cancel(id);
    await app.event('cancelled', id);
    expect(members).toEqual(expect.arrayContaining(['id', 'payload', 'signal', 'progress', 'completeTx']));
    expect(members).not.toContain('manager');
  });

  it.each<[string, (job: JobContext) => JobContext]>([
    ['an object made from it', (job) => Object.create(job) as JobContext],
    ['a proxy of it', (job) => new Proxy(job, {})],
    [
      'a copy of its properties',
      (job) => Object.defineProperties({}, Object.getOwnPropertyDescriptors(job)) as JobContext,
    ],
  ])('aborts the signal of %s', async (_what, made) => {
    const app = await apps.start({ handlers: { work: (job) => waitForAbort(made(job)) } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.jobs.cancel(id);
    await app.event('cancelled', id);
    expect(await app.job(id)).toMatchObject({ status: 'cancelled', attempt: 1 });
  });

  it('aborts the signal of a running job, which ends cancelled when its handler throws', async () => {
    let reason: unknown;
    const app = await apps.start({
      // Only the process itself can deliver the cancel: no lease is renewed in the meantime.
      options: { lease: '10m' },
      handlers: {
        work: (job) => {
          job.signal.addEventListener('abort', () => (reason = job.signal.reason as unknown));
          return waitForAbort(job);
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const asked = await app.jobs.cancel(id);
    const { durationMs } = await app.event('cancelled', id);
    expect(asked).toMatchObject({ id, cancelRequested: true });
    expect(durationMs).toBeGreaterThanOrEqual(0);
    expect(reason).toBeInstanceOf(JobAbortedError);
    expect((reason as JobAbortedError).reason).toBe('cancelled');
    expect(await app.job(id)).toMatchObject({ status: 'cancelled', attempt: 1, retries: 0, lockedBy: null });
    expect(app.eventsOf('retrying')).toEqual([]);
  });

  it('ends a job cancelled even if its handler returns a value or throws another error', async () => {
    const end = signal();
    const app = await apps.start({
      handlers: {
        returning: () => end.promise.then(() => 'a result'),
        failing: () => end.promise.then(() => Promise.reject(new Error('something else'))),
      },
    });
    const [returning, failing] = await app.jobs.enqueueMany([
      { topic: 'returning', payload: null },
      { topic: 'failing', payload: null },
    ]);
    for (const { id } of [returning!, failing!]) {
      await app.event('started', id);
      expect(await app.jobs.cancel(id)).toMatchObject({ status: 'processing', cancelRequested: true });
    }
    end.resolve();
    expect(await app.jobAfter('cancelled', returning!.id)).toMatchObject({ status: 'cancelled', attempt: 1 });
    expect(await app.jobAfter('cancelled', failing!.id)).toMatchObject({ status: 'cancelled', retries: 0 });
  });

  it('accepts a second cancel of a running job and rejects the cancel of a finished one', async () => {
    const end = signal();
    const app = await apps.start({ handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.jobs.cancel(id);
    await app.jobs.cancel(id);
    end.resolve();
    await app.event('cancelled', id);
    await expect(app.jobs.cancel(id)).rejects.toThrow(JobStateError);
    await expect(app.jobs.cancel(id)).rejects.toThrow(/it is cancelled/);
    expect(app.eventsOf('cancelled', id)).toHaveLength(1);
  });
});

describe.each(sharedKinds)('cancel from another application on $label', (kind) => {
  const apps = useApps(kind);

  it('aborts the signal of a running handler before its lease is renewed', async () => {
    const worker = await apps.start({
      options: { lease: '10m', pollInterval: '10m' },
      handlers: { work: waitForAbort },
    });
    const producer = await apps.start({ options: { role: 'producer' } });
    const { id } = await producer.jobs.enqueue('work', null);
    await worker.event('started', id);
    expect(await producer.jobs.cancel(id)).toMatchObject({ id, cancelRequested: true });
    expect(await worker.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', attempt: 1 });
  });

  it('aborts the signal at the next renewal if the notification was lost', async () => {
    const worker = await apps.start({ options: { lease: 600 }, handlers: { work: waitForAbort } });
    const { id } = await worker.jobs.enqueue('work', null);
    await worker.event('started', id);
    // Writes what cancel writes, without the notification, on a connection that the queue does not observe.
    await worker.rows.update({ id }, { cancelRequested: true });
    expect(await worker.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled' });
  });

  it('ends a job whose worker lost its lease before it read the cancel', async () => {
    const end = signal();
    const worker = await apps.start({ handlers: { work: () => end.promise } });
    const rescuer = await apps.start({ handlers: {} });
    const { id } = await rescuer.jobs.enqueue('work', null);
    await worker.event('started', id);
    await rescuer.jobs.cancel(id);
    // The first of the two apps that finds the expired lease ends the job.
    await rescuer.rows.update({ id }, { lockedUntil: new Date(Date.now() - 1_000) });
    const job = await until(async () => ((await rescuer.job(id)).status === 'cancelled' ? rescuer.job(id) : undefined));
    expect(job).toMatchObject({ status: 'cancelled', retries: 0 });
    end.resolve();
  });
});
