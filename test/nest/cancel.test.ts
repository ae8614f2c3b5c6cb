import type { JobContext } from 'nestjs-jobs';
import { JobAbortedError, JobsEngine, JobStateError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';
import { obey } from './support/obedient-handler.js';
import { some } from './support/matchers.js';

describe.each(everyKind)('cancel on $label', (kind) => {
  const apps = useApps(kind);

  it('ends a waiting job at once: it never runs', async () => {
    const app = await apps.start({ handlers: { work: () => 'ran' } });
    const job = await app.jobs.enqueue('work', null, { delay: 50 });
    const cancelled = await app.jobs.cancel(job.id);
    expect(cancelled).toMatchObject({ id: job.id, status: 'cancelled', finished: some(Date), attempt: 0 });
    expect(app.eventsOf('cancelled', job.id)).toEqual([
      { type: 'cancelled', id: job.id, topic: 'work', attempt: 0, durationMs: null },
    ]);
    // A later job with a later due time has run: the cancelled one was passed over.
    const later = await app.jobs.enqueue('work', null, { delay: 60 });
    await app.event('completed', later.id);
    expect(await app.job(job.id)).toMatchObject({ status: 'cancelled', attempt: 0, result: null });
  });

  it('removes waiting jobs at once where cancelled ones are not kept, one by one and many', async () => {
    const app = await apps.start({ options: { retention: { cancelled: 0 } } });
    const jobs = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload, delay: '1h' })));
    const [first, ...others] = jobs.map(({ id }) => id);
    expect(await app.jobs.cancel(first!)).toMatchObject({ id: first, status: 'cancelled' });
    expect(await app.jobs.get(first!)).toBeNull();
    expect(await app.module.get(JobsEngine).bulk.run({ action: 'cancel', ids: others })).toMatchObject({ changed: 2 });
    expect((await app.jobs.list()).items).toEqual([]);
  });

  it('aborts the signal in a copy of the job as well, which prints without a manager', async () => {
    let members: string[] = [];
    const app = await apps.start({
      handlers: {
        work: (job) => {
          const copy = { ...job };
          members = Object.keys(copy);
          return obey(copy);
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
    const app = await apps.start({ handlers: { work: (job) => obey(made(job)) } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.jobs.cancel(id);
    await app.event('cancelled', id);
    expect(await app.job(id)).toMatchObject({ status: 'cancelled', attempt: 1 });
  });

  it('aborts the signal of a running job, which ends cancelled when its handler throws', async () => {
    let reason: unknown;
    const app = await apps.start({
      // No renewal brings the request: the process that asks knows that the job runs in it.
      options: { lease: '10m' },
      handlers: {
        work: (job) => {
          job.signal.addEventListener('abort', () => (reason = job.signal.reason as unknown));
          return obey(job);
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

  it('ends a job cancelled whose handler returned in spite of the request, or failed for another reason', async () => {
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

  it('may be asked twice of a running job, and is refused for one that has ended', async () => {
    const end = signal();
    const app = await apps.start({ handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.jobs.cancel(id);
    await app.jobs.cancel(id);
    end.resolve();
    await app.event('cancelled', id);
    await expect(app.jobs.cancel(id)).rejects.toThrow(JobStateError);
    await expect(app.jobs.cancel(id)).rejects.toThrow(/expected it to be pending or processing, it is cancelled/);
    expect(app.eventsOf('cancelled', id)).toHaveLength(1);
  });
});

describe.each(sharedKinds)('cancel from another application on $label', (kind) => {
  const apps = useApps(kind);

  it('aborts the signal of the handler long before its lease is renewed', async () => {
    const worker = await apps.start({ options: { lease: '10m', pollInterval: '10m' }, handlers: { work: obey } });
    const desk = await apps.start({ options: { role: 'producer' } });
    const { id } = await desk.jobs.enqueue('work', null);
    await worker.event('started', id);
    expect(await desk.jobs.cancel(id)).toMatchObject({ id, cancelRequested: true });
    expect(await worker.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled', attempt: 1 });
  });

  it('is seen with the next renewal when its notification was lost', async () => {
    const worker = await apps.start({ options: { lease: 600 }, handlers: { work: obey } });
    const { id } = await worker.jobs.enqueue('work', null);
    await worker.event('started', id);
    // As a cancel would write it, without its notification, on a connection whose commits are not noticed.
    await worker.rows.update({ id }, { cancelRequested: true });
    expect(await worker.jobAfter('cancelled', id)).toMatchObject({ status: 'cancelled' });
  });

  it('ends a job that its worker lost before it could obey', async () => {
    const end = signal();
    const worker = await apps.start({ handlers: { work: () => end.promise } });
    const desk = await apps.start({ handlers: {} });
    const { id } = await desk.jobs.enqueue('work', null);
    await worker.event('started', id);
    await desk.jobs.cancel(id);
    // Whichever of the two looks for expired leases first ends it.
    await desk.rows.update({ id }, { lockedUntil: new Date(Date.now() - 1_000) });
    const job = await until(async () => ((await desk.job(id)).status === 'cancelled' ? desk.job(id) : undefined));
    expect(job).toMatchObject({ status: 'cancelled', retries: 0 });
    end.resolve();
  });
});
