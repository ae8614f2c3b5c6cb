import { IdleTimeoutError, InvalidOptionsError } from 'nestjs-jobs';
import { signal } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';

describe.each(everyKind)('whenIdle on $label', (kind) => {
  const apps = useApps(kind);

  it('resolves at once when there is nothing to do', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.jobs.whenIdle();
    await app.jobs.enqueue('work', null, { delay: '1h' });
    await app.jobs.enqueue('nobodys', null);
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ pending: 2, total: 2 });
  });

  it('resolves when every job that is due has ended, those that it led to included', async () => {
    const app = await apps.start({
      options: { concurrency: 2, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        tree: async (job) => {
          if (job.attempt === 1) throw new Error('once more');
          const depth = job.payload as number;
          if (depth > 0) await app.jobs.enqueueMany([1, 2].map(() => ({ topic: 'tree', payload: depth - 1 })));
        },
      },
    });
    // Not awaited: what is on its way counts as well.
    const enqueued = app.jobs.enqueue('tree', 3);
    await app.jobs.whenIdle();
    await enqueued;
    expect(await app.jobs.stats()).toMatchObject({ completed: 15, pending: 0, processing: 0, total: 15 });
    expect(app.eventsOf('completed')).toHaveLength(15);
  });

  it('waits for what is under way when it is asked', async () => {
    const end = signal();
    const app = await apps.start({ handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const order: string[] = [];
    const idle = app.jobs.whenIdle().then(() => order.push('idle'));
    await app.jobs.get(id).then(() => order.push('asked'));
    end.resolve();
    await idle;
    expect(order).toEqual(['asked', 'idle']);
    expect(await app.job(id)).toMatchObject({ status: 'completed' });
  });

  it('rejects with an IdleTimeoutError that names the topics that are not finished', async () => {
    const end = signal();
    const app = await apps.start({ options: { concurrency: 1 }, handlers: { work: () => end.promise } });
    const [first] = await app.jobs.enqueueMany([1, 2].map((payload) => ({ topic: 'work', payload })));
    await app.event('started', first!.id);
    const error: unknown = await app.jobs.whenIdle({ timeout: '40ms' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(IdleTimeoutError);
    expect(error).toMatchObject({
      code: 'IDLE_TIMEOUT',
      message: "not idle within 40 ms: 'work' has 1 running, jobs due but not claimed",
      topics: [{ topic: 'work', running: 1, unrecorded: 0, isDue: true }],
    });
    end.resolve();
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ completed: 2 });
  });

  it.each([0, -1, 'soon', null])('refuses the timeout %p', async (timeout) => {
    const app = await apps.start();
    await expect(app.jobs.whenIdle({ timeout: timeout as never })).rejects.toThrow(InvalidOptionsError);
  });
});

describe.each(sharedKinds)('whenIdle with another application on $label', (kind) => {
  const apps = useApps(kind);

  it('does not wait for what runs elsewhere', async () => {
    const end = signal();
    const worker = await apps.start({ handlers: { work: () => end.promise } });
    const other = await apps.start({ handlers: { other: () => null } });
    const { id } = await worker.jobs.enqueue('work', null);
    await worker.event('started', id);
    await other.jobs.whenIdle();
    expect(await other.job(id)).toMatchObject({ status: 'processing' });
    end.resolve();
    await worker.jobs.whenIdle();
    expect(await other.job(id)).toMatchObject({ status: 'completed' });
  });
});
