import { v7 as uuidv7 } from 'uuid';
import type { Retention } from '../../../lib/core/options.js';
import { claim, claimMany, insertMany, newJob, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const MINUTE = 60_000;
const ALL = { after: null, rows: 1_000 };

function retention(members: Partial<Retention> = {}): Retention {
  return { completed: false, failed: false, cancelled: false, ...members };
}

const files = storeKinds().filter(({ locksRows, canHaveTwoConnections }) => !locksRows && canHaveTwoConnections);

describe.each(files)('prune beside a transaction of the application, on $label', (kind) => {
  const fixture = useStore(kind);

  it('takes no lock where no job is old enough', async () => {
    await claimMany(fixture.store, 3).then((claims) =>
      fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed()))),
    );
    const other = await fixture.begin();
    await other.manager.query('UPDATE _jobs SET updated = updated');
    expect(await fixture.store.prune(retention({ completed: MINUTE }), ALL)).toEqual({ removed: 0, next: null });
    await other.rollback();
  });
});

describe.each(storeKinds())('prune on $label', (kind) => {
  const fixture = useStore(kind);

  const remaining = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id')).map(({ id }) => id);

  /** Jobs that ended so long ago, each half a minute after it was created. */
  const ended = async (status: 'completed' | 'failed' | 'cancelled', agesMs: readonly number[]): Promise<string[]> => {
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
    'deletes %s jobs over their age, and no younger ones',
    async (status) => {
      const [old, , young] = await ended(status, [61 * MINUTE, 60 * MINUTE + 500, 59 * MINUTE, 0]);
      expect(await fixture.store.prune(retention({ [status]: 60 * MINUTE }), ALL)).toEqual({ removed: 2, next: null });
      const left = await remaining();
      expect(left).toHaveLength(2);
      expect(left).not.toContain(old);
      expect(left[0]).toBe(young);
    },
  );

  it('judges each status by its own age', async () => {
    const [, completed] = await ended('completed', [11 * MINUTE, 9 * MINUTE]);
    const [, failed] = await ended('failed', [31 * MINUTE, 29 * MINUTE]);
    const [, cancelled] = await ended('cancelled', [21 * MINUTE, 19 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE, failed: 30 * MINUTE, cancelled: 20 * MINUTE });
    expect(await fixture.store.prune(ages, ALL)).toMatchObject({ removed: 3 });
    expect(await remaining()).toEqual([completed, failed, cancelled]);
  });

  it('keeps for ever what it is told to keep', async () => {
    const kept = await ended('failed', [365 * 24 * 60 * MINUTE]);
    await ended('completed', [365 * 24 * 60 * MINUTE]);
    expect(await fixture.store.prune(retention(), ALL)).toEqual({ removed: 0, next: null });
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toMatchObject({ removed: 1 });
    expect(await remaining()).toEqual(kept);
  });

  it('deletes jobs as soon as they have ended when their age is zero', async () => {
    await ended('completed', [0, 0]);
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toMatchObject({ removed: 2 });
  });

  it('takes ages of a hundred years', async () => {
    const kept = await ended('completed', [365 * 24 * 60 * MINUTE]);
    await fixture.store.prune(retention({ completed: 100 * 365 * 24 * 60 * MINUTE }), ALL);
    expect(await remaining()).toEqual(kept);
  });

  it('leaves waiting and running jobs, however old', async () => {
    const waiting = await insertMany(fixture.store, 1, { delayMs: MINUTE });
    const [running] = await claimMany(fixture.store, 1);
    await fixture.set([...waiting, running!.id], { created: new Date(0), updated: new Date(0), started: new Date(0) });
    const none = await fixture.store.prune(retention({ completed: 0, failed: 0, cancelled: 0 }), ALL);
    expect(none.removed).toBe(0);
    expect(await remaining()).toEqual([...waiting, running!.id]);
  });

  it('looks at one page after the other, and says where the next one begins', async () => {
    const ids = await ended(
      'completed',
      Array.from({ length: 7 }, () => 60 * MINUTE),
    );
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 3 });
    expect(first).toEqual({ removed: 3, next: ids[2] });
    expect(await remaining()).toEqual(ids.slice(3));
    const second = await fixture.store.prune(ages, { after: first.next, rows: 3 });
    expect(second).toEqual({ removed: 3, next: ids[5] });
    expect(await fixture.store.prune(ages, { after: second.next, rows: 3 })).toEqual({ removed: 1, next: null });
    expect(await remaining()).toEqual([]);
  });

  it('walks on without deleting anything when it is told to keep all', async () => {
    const ids = await ended('failed', [60 * MINUTE, 60 * MINUTE, 0]);
    const first = await fixture.store.prune(retention(), { after: null, rows: 1 });
    expect(first).toEqual({ removed: 0, next: ids[0] });
    const second = await fixture.store.prune(retention(), { after: first.next, rows: 2 });
    expect(second).toEqual({ removed: 0, next: ids[2] });
    expect(await fixture.store.prune(retention(), { after: second.next, rows: 1 })).toEqual({ removed: 0, next: null });
    expect(await remaining()).toEqual(ids);
  });

  it('goes past pages on which there is nothing to delete', async () => {
    const kept = await ended(
      'failed',
      Array.from({ length: 4 }, () => 60 * MINUTE),
    );
    const [old] = await ended('completed', [60 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toEqual({ removed: 0, next: kept[1] });
    const second = await fixture.store.prune(ages, { after: first.next, rows: 2 });
    expect(second).toEqual({ removed: 0, next: kept[3] });
    expect(await fixture.store.prune(ages, { after: second.next, rows: 2 })).toEqual({ removed: 1, next: null });
    expect(await remaining()).not.toContain(old);
  });

  it('stops at the first page on which all is too young', async () => {
    await ended('completed', [60 * MINUTE]);
    const young = await ended('completed', [0, 0, 0, 0]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toEqual({ removed: 1, next: young[0] });
    expect(await fixture.store.prune(ages, { after: first.next, rows: 2 })).toEqual({ removed: 0, next: null });
    expect(await remaining()).toEqual(young);
  });

  it('goes past young jobs that a late clock has put among old ones', async () => {
    const [, stray] = await ended('completed', [60 * MINUTE, 0, 60 * MINUTE, 60 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toEqual({ removed: 1, next: stray });
    expect(await fixture.store.prune(ages, { after: first.next, rows: 2 })).toMatchObject({ removed: 2 });
    expect(await remaining()).toEqual([stray]);
  });

  it('goes past whole pages of young jobs whose ids are old, as a late clock makes them', async () => {
    const late = [24, 23, 22, 21].map((age) =>
      newJob({ id: uuidv7({ msecs: Date.now() - age * MINUTE }), delayMs: MINUTE }),
    );
    await fixture.store.insert(late);
    const [old] = await ended('completed', [60 * MINUTE]);
    const ages = retention({ completed: 10 * MINUTE });
    const first = await fixture.store.prune(ages, { after: null, rows: 2 });
    expect(first).toEqual({ removed: 0, next: late[1]!.id });
    const second = await fixture.store.prune(ages, { after: first.next, rows: 2 });
    expect(second).toEqual({ removed: 0, next: late[3]!.id });
    expect(await fixture.store.prune(ages, { after: second.next, rows: 2 })).toEqual({ removed: 1, next: null });
    expect(await remaining()).not.toContain(old);
  });

  it('ends at a page of young jobs whose ids are young', async () => {
    const young = await insertMany(fixture.store, 4);
    const first = await fixture.store.prune(retention({ completed: MINUTE }), { after: null, rows: 2 });
    expect(first).toEqual({ removed: 0, next: null });
    expect(await remaining()).toEqual(young);
  });

  it('lets others have their turn at each page', async () => {
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

  it('finds nothing in an empty table', async () => {
    expect(await fixture.store.prune(retention({ completed: 0 }), ALL)).toEqual({ removed: 0, next: null });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('prune beside a re-queue on $label', (kind) => {
  const fixture = useStore(kind);

  it('does not delete a job that is being re-queued', async () => {
    const [token] = await claimMany(fixture.store, 1);
    await fixture.store.settle([settlement(token!, outcomes.failed())]);
    await fixture.set(token!.id, { finished: { msFromNow: -MINUTE } });
    const transaction = await fixture.begin();
    await transaction.manager.query(`UPDATE _jobs SET status = 'pending', finished = NULL WHERE id = $1`, [token!.id]);
    const pruned = fixture.store.prune(retention({ failed: 0 }), ALL);
    const isOver = pruned.then(() => true);
    // Whether it waits for the row or skips it is its own affair.
    await Promise.race([isOver, fixture.untilSomebodyWaits()]);
    await transaction.commit();
    expect(await pruned).toMatchObject({ removed: 0 });
    expect(await fixture.job(token!.id)).toMatchObject({ status: 'pending' });
  });

  it('does not delete a job that has run anew and ended while it is at others', async () => {
    const tokens = await claimMany(fixture.store, 2);
    await fixture.store.settle(tokens.map((token) => settlement(token, outcomes.failed())));
    const [first, last] = tokens.map(({ id }) => id).sort();
    await fixture.set([first!, last!], { finished: { msFromNow: -MINUTE } });
    // An application that keeps what is deleted, and is slow to do so.
    await fixture.sql(`
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN OLD; END $$;
      CREATE TRIGGER keep BEFORE DELETE ON _jobs FOR EACH ROW EXECUTE FUNCTION keep()`);
    const keeper = await fixture.begin();
    await keeper.manager.query('SELECT pg_advisory_xact_lock(1)');
    const pruned = fixture.store.prune(retention({ failed: MINUTE / 2 }), ALL);
    await fixture.untilSomebodyWaits();
    await fixture.store.requeue([last!]);
    const claims = await claim(fixture.store);
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.failed())));
    await keeper.commit();
    expect(await pruned).toMatchObject({ removed: 1 });
    expect(await fixture.job(last!)).toMatchObject({ status: 'failed', attempt: 2 });
    await fixture.sql('DROP TRIGGER keep ON _jobs; DROP FUNCTION keep()');
  });
});
