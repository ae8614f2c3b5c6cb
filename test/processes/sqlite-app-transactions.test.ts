/** @matrix typeorm-0.3 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Job } from 'nestjs-jobs';
import { QueueUnavailableError } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { createSqliteFile } from '../support/databases.js';
import { hasSqlite3, SQLITE3 } from '../support/typeorm.js';
import type { Signal } from '../support/wait.js';
import { signal, until } from '../support/wait.js';
import type { AppQueue } from './support/app-queue.js';
import { openAppQueue } from './support/app-queue.js';
import { EffectSchema, recordEffect } from './support/effect.js';
import { LoopWatch } from './support/loop-watch.js';
import { computePercentiles } from './support/percentiles.js';

const ROUNDS = 8;
const HOLD_MS = 300;
/**
 * An event loop that waits for the lock would be blocked in every round, for the whole transaction or longer: the
 * application could not even roll back. A busy machine blocks it sometimes, but not in most rounds.
 */
const BLOCKED_MEDIAN_MAX_MS = 200;
const LOCK_TIMEOUT_MS = 1_000;
const FEEDERS = 4;
/** More than Node's thread pool, in which sqlite3 waits. */
const CONCURRENT_CALLS = 20;

const inFile = { name: 'a file', type: 'better-sqlite3' as const, create: createSqliteFile };
const inMemory = {
  ...inFile,
  name: 'memory',
  create: async () => ({ path: ':memory:', remove: async () => undefined }),
};
const files = hasSqlite3 ? [{ ...inFile, name: 'a file with sqlite3', type: SQLITE3 }] : [inFile, inMemory];

class RolledBack extends Error {}

