/**
 * @matrix postgres-18
 * @never postgres-15, memory
 */

import { JobsEngine } from 'nestjs-jobs';
import type { BulkRequest, BulkResult } from '../../../lib/core/bulk.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { overrideStore } from '../../support/override-store.js';
import { claim, claimMany, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const FAILED = { action: 'requeue', filter: { topic: TOPIC, status: 'failed' } } as const;

describe.each(storeKinds())('a bulk run as of a time on $label', (kind) => {
  const fixture = useStore(kind);
  let engines: JobsEngine[] = [];

  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    engines = [];
  });

  const open = (store: JobStore = fixture.store): JobsEngine => {
    const engine = new JobsEngine({ store, role: 'producer' });
    engines.push(engine);
    return engine;
  };

  const run = (request: BulkRequest, store?: JobStore): Promise<BulkResult> => open(store).bulk.run(request);

  /** Repeats a call until it reports the end. `afterCall` runs after each. */
  const runAll = async (request: BulkRequest, store?: JobStore, afterCall = async (): Promise<unknown> => null) => {
    const calls: BulkResult[] = [];
    do {
      calls.push(await run({ ...request, cursor: calls.at(-1)?.nextCursor ?? undefined }, store));
      await afterCall();
    } while (calls.at(-1)!.more);
    return calls;
  };

  const failPending = (): Promise<unknown> =>
    fixture.sql(
      `UPDATE _jobs SET status = 'failed', last_error = 'no route', finished = updated WHERE status = 'pending'`,
    );

  /** Claims all due jobs and ends them as failed. */
  const fail = async (limit = 1_000): Promise<string[]> => {
    const claims = await claim(fixture.store, { limit });
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.failed())));
    return claims.map(({ id }) => id);
  };

  const insertFailed = async (count: number): Promise<string[]> => {
    await insertMany(fixture.store, count);
    return fail();
  };

  const countStatus = async (status: string): Promise<number> => {
    const rows = await fixture.sql(`SELECT id FROM _jobs WHERE status = '${status}'`);
    return rows.length;
  };

  it('leaves out jobs that were added after the count', async () => {
    const counted = await insertFailed(3);
    const { asOf, ...preview } = await run({ ...FAILED, dryRun: true });
    expect(preview).toMatchObject({ matched: 3, byTopic: [{ topic: TOPIC, count: 3 }] });
    expect([...preview.sampleIds].sort()).toEqual([...counted].sort());
    const later = await insertFailed(2);
    for (const action of ['requeue', 'delete'] as const) {
      const request = { action, ids: later, asOf };
      const skippedReasons = [{ reason: 'it has changed since the count', count: 2 }];
      expect(await run(request)).toMatchObject({ changed: 0, asOf, skippedReasons });
      expect(await run({ ...request, dryRun: true })).toMatchObject({ skipped: 2, skippedReasons });
    }
    expect(await run({ ...FAILED, asOf })).toMatchObject({ matched: 3, changed: 3, skipped: 0, more: false, asOf });
    expect((await fixture.store.find(counted)).map(({ status }) => status)).toEqual(Array(3).fill('pending'));
    expect(await countStatus('failed')).toBe(2);
  });

  it('leaves out jobs that have run again since the count', async () => {
    await insertFailed(3);
    const { asOf } = await run({ ...FAILED, dryRun: true });
    expect(await run({ ...FAILED, asOf, max: 1 })).toMatchObject({ changed: 1, more: true });
    await fail();
    expect(await run({ ...FAILED, asOf })).toMatchObject({ matched: 2, changed: 2, more: false });
    await fail();
    expect(await run({ ...FAILED, asOf })).toMatchObject({ matched: 0, changed: 0, more: false });
    expect(await run(FAILED)).toMatchObject({ changed: 3 });
  });

  it.each(['cancel', 'promote', 'delete'] as const)(
    'does not %s a job that was retried since the count',
    async (action) => {
      const [retried, waiting] = await claimMany(fixture.store, 2);
      await fixture.store.settle([settlement(waiting!, outcomes.retry(60_000))]);
      const request = { action, filter: { due: false } };
      const { asOf, matched } = await run({ ...request, dryRun: true });
      expect(matched).toBe(1);
      await fixture.store.settle([settlement(retried!, outcomes.retry(60_000))]);
      expect(await run({ ...request, asOf })).toMatchObject({ matched: 1, changed: 1, more: false });
      expect(await run({ action, ids: [retried!.id], asOf })).toMatchObject({ changed: 0, skipped: 1 });
      expect(await fixture.job(retried!.id)).toMatchObject({ status: 'pending', retries: 1, cancelRequested: false });
    },
  );

  it('selects jobs that waited for a retry at the count', async () => {
    const claims = await claimMany(fixture.store, 3);
    const retry = (index: number): Promise<unknown> =>
      fixture.store.settle([settlement(claims[index]!, outcomes.retry(60_000))]);
    await retry(0);
    await retry(1);
    const request = { action: 'promote', filter: { status: 'retrying' } } as const;
    const { asOf } = await run({ ...request, dryRun: true });
    await retry(2);
    const calls = await runAll({ ...request, asOf, max: 1 });
    expect(calls.map(({ changed }) => changed)).toEqual([1, 1]);
    expect((await fixture.job(claims[2]!.id)).runAt.getTime()).toBeGreaterThan(Date.parse(asOf) + 50_000);
  });

  it('cancels a running job whose progress was written since the count, and no job that started since', async () => {
    const [running] = await claimMany(fixture.store, 1);
    const waiting = await insertOne(fixture.store);
    const filter = { topic: TOPIC };
    const { asOf } = await run({ action: 'cancel', filter, dryRun: true });
    await fixture.store.recordProgress([{ token: running!, progress: '1' }]);
    await claim(fixture.store);
    expect(await run({ action: 'cancel', filter, asOf })).toMatchObject({ matched: 1, changed: 1 });
    expect(await fixture.job(running!.id)).toMatchObject({ cancelRequested: true });
    expect(await fixture.job(waiting)).toMatchObject({ cancelRequested: false });
  });

  it.each(['filter', 'ids'] as const)('skips jobs that fail again between list and change, by %s', async (by) => {
    const ids = await insertFailed(3);
    const store = overrideStore(fixture.store, {
      requeue: async (...call: Parameters<JobStore['requeue']>) => {
        await fixture.store.requeue([ids[0]!]);
        await fail();
        return fixture.store.requeue(...call);
      },
    });
    const { asOf } = await run({ ...FAILED, dryRun: true });
    const request = by === 'filter' ? { ...FAILED, asOf } : { action: 'requeue' as const, ids, asOf };
    const skippedReasons = [{ reason: 'it has changed since the count', count: 1, ids: [ids[0]] }];
    expect(await run(request, store)).toMatchObject({ changed: 2, skippedReasons });
  });

  it('changes at most as many jobs as it may, whichever are skipped', async () => {
    const ids = await insertFailed(5);
    const done = await insertMany(fixture.store, 3);
    const first = await run({ action: 'requeue', ids: [...done, ...ids], max: 2 });
    expect(first).toMatchObject({ matched: 8, changed: 2, skipped: 3, more: true, nextCursor: null });
    const second = await run({ ...FAILED, max: 2 });
    expect(second).toMatchObject({ changed: 2, more: true });
    const third = await run({ ...FAILED, max: 2, cursor: second.nextCursor! });
    expect(third).toMatchObject({ matched: 1, changed: 1, more: false, nextCursor: null, asOf: second.asOf });
  });

  it.each(['status', 'errorKey', 'groupId', 'concurrencyKey'] as const)(
    'ends although each job fails again at once, by %s',
    async (by) => {
      const group = '01890000-0000-7000-8000-000000000000';
      await insertMany(fixture.store, 5, { concurrencyKey: 'k' });
      await failPending();
      await fixture.sql(
        `INSERT INTO _jobs_links (parent_id, child_id, mode, position) SELECT id, '${group}', 'member', 0 FROM _jobs`,
      );
      const { items: errors } = await open().errors.list();
      const filter = {
        status: { status: 'failed' as const },
        errorKey: { errorKey: errors[0]!.key },
        groupId: { groupId: group },
        concurrencyKey: { concurrencyKey: 'k' },
      }[by];
      const calls = await runAll({ action: 'requeue', filter, max: 2 }, fixture.store, failPending);
      expect(calls.map(({ changed }) => changed)).toEqual([2, 2, 1]);
    },
  );

  it('re-queues 12,000 jobs exactly once although each fails again before the next batch', async () => {
    for (let batch = 0; batch < 12; batch += 1) {
      await insertMany(fixture.store, 1_000);
    }
    await failPending();
    const requeued: string[] = [];
    const store = overrideStore(fixture.store, {
      requeue: async (...call: Parameters<JobStore['requeue']>) => {
        const results = await fixture.store.requeue(...call);
        requeued.push(...results.filter(({ changed }) => changed).map(({ id }) => id));
        await failPending();
        return results;
      },
    });
    const calls = await runAll(FAILED, store);
    expect(calls.map(({ changed, more }) => ({ changed, more }))).toEqual([
      { changed: 10_000, more: true },
      { changed: 2_000, more: false },
    ]);
    expect([requeued.length, new Set(requeued).size]).toEqual([12_000, 12_000]);
  }, 60_000);

  const readRunTimes = async (): Promise<number[]> => {
    const { items } = await open().jobs.list({ status: 'pending', limit: 200 });
    return items.map(({ runAt }) => runAt.getTime()).sort((a, b) => a - b);
  };

  const toGaps = (times: readonly number[]): number[] => times.slice(1).map((time, index) => time - times[index]!);

  it('spreads re-queued jobs over time, also over several calls', async () => {
    await insertFailed(205);
    const calls = await runAll({ ...FAILED, max: 103, pace: '60/h' });
    expect(calls.map(({ changed }) => changed)).toEqual([103, 102]);
    const gaps = toGaps(await readRunTimes());
    expect(gaps).toEqual(Array(gaps.length).fill(60_000));
  });

  it('leaves no gap for jobs that it cannot re-queue, and gives no time twice', async () => {
    const ids = await insertFailed(6);
    // PostgreSQL refuses the whole batch because of two jobs with one key, SQLite because of the trigger.
    await fixture.set(ids.slice(1, 3), { unique_key: 'k' });
    if (!kind.locksRows) {
      await fixture.sql(
        `CREATE TRIGGER refuse BEFORE UPDATE ON _jobs WHEN old.id = '${ids[4]}' BEGIN SELECT raise(ABORT, 'no'); END`,
      );
    }
    const { changed } = await run({ action: 'requeue', ids, pace: '60/h' });
    expect(changed).toBe(kind.locksRows ? 5 : 4);
    expect(toGaps(await readRunTimes())).toEqual(Array(changed - 1).fill(60_000));
  });
});
