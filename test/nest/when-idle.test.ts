/** @matrix postgres-18 */

import type { Job } from 'nestjs-jobs';
import { IdleTimeoutError, InvalidOptionsError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind, postgres, sharedKinds, sqliteFile } from './support/database-kinds.js';
import { textLike } from './support/matchers.js';
import { Receipt } from './support/receipt.js';
import { TcpProxy } from '../support/tcp-proxy.js';

describe.each(everyKind)('whenIdle on $label', (kind) => {
  const apps = useApps(kind);

  it('resolves at once without due jobs', async () => {
    const app = await apps.start({ handlers: { work: () => null } });
    await app.jobs.whenIdle();
    await app.jobs.enqueue('work', null, { delay: '1h' });
    await app.jobs.enqueue('unhandled', null, { delay: '1h' });
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ pending: 2, total: 2 });
  });

  it('resolves when every due job has ended, including the jobs they enqueued', async () => {
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
    // Not awaited: whenIdle waits for pending enqueue calls too.
    const enqueued = app.jobs.enqueue('tree', 3);
    await app.jobs.whenIdle();
    await enqueued;
    expect(await app.jobs.stats()).toMatchObject({ completed: 15, pending: 0, processing: 0, total: 15 });
    expect(app.eventsOf('completed')).toHaveLength(15);
  });

  it('waits for pending calls', async () => {
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

  it('rejects with an IdleTimeoutError that names the unfinished topics', async () => {
    const end = signal();
    const app = await apps.start({ options: { concurrency: 1 }, handlers: { work: () => end.promise } });
    const [first] = await app.jobs.enqueueMany([1, 2].map((payload) => ({ topic: 'work', payload })));
    await app.event('started', first!.id);
    const error: unknown = await app.jobs.whenIdle({ timeout: '40ms' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(IdleTimeoutError);
    expect(error).toMatchObject({
      code: 'IDLE_TIMEOUT',
      message: "not idle within 40 ms: 'work' has 1 running, jobs due but not claimed",
      topics: [{ topic: 'work', running: 1, buffered: 0, unrecorded: 0, isDue: true }],
    });
    end.resolve();
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ completed: 2 });
  });

  it('lists the topics in alphabetical order with the state of each', async () => {
    const end = signal();
    const app = await apps.start({
      options: { concurrency: 3 },
      handlers: { b: () => end.promise, a: [() => end.promise, { concurrency: 1 }] },
    });
    await app.jobs.enqueueMany(['b', 'a', 'b', 'a'].map((topic) => ({ topic, payload: null })));
    await until(() => app.eventsOf('started').length === 3);
    const error: unknown = await app.jobs.whenIdle({ timeout: '40ms' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      message: "not idle within 40 ms: 'a' has 1 running, jobs due but not claimed; 'b' has 2 running",
    });
    end.resolve();
    await app.jobs.whenIdle();
  });

  it('lists jobs that were claimed ahead of a free slot', async () => {
    const [begun, end] = [signal(), signal()];
    const app = await apps.start({
      options: { concurrency: 1 },
      // Only after quick handlers are jobs claimed ahead.
      handlers: { work: (job) => (job.payload === 'slow' ? (begun.resolve(), end.promise) : null) },
    });
    await app.jobs.enqueueMany(Array.from({ length: 50 }, () => ({ topic: 'work', payload: 'quick' })));
    await app.jobs.whenIdle();
    await app.jobs.enqueueMany(['slow', 'quick'].map((payload) => ({ topic: 'work', payload })));
    await begun.promise;
    const error: unknown = await app.jobs.whenIdle({ timeout: '20ms' }).catch((thrown: unknown) => thrown);
    end.resolve();
    expect(error).toMatchObject({ message: textLike(/'work' has 1 running, (1 claimed but without a slot|jobs due)/) });
    await app.jobs.whenIdle();
  });

  it('resolves when the queue stops', async () => {
    const [begun, end] = [signal(), signal()];
    const app = await apps.start({ handlers: { work: () => (begun.resolve(), end.promise) } });
    const { id } = await app.jobs.enqueue('work', null);
    await begun.promise;
    const idle = app.jobs.whenIdle({ timeout: '20s' });
    const stopped = app.jobs.stop();
    end.resolve();
    await Promise.all([idle, stopped]);
    expect(await app.job(id)).toMatchObject({ status: 'completed' });
  });

  it.each([0, -1, 'soon', null])('rejects the timeout %p', async (timeout) => {
    const app = await apps.start();
    await expect(app.jobs.whenIdle({ timeout: timeout as never })).rejects.toThrow(InvalidOptionsError);
  });
});

describe.each(sharedKinds)('whenIdle during an open transaction of the application on $label', (kind) => {
  const apps = useApps(kind);

  it('names the topic of an outcome that waits for the transaction', async () => {
    const [begun, end] = [signal(), signal()];
    const app = await apps.start({
      typeOrm: { entities: [Receipt] },
      handlers: { work: () => (begun.resolve(), end.promise) },
    });
    const [{ id }] = (await app.jobs.enqueueMany([{ topic: 'work', payload: null }])) as [Job];
    await begun.promise;
    await app.dataSource.transaction(async (manager) => {
      await manager.insert(Receipt, { jobId: id, attempt: 1 });
      await manager.query(`UPDATE _jobs SET priority = priority WHERE id = '${id}'`);
      end.resolve();
      const error: unknown = await app.jobs.whenIdle({ timeout: '200ms' }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(IdleTimeoutError);
      expect(error).toMatchObject({
        message: "not idle within 200 ms: 'work' has 1 ended but not recorded",
        topics: [{ topic: 'work', running: 0, buffered: 0, unrecorded: 1, isDue: false }],
      });
    });
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'completed' });
  });
});

describe('whenIdle during a PostgreSQL outage', () => {
  const apps = useApps(postgres);

  it('rejects and says that the database does not respond', async () => {
    const proxy = TcpProxy.before((apps.address as { url: string }).url);
    await proxy.open();
    apps.afterEverything(() => proxy.close());
    const app = await apps.start({ typeOrm: { url: proxy.url }, handlers: { work: () => null } });
    await proxy.close();
    await expect(app.jobs.whenIdle({ timeout: '50ms' })).rejects.toThrow(/the database does not respond/);
    await proxy.open();
    await app.jobs.whenIdle();
  });
});

describe('whenIdle while the lock of a SQLite file is taken', () => {
  const apps = useApps(sqliteFile);

  it('rejects and says that an enqueue is not finished', async () => {
    const app = await apps.start({ typeOrm: { entities: [Receipt] }, handlers: { work: () => null } });
    let enqueued: Promise<Job> | undefined;
    await app.dataSource.transaction(async (manager) => {
      await manager.insert(Receipt, { jobId: 'none', attempt: 1 });
      enqueued = app.jobs.enqueue('work', null);
      await expect(app.jobs.whenIdle({ timeout: '100ms' })).rejects.toThrow(/an enqueue is not finished/);
    });
    expect(await enqueued).toMatchObject({ status: 'pending' });
    await app.jobs.whenIdle();
  });
});

describe.each(sharedKinds)('whenIdle with another application on $label', (kind) => {
  const apps = useApps(kind);

  it('does not wait for jobs that run there', async () => {
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
