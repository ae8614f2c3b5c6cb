/**
 * @matrix sqlite
 * @slow
 */

import { isMatrix } from '../support/tier.js';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import type { Effect } from './support/effect.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestDatabases } from './support/queue-database.js';

const MANY_JOBS = isMatrix ? 10_000 : 2_000;
const JOBS_OF_A_HUNDRED = 1_000;
const BATCH = 1_000;
const ENGINES = 20;
const PROCESSES = 5;
const TIMEOUT_MS = 120_000;
/** Each effect is a commit. With `full`, ten thousand of them take longer than that on a slow disk. */
const sqlite = { synchronous: 'normal' } as const;

useBuiltPackage();

describe.each(newestDatabases)('many workers on $name', ({ create }) => {
  let database: QueueDatabase;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  async function enqueueMany(count: number, payload: object): Promise<Set<string>> {
    const ids = new Set<string>();
    for (let from = 0; from < count; from += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, count - from) }, () => ({ topic: 'plain', payload }));
      (await database.engine.enqueueMany(batch)).forEach(({ id }) => ids.add(id));
    }
    return ids;
  }

  async function allCompleted(count: number): Promise<void> {
    const isDone = async (): Promise<boolean> => (await database.engine.stats.get()).completed === count;
    await until(isDone, { timeoutMs: TIMEOUT_MS - 20_000, message: `${count} completed jobs` });
  }

  /** Expects one effect per job of `ids`. A released job may have it in a later attempt. */
  function expectEachOnce(effects: readonly Effect[], ids: ReadonlySet<string>): void {
    expect(effects).toHaveLength(ids.size);
    expect(new Set(effects.map(({ jobId }) => jobId))).toEqual(ids);
  }

  it(
    `in two processes run each of ${MANY_JOBS} jobs once`,
    async () => {
      const workers = await Promise.all(
        [1, 2].map(() => Program.start('worker', { database: database.address, options: { concurrency: 10, sqlite } })),
      );
      const ids = await enqueueMany(MANY_JOBS, {});
      await allCompleted(MANY_JOBS);

      const effects = await database.effects();
      expect(ids.size).toBe(MANY_JOBS);
      expectEachOnce(effects, ids);
      expect(new Set(effects.map(({ worker }) => worker))).toEqual(new Set(workers.map(({ pid }) => `${pid}/1`)));
      expect(workers.map((worker) => worker.events('lease_lost'))).toEqual([[], []]);
    },
    TIMEOUT_MS,
  );

  it(
    '(100 at once) run each of 1,000 jobs once',
    async () => {
      const settings = {
        database: database.address,
        options: { concurrency: 1, connections: 2, sqlite },
        engines: ENGINES,
        poolSize: 1,
      };
      const workers = await Promise.all(Array.from({ length: PROCESSES }, () => Program.start('worker', settings)));
      const ids = await enqueueMany(JOBS_OF_A_HUNDRED, { gated: 1 });
      const countStarted = (): number => workers.reduce((sum, worker) => sum + worker.all('began').length, 0);
      await until(() => countStarted() >= ENGINES * PROCESSES, { message: 'a running job in each of 100 workers' });
      expect(await database.engine.stats.get()).toMatchObject({ processing: 100, pending: 900 });

      workers.forEach((worker) => worker.send('open'));
      await allCompleted(ids.size);
      const effects = await database.effects();
      expectEachOnce(effects, ids);
      expect(new Set(effects.map(({ worker }) => worker)).size).toBe(ENGINES * PROCESSES);
    },
    TIMEOUT_MS,
  );
});
