import { v7 as uuidv7 } from 'uuid';
import type { Retention } from '../../../lib/core/retention.js';
import { declareTopics, handleTopics, orphanDefinitions } from '../../support/declared.js';
import { claim, claimMany, insertMany, newJob, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const MINUTE = 60_000;
const ALL = { after: null, rows: 1_000 };

function retention(members: Partial<Retention> = {}): Retention {
  return { completed: false, failed: false, cancelled: false, ...members };
}

const files = storeKinds().filter(({ locksRows, canHaveTwoConnections }) => !locksRows && canHaveTwoConnections);

describe.each(files)('prune beside a transaction of the application, on $label', (kind) => {
  const fixture = useStore(kind);

  it('takes no lock when no job is old enough', async () => {
    await claimMany(fixture.store, 3).then((claims) =>
      fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed()))),
    );
    const other = await fixture.begin();
    await other.manager.query('UPDATE _jobs SET updated = updated');
    expect(await fixture.store.prune(retention({ completed: MINUTE }), ALL)).toMatchObject({ removed: 0, next: null });
    await other.rollback();
  });
});

describe.each(storeKinds())('prune on $label', (kind) => {
  const fixture = useStore(kind);

  const remaining = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id')).map(({ id }) => id);

  /** Creates jobs that ended at these ages, each half a minute after its creation. */
  const createEnded = async (
    status: 'completed' | 'failed' | 'cancelled',
    agesMs: readonly number[],
  ): Promise<string[]> => {
    const claims = await claimMany(fixture.store, agesMs.length);
    const outcome = { completed: outcomes.completed(), failed: outcomes.failed(), cancelled: outcomes.cancelled() };
    await fixture.store.settle(claims.map((token) => settlement(token, outcome[status])));
    for (const [index, ageMs] of agesMs.entries()) {
      await fixture.set(claims[index]!.id, {
        created: { msFromNow: -ageMs - MINUTE / 2 },
        finished: { msFromNow: -ageMs },
      });
    }
    return claims.map(({ id }) => id);
  };

  it.each(['completed', 'failed', 'cancelled'] as const)(
    'deletes only %s jobs beyond their retention',
    async (status) => {
      const [old, , young] = await createEnded(status, [61 * MINUTE, 60 * MINUTE + 500, 59 * MINUTE, 0]);
      expect(await fixture.store.prune(retention({ [status]: 60 * MINUTE }), ALL)).toMatchObject({
        removed: 2,
        next: null,
      });
      const left = await remaining();
      expect(left).toHaveLength(2);
      expect(left).not.toContain(old);
      expect(left[0]).toBe(young);
    },
  );

  it('applies the retention of each status', async () => {
    const [, completed] = await createEnded('completed', [11 * MINUTE, 9 * MINUTE]);
    const [, failed] = await createEnded('failed', [31 * MINUTE, 29 * MINUTE]);
    const [, cancelled] = await createEnded('cancelled', [21 * MINUTE, 19 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE, failed: 30 * MINUTE, cancelled: 20 * MINUTE });
    expect(await fixture.store.prune(ages, ALL)).toMatchObject({ removed: 3 });
    expect(await remaining()).toEqual([completed, failed, cancelled]);
  });

  it('keeps jobs with a retention of false', async () => {
    const kept = await createEnded('failed', [365 * 24 * 60 * MINUTE]);
    await createEnded('completed', [365 * 24 * 60 * MINUTE]);
    expect(await fixture.store.prune(retention(), ALL)).toMatchObject({ removed: 0, next: null });
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toMatchObject({ removed: 1 });
    expect(await remaining()).toEqual(kept);
  });

  it('deletes ended jobs at once with a retention of zero', async () => {
    await createEnded('completed', [0, 0]);
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toMatchObject({ removed: 2 });
  });

  it('accepts a retention of a hundred years', async () => {
    const kept = await createEnded('completed', [365 * 24 * 60 * MINUTE]);
    await fixture.store.prune(retention({ completed: 100 * 365 * 24 * 60 * MINUTE }), ALL);
    expect(await remaining()).toEqual(kept);
  });

  it('keeps pending and running jobs of any age', async () => {
    const waiting = await insertMany(fixture.store, 1, { delayMs: MINUTE });
    const [running] = await claimMany(fixture.store, 1);
    await fixture.set([...waiting, running!.id], { created: new Date(0), updated: new Date(0), started: new Date(0) });
    const none = await fixture.store.prune(retention({ completed: 0, failed: 0, cancelled: 0 }), ALL);
    expect(none.removed).toBe(0);
    expect(await remaining()).toEqual([...waiting, running!.id]);
  });

  it('prunes page by page and returns the start of the next page', async () => {
    const ids = await createEnded(
      'completed',
      Array.from({ length: 7 }, () => 60 * MINUTE),
    );
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 3 });
    expect(first).toEqual({ ids: expect.any(Array) as unknown, removed: 3, next: ids[2] });
    expect([...first.ids].sort()).toEqual(ids.slice(0, 3));
    expect(await remaining()).toEqual(ids.slice(3));
    const second = await fixture.store.prune(ages, { after: first.next, rows: 3 });
    expect(second).toMatchObject({ removed: 3, next: ids[5] });
    expect(await fixture.store.prune(ages, { after: second.next, rows: 3 })).toMatchObject({ removed: 1, next: null });
    expect(await remaining()).toEqual([]);
  });

  it('deletes nothing when all statuses are kept', async () => {
    const ids = await createEnded('failed', [60 * MINUTE, 60 * MINUTE, 0]);
    const first = await fixture.store.prune(retention(), { after: null, rows: 1 });
    expect(first).toMatchObject({ removed: 0, next: ids[0] });
    const second = await fixture.store.prune(retention(), { after: first.next, rows: 2 });
    expect(second).toMatchObject({ removed: 0, next: ids[2] });
    expect(await fixture.store.prune(retention(), { after: second.next, rows: 1 })).toMatchObject({
      removed: 0,
      next: null,
    });
    expect(await remaining()).toEqual(ids);
  });

  it('continues after pages with nothing to delete', async () => {
    const kept = await createEnded(
      'failed',
      Array.from({ length: 4 }, () => 60 * MINUTE),
    );
    const [old] = await createEnded('completed', [60 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toMatchObject({ removed: 0, next: kept[1] });
    const second = await fixture.store.prune(ages, { after: first.next, rows: 2 });
    expect(second).toMatchObject({ removed: 0, next: kept[3] });
    expect(await fixture.store.prune(ages, { after: second.next, rows: 2 })).toMatchObject({ removed: 1, next: null });
    expect(await remaining()).not.toContain(old);
  });

  it('stops at the first page whose jobs are all too young', async () => {
    await createEnded('completed', [60 * MINUTE]);
    const young = await createEnded('completed', [0, 0, 0, 0]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toMatchObject({ removed: 1, next: young[0] });
    expect(await fixture.store.prune(ages, { after: first.next, rows: 2 })).toMatchObject({ removed: 0, next: null });
    expect(await remaining()).toEqual(young);
  });

  it('continues after young jobs that a slow clock sorted among old ones', async () => {
    const [, stray] = await createEnded('completed', [60 * MINUTE, 0, 60 * MINUTE, 60 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toMatchObject({ removed: 1, next: stray });
    expect(await fixture.store.prune(ages, { after: first.next, rows: 2 })).toMatchObject({ removed: 2 });
    expect(await remaining()).toEqual([stray]);
  });

  it('continues after pages of young jobs with old ids of a slow clock', async () => {
    const late = [24, 23, 22, 21].map((age) =>
      newJob({ id: uuidv7({ msecs: Date.now() - age * MINUTE }), delayMs: MINUTE }),
    );
    await fixture.store.insert(late);
    const [old] = await createEnded('completed', [60 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toMatchObject({ removed: 0, next: late[1]!.id });
    const second = await fixture.store.prune(ages, { after: first.next, rows: 2 });
    expect(second).toMatchObject({ removed: 0, next: late[3]!.id });
    expect(await fixture.store.prune(ages, { after: second.next, rows: 2 })).toMatchObject({ removed: 1, next: null });
    expect(await remaining()).not.toContain(old);
  });

  it('stops at a page of young jobs with young ids', async () => {
    const young = await insertMany(fixture.store, 4);
    const first = await fixture.store.prune(retention({ completed: MINUTE }), { after: null, rows: 2 });
    expect(first).toMatchObject({ removed: 0, next: null });
    expect(await remaining()).toEqual(young);
  });

  it('applies the retention that a topic declares, longer and shorter than that of the module', async () => {
    const hour = 60 * MINUTE;
    const [kept, , short, young] = await createEnded('failed', [40 * hour, 40 * hour, 2 * hour, 0]);
    const [other] = await createEnded('completed', [40 * hour]);
    await fixture.sql(`UPDATE _jobs SET topic = 'payments' WHERE id IN ('${kept!}', '${other!}')`);
    await fixture.sql(`UPDATE _jobs SET topic = 'pings' WHERE id IN ('${short!}', '${young!}')`);
    await declareTopics(fixture.store, [
      { topic: 'payments', retention: { failed: 100 * hour } },
      { topic: 'pings', limits: { concurrency: 5 }, retention: { failed: hour, completed: false } },
    ]);
    // Nothing declares that completed jobs of the topic stay.
    expect(await fixture.store.prune(retention({ failed: 30 * hour, completed: hour }), ALL)).toMatchObject({
      removed: 3,
    });
    expect(await remaining()).toEqual([kept, young]);
    await orphanDefinitions(fixture);
    expect(await handleTopics(fixture.store, 'payments')).toEqual(['payments']);
    expect(await fixture.store.prune(retention({ failed: 30 * hour }), ALL)).toMatchObject({ removed: 1 });
    await fixture.sql('DELETE FROM _jobs_topics');
  });

  it('reads on for the retention of a topic, when the module keeps all jobs', async () => {
    const ids = await createEnded('completed', [60 * MINUTE, 60 * MINUTE, 0, 0, 0, 0]);
    await declareTopics(fixture.store, [{ topic: TOPIC, retention: { completed: 10 * MINUTE, failed: false } }]);
    const first = await fixture.store.prune(retention(), { after: null, rows: 2 });
    expect(first).toMatchObject({ removed: 2, next: ids[1] });
    expect(await fixture.store.prune(retention(), { after: first.next, rows: 2 })).toMatchObject({
      removed: 0,
      next: null,
    });
    await fixture.sql('DELETE FROM _jobs_topics');
  });

  it('keeps the jobs of a topic that declares it, whatever the module deletes at once', async () => {
    const ids = await createEnded('completed', [60 * MINUTE, 0]);
    await declareTopics(fixture.store, [{ topic: TOPIC, retention: { completed: false } }]);
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toMatchObject({ removed: 0 });
    await fixture.store.discard(
      ids.map((id) => ({ id, attempt: 1 })),
      ['completed'],
    );
    expect(await remaining()).toEqual(ids);
    await fixture.sql('DELETE FROM _jobs_topics');
  });

  it('deletes nothing without a retention, and returns the next page', async () => {
    const ids = await createEnded('completed', [60 * MINUTE, 0]);
    await declareTopics(fixture.store, [{ topic: TOPIC, retention: { completed: 0 } }]);
    expect(await fixture.store.prune(null, { after: null, rows: 1 })).toMatchObject({ removed: 0, next: ids[0] });
    await fixture.sql('DELETE FROM _jobs_topics');
  });

  it('does not block the event loop between pages', async () => {
    let turns = 0;
    const count = (): void => {
      turns += 1;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    const seen: number[] = [];
    for (let page = 1; page <= 10; page += 1) {
      await fixture.store.prune(retention({ completed: MINUTE }), ALL);
      seen.push(turns);
    }
    clearImmediate(next);
    expect(seen.filter((count, page) => count <= page)).toEqual([]);
  });

  it('deletes nothing in an empty table', async () => {
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toMatchObject({ removed: 0, next: null });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('prune during a requeue on $label', (kind) => {
  const fixture = useStore(kind);

  it('does not delete a job during its requeue', async () => {
    const [token] = await claimMany(fixture.store, 1);
    await fixture.store.settle([settlement(token!, outcomes.failed())]);
    await fixture.set(token!.id, { finished: { msFromNow: -MINUTE } });
    const transaction = await fixture.begin();
    await transaction.manager.query(`UPDATE _jobs SET status = 'pending', finished = NULL WHERE id = $1`, [token!.id]);
    const pruned = fixture.store.prune(retention({ failed: 0 }), ALL);
    const isOver = pruned.then(() => true);
    // It may wait for the row or skip it.
    await Promise.race([isOver, fixture.untilLockWait()]);
    await transaction.commit();
    expect(await pruned).toMatchObject({ removed: 0 });
    expect(await fixture.job(token!.id)).toMatchObject({ status: 'pending' });
  });

  it('does not delete a job that was requeued and ended again during the prune', async () => {
    const tokens = await claimMany(fixture.store, 2);
    await fixture.store.settle(tokens.map((token) => settlement(token, outcomes.failed())));
    const [first, last] = tokens.map(({ id }) => id).sort();
    await fixture.set([first!, last!], { finished: { msFromNow: -MINUTE } });
    // A slow trigger of the application copies deleted rows.
    await fixture.sql(`
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN OLD; END $$;
      CREATE TRIGGER keep BEFORE DELETE ON _jobs FOR EACH ROW EXECUTE FUNCTION keep()`);
    const keeper = await fixture.begin();
    await keeper.manager.query('SELECT pg_advisory_xact_lock(1)');
    const pruned = fixture.store.prune(retention({ failed: MINUTE / 2 }), ALL);
    await fixture.untilLockWait();
    await fixture.store.requeue([last!]);
    const claims = await claim(fixture.store);
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.failed())));
    await keeper.commit();
    expect(await pruned).toMatchObject({ removed: 1 });
    expect(await fixture.job(last!)).toMatchObject({ status: 'failed', attempt: 2 });
    await fixture.sql('DROP TRIGGER keep ON _jobs; DROP FUNCTION keep()');
  });
});
