/** @never typeorm-0.3 */

import type { ClaimToken } from '../../../lib/core/job.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { until } from '../../support/wait.js';
import { claimMany, claimOne, failure, insertMany, outcomes, settlement } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

const ROUNDS = 12;
const JOBS = 200;

/** Counts the deadlocks of this database. A backend reports its own when it ends, so every other store must be closed. */
async function countDeadlocks(fixture: StoreFixture, backends: readonly number[]): Promise<number> {
  const left = `SELECT pid FROM pg_stat_activity WHERE pid IN (${[0, ...backends].join(', ')})`;
  await until(async () => (await fixture.sql(left)).length === 0, { message: 'the end of the backends' });
  const [row] = await fixture.sql<{ deadlocks: string }>(
    'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  );
  return Number(row!.deadlocks);
}

async function listBackends(fixture: StoreFixture): Promise<number[]> {
  const rows = await fixture.sql<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  );
  return rows.map(({ pid }) => pid);
}

function shuffle<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, position: Math.random() }))
    .sort((a, b) => a.position - b.position)
    .map(({ item }) => item);
}

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('settle beside other writers on $label', (kind) => {
  const fixture = useStore(kind);

  /** Lets two stores write to the same jobs at the same time, repeatedly. Returns the number of deadlocks. */
  async function compete(
    round: (stores: [JobStore, JobStore], tokens: ClaimToken[]) => Promise<unknown>[],
  ): Promise<number> {
    const before = await listBackends(fixture);
    const first = await fixture.openAnother();
    const second = await fixture.openAnother();
    for (let count = 0; count < ROUNDS; count += 1) {
      const tokens = await claimMany(fixture.store, JOBS);
      await Promise.all(round([first.store, second.store], tokens));
      await fixture.sql('DELETE FROM _jobs');
    }
    const backends = (await listBackends(fixture)).filter((pid) => !before.includes(pid));
    await fixture.closeLeftOvers();
    return countDeadlocks(fixture, backends);
  }

  it('never deadlocks with renewals of the same jobs', async () => {
    const count = await compete(([a, b], tokens) => [
      a.settle(shuffle(tokens).map((token) => settlement(token, outcomes.completed()))),
      b.renew(shuffle(tokens), 30_000),
      a.renew(shuffle(tokens), 30_000),
    ]);
    expect(count).toBe(0);
  });

  it('never deadlocks with cancels of the same jobs', async () => {
    const count = await compete(([a, b], tokens) => [
      a.settle(shuffle(tokens).map((token) => settlement(token, outcomes.retry()))),
      b.cancel(shuffle(tokens).map(({ id }) => id)),
      b.cancel(shuffle(tokens).map(({ id }) => id)),
    ]);
    expect(count).toBe(0);
  });

  it('never deadlocks with requeues, deletes and other settlements of the same jobs', async () => {
    const count = await compete(([a, b], tokens) => [
      a.settle(shuffle(tokens).map((token) => settlement(token, outcomes.failed()))),
      b.settle(shuffle(tokens).map((token) => settlement(token, outcomes.failed()))),
      b.requeue(shuffle(tokens).map(({ id }) => id)),
      a.requeue(shuffle(tokens).map(({ id }) => id)),
      b.delete(shuffle(tokens).map(({ id }) => id)),
    ]);
    expect(count).toBe(0);
  });

  it('never deadlocks with discards, rescues and pruning of the same jobs', async () => {
    const prune = { completed: 0, failed: 0, cancelled: 0 };
    const count = await compete(([a, b], tokens) => [
      a.settle(
        shuffle(tokens).map((token) => settlement(token, outcomes.failed())),
        ['failed'],
      ),
      b.settle(
        shuffle(tokens).map((token) => settlement(token, outcomes.completed())),
        ['completed'],
      ),
      b.rescue(JOBS),
      b.prune(prune, { after: null, rows: JOBS }),
      b.delete(shuffle(tokens).map(({ id }) => id)),
      a.prune(prune, { after: null, rows: JOBS }),
    ]);
    expect(count).toBe(0);
  });

  it('deadlocks are detected: the count rises when two transactions deadlock', async () => {
    const [one, two] = await insertMany(fixture.store, 2);
    const before = await listBackends(fixture);
    const others = [await fixture.openAnother(), await fixture.openAnother()];
    const start = await countDeadlocks(fixture, []);
    const [first, second] = await Promise.all(others.map(({ app }) => fixture.begin(app)));
    const touch = `UPDATE _jobs SET priority = 1 WHERE id = $1`;
    for (const { manager } of [first!, second!]) {
      await manager.query(`SET LOCAL deadlock_timeout = '10ms'`);
    }
    await first!.manager.query(touch, [one]);
    await second!.manager.query(touch, [two]);
    const circle = await Promise.allSettled([first!.manager.query(touch, [two]), second!.manager.query(touch, [one])]);
    const backends = (await listBackends(fixture)).filter((pid) => !before.includes(pid));
    await fixture.closeLeftOvers();
    expect(circle.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    expect(await countDeadlocks(fixture, backends)).toBe(start + 1);
  });

  it('skips a row that a cancel locks, and cancels the job at the next try without using a retry', async () => {
    const token = await claimOne(fixture.store);
    const { runAt } = await fixture.job(token.id);
    const transaction = await fixture.begin();
    await transaction.manager.query('UPDATE _jobs SET cancel_requested = true WHERE id = $1', [token.id]);
    const settle = (): Promise<unknown> => fixture.store.settle([settlement(token, outcomes.retry(60_000))]);
    expect(await settle()).toMatchObject([{ applied: false, status: 'processing' }]);
    await transaction.commit();
    expect(await settle()).toMatchObject([{ applied: true, status: 'cancelled', attempt: 1 }]);
    const job = await fixture.job(token.id);
    expect(job).toMatchObject({ status: 'cancelled', retries: 0, runAt, lastError: 'no luck', lockedUntil: null });
    expect(job.finished).not.toBeNull();
  });

  it('skips a row that another session changes, and keeps all errors at the next try', async () => {
    const token = await claimOne(fixture.store);
    const transaction = await fixture.begin();
    await transaction.manager.query(
      `UPDATE _jobs SET retries = 2, errors = '[{"attempt":0,"message":"earlier"}]' WHERE id = $1`,
      [token.id],
    );
    const settle = (): Promise<unknown> =>
      fixture.store.settle([settlement(token, { kind: 'retry', delayMs: 0, failure: failure('later') })]);
    expect(await settle()).toMatchObject([{ applied: false, status: 'processing' }]);
    await transaction.commit();
    expect(await settle()).toMatchObject([{ applied: true, status: 'pending', retries: 3 }]);
    expect((await fixture.job(token.id)).errors.map(({ message }) => message)).toEqual(['earlier', 'later']);
  });

  it('skips a row that another attempt claims, and is rejected by the fence at the next try', async () => {
    const token = await claimOne(fixture.store);
    const transaction = await fixture.begin();
    await transaction.manager.query(`UPDATE _jobs SET attempt = 2, locked_by = 'another' WHERE id = $1`, [token.id]);
    const settle = (): Promise<unknown> => fixture.store.settle([settlement(token, outcomes.completed('"late"'))]);
    expect(await settle()).toMatchObject([{ applied: false, status: 'processing' }]);
    await transaction.commit();
    expect(await settle()).toMatchObject([{ applied: false }]);
    expect(await fixture.job(token.id)).toMatchObject({ status: 'processing', attempt: 2, result: null });
    // The first result may be of the old row; the next try returns the current one.
    expect(await fixture.store.settle([settlement(token, outcomes.completed('"late"'))])).toMatchObject([
      { applied: false, status: 'processing', attempt: 2 },
    ]);
  });

  it('completes all other jobs while one of the rows is locked', async () => {
    const claims = await claimMany(fixture.store, 3);
    const held = claims[1]!;
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [held.id]);
    const completions = claims.map((token) => settlement(token, outcomes.completed()));
    // A cancelled statement returns just before its locks are free, so this retries as the completer does.
    await until(async () => {
      const [first, second, third] = await fixture.store.settle(completions);
      expect(second).toMatchObject({ applied: false, status: 'processing' });
      return first!.status === 'completed' && third!.status === 'completed';
    });
    await transaction.rollback();
    expect(await fixture.store.settle([completions[1]!])).toMatchObject([{ applied: true, status: 'completed' }]);
  });

  it('does not wait for a row that was locked before', async () => {
    const token = await claimOne(fixture.store);
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [token.id]);
    const waiters = async (): Promise<number> =>
      (
        await fixture.sql(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
      ).length;
    const settle = async (wasLocked: boolean): Promise<boolean> => {
      let hasWaited = false;
      let isDone = false;
      const settled = fixture.store.settle([{ ...settlement(token, outcomes.completed()), wasLocked }]);
      const done = settled.finally(() => (isDone = true));
      while (!isDone) hasWaited = (await waiters()) > 0 || hasWaited;
      expect(await done).toMatchObject([{ applied: false, status: 'processing' }]);
      return hasWaited;
    };
    // A wait ends after 150 ms; on a busy machine the test may miss it between two queries.
    await until(() => settle(false), { message: 'a wait for the row' });
    expect(await settle(true)).toBe(false);
    await transaction.rollback();
  });

  it('skips an open completion of the same attempt, and applies only after its rollback', async () => {
    const [committed, rolledBack] = await claimMany(fixture.store, 2);
    for (const [token, end] of [
      [committed!, 'commit'],
      [rolledBack!, 'rollback'],
    ] as const) {
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, token, '"in the transaction"');
      const settle = (): Promise<unknown> =>
        fixture.store.settle([settlement(token, outcomes.completed('"afterwards"'))]);
      expect(await settle()).toMatchObject([{ applied: false, status: 'processing' }]);
      await transaction[end]();
      expect(await settle()).toMatchObject([{ applied: end === 'rollback' }]);
    }
    expect(await fixture.job(committed!.id)).toMatchObject({ status: 'completed', result: 'in the transaction' });
    expect(await fixture.job(rolledBack!.id)).toMatchObject({ status: 'completed', result: 'afterwards' });
  });
});
