/** @matrix all */

import { setTimeout as pause } from 'node:timers/promises';
import { JobsEngine } from 'nestjs-jobs';
import type { DataSource, EntityManager } from 'typeorm';
import { storeKinds, useStore } from '../../support/stores.js';
import { quick } from '../../support/tier.js';

const PAYMENTS = 100;
const CALLERS = 50;

type Work<T> = (manager: EntityManager) => Promise<T>;

/** Runs a transaction with a query runner, as the documentation of TypeORM shows. */
async function withRunner<T>(app: DataSource, work: Work<T>): Promise<T> {
  const runner = app.createQueryRunner();
  await runner.connect();
  await runner.startTransaction();
  try {
    const result = await work(runner.manager);
    await runner.commitTransaction();
    return result;
  } catch (error) {
    await runner.rollbackTransaction();
    throw error;
  } finally {
    await runner.release();
  }
}

const WAYS: [string, <T>(app: DataSource, work: Work<T>) => Promise<T>][] = [
  ['dataSource.transaction', (app, work) => app.transaction(work)],
  ['manager.transaction', (app, work) => app.createEntityManager().transaction(work)],
  ['a query runner', withRunner],
];

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))('transactions that overlap on $label', (kind) => {
  // On a busy machine the last of 50 transactions waits longer than the default of 5 s, and its job would be retried later.
  const fixture = useStore(kind, { sqlite: { synchronous: 'normal', lockTimeout: '30s' } });
  let engine: JobsEngine;

  beforeAll(async () => {
    await fixture.sql('CREATE TABLE payments (id int PRIMARY KEY, times_paid int NOT NULL DEFAULT 0)');
    await fixture.sql('CREATE TABLE orders (id int PRIMARY KEY)');
  });
  beforeEach(async () => {
    await fixture.sql('DELETE FROM payments');
    await fixture.sql('DELETE FROM orders');
  });
  afterEach(() => engine.close());

  describe.each(WAYS)('begun with %s', (_, transact) => {
    async function expectToPayOnce(concurrency: number, waitMs?: number): Promise<void> {
      engine = new JobsEngine({ store: fixture.store, concurrency });
      engine.register('pay', (job) =>
        transact(fixture.app, async (manager) => {
          const { id } = job.payload as { id: number };
          await manager.query(`UPDATE payments SET times_paid = times_paid + 1 WHERE id = ${id}`);
          if (waitMs !== undefined) await pause(waitMs);
          await job.completeTx(manager);
        }),
      );
      const ids = Array.from({ length: PAYMENTS }, (_unused, id) => id);
      await fixture.sql(`INSERT INTO payments (id) VALUES ${ids.map((id) => `(${id})`).join()}`);
      await engine.enqueueMany(ids.map((id) => ({ topic: 'pay', payload: { id } })));
      await engine.start();
      await engine.whenIdle();
      expect(await engine.stats.get()).toMatchObject({ completed: PAYMENTS, total: PAYMENTS });
      const { app } = kind.canHaveTwoConnections ? await fixture.openAnother() : fixture;
      expect(await app.query('SELECT times_paid AS paid, count(*) AS rows FROM payments GROUP BY 1')).toEqual([
        { paid: 1, rows: PAYMENTS },
      ]);
    }

    it('pay every payment once with concurrency 10', () => expectToPayOnce(10));
    quick('pay every payment once with concurrency 50 and a wait of 2 ms', () => expectToPayOnce(50, 2));

    async function expectToCommitAll(atOnce: number): Promise<void> {
      engine = new JobsEngine({ store: fixture.store });
      const acknowledged: string[] = [];
      const call = async (id: number): Promise<void> => {
        for (let attempt = 1; ; attempt += 1) {
          const isRefused = attempt === 1 && id % 3 === 0;
          const done = transact(fixture.app, async (manager) => {
            await manager.query(`INSERT INTO orders VALUES (${id})`);
            await pause(id % 3);
            const job = await engine.enqueueTx(manager, 'ship', { id });
            if (isRefused) throw new Error('refused');
            return job.id;
          });
          const jobId = await done.catch((error: Error) => {
            if (error.message !== 'refused') throw error;
          });
          if (jobId) {
            acknowledged.push(jobId);
            return;
          }
        }
      };
      const waiting = Array.from({ length: CALLERS }, (_unused, id) => id);
      const runCaller = async (): Promise<void> => {
        for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await call(id);
      };
      await Promise.all(Array.from({ length: atOnce }, runCaller));

      const { app } = kind.canHaveTwoConnections ? await fixture.openAnother() : fixture;
      const jobs = await app.query<{ id: string }[]>('SELECT id FROM _jobs');
      expect(jobs.map(({ id }) => id).sort()).toEqual(acknowledged.sort());
      expect(acknowledged).toHaveLength(CALLERS);
      expect(await app.query('SELECT count(*) AS orders FROM orders')).toEqual([{ orders: CALLERS }]);
    }

    it('commit every job that was acknowledged, with 10 callers at a time', () => expectToCommitAll(10));
    quick('commit every job that was acknowledged, with 50 callers at a time', () => expectToCommitAll(50));
  });
});
