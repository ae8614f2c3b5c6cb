/** @matrix postgres-18 */

import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Duration, Job } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** Short enough to be renewed while a job waits. After half a second a waiting job is released. */
const SHORT_LEASE_MS = 300;

describe.each(sharedKinds)('jobs claimed ahead of free slots on $label', (kind) => {
  const apps = useApps(kind);

  /** Starts an application with one slot and a history of quick handlers. A `block` job takes the slot until `onBlock` ends. */
  const start = async (
    onBlock: (job: { id: string }) => Promise<unknown> | void = () => undefined,
    { lease = '30s', quick = () => null }: { lease?: Duration; quick?: (job: { id: string }) => unknown } = {},
  ): Promise<TestApp> => {
    const app = await apps.start({
      options: { concurrency: 1, pollInterval: 50, lease },
      handlers: { quick, block: onBlock },
    });
    // 150 jobs outweigh one pause of a busy machine: a handler counts as much as the 20 before it together.
    await app.jobs.enqueueMany(Array.from({ length: 150 }, () => ({ topic: 'quick', payload: null })));
    await app.jobs.whenIdle();
    return app;
  };

  /** Enqueues one job that takes the slot and 20 that are claimed together with it. */
  const enqueue = async (app: TestApp): Promise<Job[]> => {
    const quick = Array.from({ length: 20 }, () => ({ topic: 'quick', payload: null, priority: 1 }));
    return app.jobs.enqueueMany([{ topic: 'block', payload: null, priority: 0 }, ...quick]);
  };

  const findProcessing = (app: TestApp): Promise<Job[]> => app.rows.find({ where: { status: 'processing' } });

  /** Returns a job that waits for the slot. Its lane may be found shortly after the lane of the running job. */
  const findBuffered = async (app: TestApp, blockingId: string): Promise<Job> => {
    const buffered = await until(async () => (await findProcessing(app)).filter(({ id }) => id !== blockingId)[0]);
    return buffered!;
  };

  it('run in the order of their priorities', async () => {
    const held = signal<Job[]>();
    const app = await start(async ({ id }) => {
      await findBuffered(app, id);
      held.resolve(await findProcessing(app));
    });
    const jobs = await enqueue(app);
    expect((await held.promise).length).toBeGreaterThan(1);
    await app.jobs.whenIdle();
    for (const { id } of jobs) {
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0 });
    }
  });

  it('include jobs without retries left', async () => {
    const held = signal<number>();
    const app = await start(async ({ id }) => {
      await findBuffered(app, id);
      held.resolve((await findProcessing(app)).length);
    });
    const quick = Array.from({ length: 40 }, () => ({ topic: 'quick', payload: null, maxRetries: 0, priority: 2 }));
    const jobs = await app.jobs.enqueueMany([{ topic: 'block', payload: null, priority: 1 }, ...quick]);
    expect(await held.promise).toBeGreaterThan(1);
    await app.jobs.whenIdle();
    for (const { id } of jobs) {
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0 });
    }
  });

  it('let the event loop run between handlers that block it', async () => {
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 1);
    apps.afterwards(async () => clearInterval(timer));
    let isHolding = false;
    const seen: number[] = [];
    const hold = (): void => {
      const endMs = performance.now() + (isHolding ? 25 : 0);
      while (performance.now() < endMs);
      seen.push(ticks);
    };
    const app = await start(undefined, { quick: hold });
    isHolding = true;
    seen.length = 0;
    await enqueue(app);
    await app.jobs.whenIdle();
    expect(seen).toHaveLength(20);
    // Two handlers may run in one pass of the event loop.
    expect(new Set(seen).size).toBeGreaterThanOrEqual(10);
  });

  it('are released without a charged retry if no slot becomes free, and another process runs them', async () => {
    const end = signal();
    const app = await start(() => end.promise);
    const [blocking, ...quick] = await enqueue(app);
    await app.event('started', blocking!.id);
    await until(async () => (await findProcessing(app)).length === 1, { message: 'buffered jobs to go back' });
    const other = await apps.start({ options: { pollInterval: 50 }, handlers: { quick: () => 'elsewhere' } });
    for (const { id } of quick) {
      await until(async () => (await app.job(id)).status === 'completed');
      expect(await app.job(id)).toMatchObject({ result: 'elsewhere', retries: 0 });
    }
    expect(other.eventsOf('completed')).toHaveLength(20);
    end.resolve();
    await app.event('completed', blocking!.id);
  });

  it('are kept after the whole process was blocked', async () => {
    const end = signal();
    const app = await start(() => end.promise);
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    await findBuffered(app, blocking!.id);
    const before = await findProcessing(app);
    // Simulates a synchronous driver on a slow disk.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800);
    // Waits for all due timers and the releases they cause. The end of the slow handler would cause releases of its own.
    await sleep(1);
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect((await findProcessing(app)).map(({ id }) => id)).toEqual(expect.arrayContaining(before.map(({ id }) => id)));
    end.resolve();
    await app.jobs.whenIdle();
    expect(app.eventsOf('completed').length).toBe(171);
  });

  it('are cancelled without a run by cancel', async () => {
    const cancelled = signal<string>();
    const app = await start(async ({ id }) => {
      const buffered = await findBuffered(app, id);
      await app.jobs.cancel(buffered.id);
      cancelled.resolve(buffered.id);
    });
    await enqueue(app);
    const id = await cancelled.promise;
    await app.event('cancelled', id);
    expect(await app.job(id)).toMatchObject({ status: 'cancelled', attempt: 1 });
    expect(app.eventsOf('started', id)).toEqual([]);
    expect(app.eventsOf('cancelled', id)).toMatchObject([{ durationMs: null }]);
  });

  it('are cancelled without a run by cancel in another process', async () => {
    const ran = new Set<string>();
    const end = signal();
    const app = await start(() => end.promise, { quick: ({ id }) => void ran.add(id) });
    const other = await apps.start({ options: { role: 'producer' } });
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    const buffered = await findBuffered(app, blocking!.id);
    await other.jobs.cancel(buffered.id);
    await until(async () => (await other.job(buffered.id)).cancelRequested);
    await app.event('cancelled', buffered.id);
    expect(await app.job(buffered.id)).toMatchObject({ status: 'cancelled', attempt: 1, retries: 0 });
    expect(ran.has(buffered.id)).toBe(false);
    end.resolve();
  });

  it('have their leases renewed', async () => {
    const end = signal();
    const app = await start(() => end.promise, { lease: SHORT_LEASE_MS });
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    const buffered = await findBuffered(app, blocking!.id);
    const renewed = await until(async () => {
      const job = await app.job(buffered.id);
      return job.lockedUntil && job.lockedUntil > buffered.lockedUntil! && job;
    });
    expect(renewed).toMatchObject({ status: 'processing', attempt: 1, retries: 0 });
    expect(app.eventsOf('started', buffered.id)).toEqual([]);
    end.resolve();
    await app.event('completed', buffered.id);
    expect(await app.job(buffered.id)).toMatchObject({ retries: 0 });
  });

  it('are neither run nor changed if another process has taken them over', async () => {
    const end = signal();
    const ran: string[] = [];
    const app = await start(() => end.promise, { quick: ({ id }) => void ran.push(id) });
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    const { id } = await findBuffered(app, blocking!.id);
    // The state after a rescue and a claim by the other process.
    await app.rows.update({ id, attempt: 1, status: 'processing' }, { attempt: 2, retries: 1, lockedBy: 'the other' });
    await app.event('lease_lost', id);
    end.resolve();
    await app.event('completed', blocking!.id);
    expect(await app.job(id)).toMatchObject({ status: 'processing', attempt: 2, retries: 1, lockedBy: 'the other' });
    expect(ran).not.toContain(id);
  });

  it('are released at once when the application closes', async () => {
    const end = signal();
    const app = await start(() => end.promise);
    const [blocking, ...quick] = await enqueue(app);
    await app.event('started', blocking!.id);
    const closing = app.close();
    const other = await apps.start({ options: { role: 'producer' } });
    for (const { id } of quick) {
      await until(async () => (await other.job(id)).status === 'pending');
      expect(await other.job(id)).toMatchObject({ retries: 0 });
    }
    end.resolve();
    await closing;
    expect(await other.job(blocking!.id)).toMatchObject({ status: 'completed' });
  });

  it('do not exist while handlers are slow', async () => {
    const running: number[] = [];
    const app = await apps.start({
      options: { concurrency: 2 },
      handlers: {
        slow: async () => {
          await new Promise((resolve) => setTimeout(resolve, 60));
          running.push((await findProcessing(app)).length);
        },
      },
    });
    await app.jobs.enqueueMany(Array.from({ length: 8 }, () => ({ topic: 'slow', payload: null })));
    await app.jobs.whenIdle();
    expect(Math.max(...running)).toBeLessThanOrEqual(2 + 2);
  });

  it('report the run time of their handlers without the wait for a slot', async () => {
    const app = await start();
    await app.jobs.enqueueMany(Array.from({ length: 300 }, () => ({ topic: 'quick', payload: null })));
    await app.jobs.whenIdle();
    expect((await app.jobs.stats()).p50).toBeLessThan(10);
  });
});