describe.each(files)('SQLite jobs in $name', ({ type, create }) => {
  let queue: AppQueue;
  let removeFile: () => Promise<void>;
  let runs: Map<string, number>;
  let gates: Map<string, Signal<void>>;

  async function open(lockTimeout?: number): Promise<void> {
    const { path, remove } = await create();
    removeFile = remove;
    queue = await openAppQueue({ type, database: path }, { sqlite: { lockTimeout } });
    runs = new Map();
    gates = new Map();
    const count = (id: string): unknown => runs.set(id, (runs.get(id) ?? 0) + 1);
    queue.engine.register('quick', ({ id }) => void count(id));
    queue.engine.register('rolled_back', ({ id }) => void count(id));
    queue.engine.register('gated', async ({ id }) => {
      count(id);
      const gate = signal();
      gates.set(id, gate);
      await gate.promise;
    });
  }

  afterEach(async () => {
    await queue.close();
    await removeFile();
  });

  /**
   * Holds one write transaction open and rolls it back. A running handler ends during it.
   *
   * @returns the longest time that the event loop was blocked, in milliseconds.
   */
  async function holdAndRollBack(gatedId: string, holder: DataSource, atEnd: () => unknown): Promise<number> {
    const { app, engine } = queue;
    const loop = new LoopWatch();
    await until(() => gates.get(gatedId), { message: 'a running handler' });
    const held = holder.transaction(async (manager) => {
      await recordEffect(manager, { jobId: gatedId, attempt: 0, worker: 'the application' });
      if (holder === app) {
        await engine.enqueueTx(manager, 'rolled_back', {});
      }
      gates.get(gatedId)!.resolve();
      await pause(HOLD_MS);
      // The completion has waited during the whole transaction.
      expect((await engine.jobs.get(gatedId))?.status).toBe('processing');
      atEnd();
      throw new RolledBack();
    });
    await expect(held).rejects.toBeInstanceOf(RolledBack);
    await until(async () => (await engine.jobs.get(gatedId))?.status === 'completed', { message: 'the completion' });
    loop.stop();
    return loop.longest;
  }

  /** Repeats such transactions while jobs are enqueued and run. */
  async function expectWaiting(holder: DataSource): Promise<void> {
    const { app, engine } = queue;
    await engine.start();
    const enqueued: Promise<Job>[] = [];
    let stored = 0;
    const feeder = setInterval(() => {
      const storing = engine.enqueue('quick', { n: enqueued.length });
      enqueued.push(storing);
      void storing.then(() => (stored += 1));
    }, 10);
    let waiting = 0;
    const countWaiting = (): unknown => (waiting += enqueued.length - stored);
    const gated: Job[] = [];
    const blockedMs: number[] = [];
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const job = await engine.enqueue('gated', {});
        gated.push(job);
        blockedMs.push(await holdAndRollBack(job.id, holder, countWaiting));
      }
    } finally {
      clearInterval(feeder);
    }
    const jobs = [...(await Promise.all(enqueued)), ...gated];
    await engine.whenIdle();

    expect(waiting).toBeGreaterThan(ROUNDS);
    expect(computePercentiles(blockedMs).p50).toBeLessThan(BLOCKED_MEDIAN_MAX_MS);
    expect(await engine.stats.get()).toMatchObject({ completed: jobs.length, total: jobs.length });
    expect(runs).toEqual(new Map(jobs.map(({ id }) => [id, 1])));
    for (const { id } of jobs) {
      expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0 });
    }
    expect(await app.query('SELECT * FROM effects')).toEqual([]);
  }

  it('wait for write transactions of the application: none runs twice, no outcome rolls back, no enqueue is lost', async () => {
    await open();
    await expectWaiting(queue.app);
  });

  it('enqueue inside a transaction of the application rejects after lockTimeout and names enqueueTx', async () => {
    await open(LOCK_TIMEOUT_MS);
    const { app, engine } = queue;
    await engine.start();
    const loop = new LoopWatch();
    const { error, tookMs, inside } = await app.transaction(async (manager) => {
      await recordEffect(manager, { jobId: 'none', attempt: 0, worker: 'the application' });
      const sinceMs = performance.now();
      const refusal = await engine.enqueue('quick', {}).catch((reason: unknown) => reason);
      return {
        error: refusal,
        tookMs: performance.now() - sinceMs,
        inside: await engine.enqueueTx(manager, 'quick', {}),
      };
    });
    expect(error).toBeInstanceOf(QueueUnavailableError);
    expect((error as Error).message).toContain('enqueueTx');
    expect(tookMs).toBeGreaterThanOrEqual(LOCK_TIMEOUT_MS);
    loop.stop();
    // About 200. A blocked event loop would leave one or two.
    expect(loop.passes).toBeGreaterThan(5);

    await engine.whenIdle();
    expect(runs).toEqual(new Map([[inside.id, 1]]));
    expect((await engine.stats.get()).total).toBe(1);
    expect(await app.query('SELECT job_id FROM effects')).toEqual([{ job_id: 'none' }]);
  });

  /** Enqueues and runs jobs without a pause during `work`. */
  async function whileJobsFlow(work: () => Promise<void>): Promise<void> {
    const { engine } = queue;
    await engine.start();
    let isOver = false;
    const enqueue = async (): Promise<void> => {
      while (!isOver) {
        await engine.enqueue('quick', {});
      }
    };
    const feeders = Array.from({ length: FEEDERS }, enqueue);
    try {
      await work();
    } finally {
      isOver = true;
      await Promise.all(feeders);
    }
    await engine.whenIdle();
    const { completed, total } = await engine.stats.get();
    expect(completed).toBeGreaterThanOrEqual(FEEDERS);
    expect(completed).toBe(total);
  }

  it('do not starve concurrent statements of the application', async () => {
    await open();
    const { app } = queue;
    const record = (): Promise<void> =>
      recordEffect(app.manager, { jobId: 'none', attempt: 0, worker: 'the application' });
    await whileJobsFlow(async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        await Promise.all(Array.from({ length: CONCURRENT_CALLS }, record));
      }
    });
    expect(await app.getRepository(EffectSchema).count()).toBe(ROUNDS * CONCURRENT_CALLS);
  });

  it('do not write between the reads and the writes of a transaction of the application', async () => {
    await open();
    const { app } = queue;
    const transactions = ROUNDS * CONCURRENT_CALLS;
    await whileJobsFlow(async () => {
      for (let nth = 0; nth < transactions; nth += 1) {
        await app.transaction(async (manager) => {
          const count = await manager.count(EffectSchema);
          await recordEffect(manager, { jobId: 'none', attempt: count, worker: 'the application' });
        });
      }
    });
    const effects = await app.getRepository(EffectSchema).find({ order: { id: 'ASC' } });
    expect(effects.map(({ attempt }) => attempt)).toEqual(effects.map((_, index) => index));
    expect(effects).toHaveLength(transactions);
  });

  it('let the event loop run while a backlog drains', async () => {
    await open();
    const { engine } = queue;
    const backlog = 5_000;
    await engine.enqueueMany(Array.from({ length: backlog }, () => ({ topic: 'quick', payload: {} })));
    const loop = new LoopWatch();
    const before = process.cpuUsage();
    await engine.start();
    await engine.whenIdle();
    loop.stop();
    // A busy machine gives this process less CPU time and fewer passes of the event loop.
    const { user, system } = process.cpuUsage(before);
    const workedMs = (user + system) / 1_000;

    expect(runs.size).toBe(backlog);
    // One chain of microtasks would leave no pass at all.
    expect(loop.passes).toBeGreaterThan(workedMs / BLOCKED_MEDIAN_MAX_MS);
  });

  if (create === createSqliteFile) {
    it('wait for write transactions of another connection to the file', async () => {
      await open();
      const otherDataSource = new DataSource({ ...queue.app.options, synchronize: false });
      await otherDataSource.initialize();
      await expectWaiting(otherDataSource);
      await otherDataSource.destroy();
    });
  }
});
