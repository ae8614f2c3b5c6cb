import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Duration, Job } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** So short that it is renewed while a job waits: what waits for half a second goes back. */
const SHORT_LEASE_MS = 300;

describe.each(sharedKinds)('jobs that are claimed ahead of free slots on $label', (kind) => {
  const apps = useApps(kind);

  /** An application with one slot, whose handlers have been quick so far; `block` takes the slot until the test says so. */
  const start = async (
    begun: (job: { id: string }) => Promise<unknown> | void = () => undefined,
    { lease = '30s', quick = () => null }: { lease?: Duration; quick?: (job: { id: string }) => unknown } = {},
  ): Promise<TestApp> => {
    const app = await apps.start({
      options: { concurrency: 1, pollInterval: 50, lease },
      handlers: { quick, block: begun },
    });
    // So many that one pause of a busy machine is forgotten: a handler counts for as much as the 20 before it.
    await app.jobs.enqueueMany(Array.from({ length: 150 }, () => ({ topic: 'quick', payload: null })));
    await app.jobs.whenIdle();
    return app;
  };

  /** One job that takes the slot, and 20 that are claimed together with it. */
  const enqueue = async (app: TestApp): Promise<Job[]> => {
    const quick = Array.from({ length: 20 }, () => ({ topic: 'quick', payload: null, priority: 1 }));
    return app.jobs.enqueueMany([{ topic: 'block', payload: null, priority: 0 }, ...quick]);
  };

  const processing = (app: TestApp): Promise<Job[]> => app.rows.find({ where: { status: 'processing' } });

  /** A job that waits for the slot. Its lane may be found a moment after the one of the job that has it. */
  const bufferedIn = async (app: TestApp, blockingId: string): Promise<Job> => {
    const buffered = await until(async () => (await processing(app)).filter(({ id }) => id !== blockingId)[0]);
    return buffered!;
  };

  it('wait for a slot in the order of their priorities, and are held meanwhile', async () => {
    const held = signal<Job[]>();
    const app = await start(async ({ id }) => {
      await bufferedIn(app, id);
      held.resolve(await processing(app));
    });
    const jobs = await enqueue(app);
    expect((await held.promise).length).toBeGreaterThan(1);
    await app.jobs.whenIdle();
    for (const { id } of jobs) {
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0 });
    }
  });

  it('are also those whose next failure would be final', async () => {
    const held = signal<number>();
    const app = await start(async ({ id }) => {
      await bufferedIn(app, id);
      held.resolve((await processing(app)).length);
    });
    const quick = Array.from({ length: 40 }, () => ({ topic: 'quick', payload: null, maxRetries: 0, priority: 2 }));
    const jobs = await app.jobs.enqueueMany([{ topic: 'block', payload: null, priority: 1 }, ...quick]);
    expect(await held.promise).toBeGreaterThan(1);
    await app.jobs.whenIdle();
    for (const { id } of jobs) {
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0 });
    }
  });

  it('leave the event loop its turns, though their handlers hold it and wait for nothing', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    apps.afterwards(async () => clearInterval(timer));
    let isHolding = false;
    const seen: number[] = [];
    const hold = (): void => {
      const endMs = performance.now() + (isHolding ? 25 : 0);
      while (performance.now() < endMs);
      seen.push(turns);
    };
    const app = await start(undefined, { quick: hold });
    isHolding = true;
    seen.length = 0;
    await enqueue(app);
    await app.jobs.whenIdle();
    expect(seen).toHaveLength(20);
    // One may begin before and one behind the sockets of a turn.
    expect(new Set(seen).size).toBeGreaterThanOrEqual(10);
  });

  it('go back without a retry charged when their turn does not come, and another process runs them', async () => {
    const end = signal();
    const app = await start(() => end.promise);
    const [blocking, ...quick] = await enqueue(app);
    await app.event('started', blocking!.id);
    await until(async () => (await processing(app)).length === 1, { message: 'buffered jobs to go back' });
    const other = await apps.start({ options: { pollInterval: 50 }, handlers: { quick: () => 'of the other' } });
    for (const { id } of quick) {
      await until(async () => (await app.job(id)).status === 'completed');
      expect(await app.job(id)).toMatchObject({ result: 'of the other', retries: 0 });
    }
    expect(other.eventsOf('completed')).toHaveLength(20);
    end.resolve();
    await app.event('completed', blocking!.id);
  });

  it('keep their turn when the whole process stood still meanwhile', async () => {
    const end = signal();
    const app = await start(() => end.promise);
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    await bufferedIn(app, blocking!.id);
    const before = await processing(app);
    // As a disk that is slow to write holds a driver that is not asynchronous.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800);
    // Behind all timers that are due by now, and what they give back. The end of the slow handler would be a reason of its own.
    await sleep(1);
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect((await processing(app)).map(({ id }) => id)).toEqual(expect.arrayContaining(before.map(({ id }) => id)));
    end.resolve();
    await app.jobs.whenIdle();
    expect(app.eventsOf('completed').length).toBe(171);
  });

  it('are cancelled without being run when somebody asks for it', async () => {
    const cancelled = signal<string>();
    const app = await start(async ({ id }) => {
      const buffered = await bufferedIn(app, id);
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

  it('are cancelled without being run when another process asks for it', async () => {
    const ran = new Set<string>();
    const end = signal();
    const app = await start(() => end.promise, { quick: ({ id }) => void ran.add(id) });
    const other = await apps.start({ options: { role: 'producer' } });
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    const buffered = await bufferedIn(app, blocking!.id);
    await other.jobs.cancel(buffered.id);
    await until(async () => (await other.job(buffered.id)).cancelRequested);
    await app.event('cancelled', buffered.id);
    expect(await app.job(buffered.id)).toMatchObject({ status: 'cancelled', attempt: 1, retries: 0 });
    expect(ran.has(buffered.id)).toBe(false);
    end.resolve();
  });

  it('keep their leases while they wait', async () => {
    const end = signal();
    const app = await start(() => end.promise, { lease: SHORT_LEASE_MS });
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    const buffered = await bufferedIn(app, blocking!.id);
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

  it('are not run here, nor touched, when another process has taken one over while it waited', async () => {
    const end = signal();
    const ran: string[] = [];
    const app = await start(() => end.promise, { quick: ({ id }) => void ran.push(id) });
    const [blocking] = await enqueue(app);
    await app.event('started', blocking!.id);
    const { id } = await bufferedIn(app, blocking!.id);
    // As a rescue and a claim of the other would leave it.
    await app.rows.update({ id, attempt: 1, status: 'processing' }, { attempt: 2, retries: 1, lockedBy: 'the other' });
    await app.event('lease_lost', id);
    end.resolve();
    await app.event('completed', blocking!.id);
    expect(await app.job(id)).toMatchObject({ status: 'processing', attempt: 2, retries: 1, lockedBy: 'the other' });
    expect(ran).not.toContain(id);
  });

  it('are given back at once when the application closes', async () => {
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

  it('are none while handlers are slow', async () => {
    const running: number[] = [];
    const app = await apps.start({
      options: { concurrency: 2 },
      handlers: {
        slow: async () => {
          await new Promise((resolve) => setTimeout(resolve, 60));
          running.push((await processing(app)).length);
        },
      },
    });
    await app.jobs.enqueueMany(Array.from({ length: 8 }, () => ({ topic: 'slow', payload: null })));
    await app.jobs.whenIdle();
    expect(Math.max(...running)).toBeLessThanOrEqual(2 + 2);
  });

  it('say how long their handlers ran, not how long they waited for a slot', async () => {
    const app = await start();
    await app.jobs.enqueueMany(Array.from({ length: 300 }, () => ({ topic: 'quick', payload: null })));
    await app.jobs.whenIdle();
    expect((await app.jobs.stats()).p50).toBeLessThan(10);
  });
});
