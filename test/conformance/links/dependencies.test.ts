import { JobsEngine, JobStateError } from 'nestjs-jobs';
import { claim, outcomes, settlement } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleAll, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

describe.each(storeKinds().filter((kind) => kind.canHaveTwoConnections))('dependencies on $label', (kind) => {
  const fixture = useStore(kind);
  const enqueue = (...jobs: Parameters<typeof linkedJob>[]): Promise<Record<string, string>> =>
    enqueueLinked(
      fixture.store,
      jobs.map((job) => linkedJob(...job)),
    );
  const status = async (id: string | undefined): Promise<string> => (await fixture.job(id!)).status;
  const waitingOn = async (id: string): Promise<number> => (await fixture.store.links.blocked([id]))[0]?.waitingOn ?? 0;
  const refsOf = async (): Promise<string[]> => Object.keys(await claimByRef(fixture.store)).sort();

  it('release a child when the last of its parents has completed', async () => {
    const { c } = await enqueue(['a'], ['b'], ['c', ['a', 'b']]);
    expect(await waitingOn(c!)).toBe(2);
    const { a, b, c: early } = await claimByRef(fixture.store);
    expect(early).toBeUndefined();
    await settleOne(fixture.store, a!);
    expect(await waitingOn(c!)).toBe(1);
    expect(await refsOf()).toEqual([]);
    await settleOne(fixture.store, b!);
    expect(await waitingOn(c!)).toBe(0);
    expect(await refsOf()).toEqual(['c']);
  });

  it.each(['oldest', 'newest'])(
    'release a child whose parents complete in one batch, once, the %s first',
    async (first) => {
      await enqueue(['a'], ['b'], ['c', ['a', 'b']], ['other']);
      const claims = (await claim(fixture.store)).sort((a, b) => (a.id < b.id === (first === 'oldest') ? -1 : 1));
      const settled = await settleAll(
        fixture.store,
        claims.map((token) => settlement(token, outcomes.completed('1'))),
      );
      expect(settled.map(({ applied, status }) => ({ applied, status }))).toEqual(
        claims.map(() => ({ applied: true, status: 'completed' })),
      );
      expect(await refsOf()).toEqual(['c']);
    },
  );

  it('report released and cancelled jobs once, after the commit', async () => {
    const changes: unknown[] = [];
    const ids = await enqueue(['a'], ['b', ['a']], ['c'], ['d', ['c']]);
    fixture.store.links.observe((change) => changes.push(change));
    const { a, c } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    await settleOne(fixture.store, c!, outcomes.failed());
    expect(changes).toMatchObject([
      { released: [{ id: ids.b }], cancelled: [] },
      { released: [], cancelled: [{ id: ids.d }] },
    ]);
    fixture.store.links.observe(() => undefined);
  });

  it.each([
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
  ])('cancel the child and its descendants when a parent ends %s', async (_status, outcome) => {
    const ids = await enqueue(['a'], ['b', ['a']], ['c', ['b']], ['d', ['c', 'a']]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcome);
    for (const ref of ['b', 'c', 'd']) {
      expect(await fixture.job(ids[ref]!)).toMatchObject({
        status: 'cancelled',
        lastError: `parent ${ids.a} failed`,
      });
    }
  });

  // It takes about a second. With a cost per pair of children, SQLite took 20 s.
  it('cancel 6,000 children of a parent together', async () => {
    const children = Array.from({ length: 6_000 }, (_, index): [string, string[]] => [`c${index}`, ['a']]);
    const { a } = await enqueue(['a'], ...children);
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await engine.jobs.cancel(a!);
    // One transaction ends 5,000 links.
    await until(async () => (await fixture.sql(`SELECT 1 FROM _jobs WHERE status <> 'cancelled'`)).length === 0, {
      message: 'the cancellation of the children',
    });
  }, 15_000);

  it('cancel a dense graph, in which each job waits for all jobs before it', async () => {
    const refs = Array.from({ length: 150 }, (_, index) => `d${index}`);
    const ids = await enqueue(...refs.map((ref, index): [string, string[]] => [ref, refs.slice(0, index)]));
    const { d0 } = await claimByRef(fixture.store);
    await settleOne(fixture.store, d0!, outcomes.failed());
    expect((await fixture.job(ids.d149!)).lastError).toBe(`parent ${ids.d0} failed`);
    await fixture.store.links.idle();
    expect(await fixture.sql(`SELECT id FROM _jobs WHERE status = 'cancelled'`)).toHaveLength(149);
  });

  it('release thousands of children of one job, each once', async () => {
    const refs = Array.from({ length: 9_000 }, (_, index) => `c${index}`);
    await enqueue(['a'], ...refs.map((ref): [string, string[]] => [ref, ['a']]));
    const released: string[] = [];
    fixture.store.links.observe((changes) => released.push(...changes.released.map(({ id }) => id)));
    const { a } = await claimByRef(fixture.store);
    expect(await settleOne(fixture.store, a!)).toMatchObject([{ applied: true, status: 'completed' }]);
    await until(() => released.length >= refs.length, { message: 'the release of all children' });
    expect(new Set(released).size).toBe(refs.length);
    fixture.store.links.observe(() => undefined);
  }, 30_000);

  it('leave the links of a parent that was re-queued before a later transaction ends them', async () => {
    const refs = Array.from({ length: 6_000 }, (_, index) => `c${index}`);
    const ids = await enqueue(['a'], ...refs.map((ref): [string, string[]] => [ref, ['a']]));
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    await fixture.store.requeue([ids.a!]);
    let after: string | null = null;
    do {
      after = (await fixture.store.links.repair(after)).next;
    } while (after !== null);
    const open = await fixture.sql(`SELECT 1 FROM _jobs WHERE status = 'pending' AND run_at > '9000-01-01'`);
    const waiting = await fixture.sql(`SELECT 1 FROM _jobs WHERE status = 'pending' AND id <> '${ids.a!}'`);
    expect(waiting).toHaveLength(open.length);
  }, 30_000);

  // This takes half a second. With three statements for each job it took seconds.
  it('cancel a chain of 1,000 descendants of a parent, and end the links of the last one', async () => {
    const chain = Array.from({ length: 1_000 }, (_, index): [string, string[]] => [
      `c${index}`,
      index < 2 ? ['a'] : index % 3 === 0 ? [`c${index - 1}`] : [`c${index - 1}`, `c${index - 2}`],
    ]);
    const ids = await enqueue(
      ['a'],
      ...chain,
      ['after', ['c999'], { onParentFailure: 'run' }],
      ['waits', ['c999'], { onParentFailure: 'wait' }],
    );
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    const cancelled: string[] = [];
    fixture.store.links.observe((changes) => cancelled.push(...changes.cancelled.map(({ id }) => id)));
    await engine.jobs.cancel(ids.a!);
    await fixture.store.links.idle();
    expect(cancelled.sort()).toEqual(chain.map(([ref]) => ids[ref]!).sort());
    const errors = `SELECT last_error AS error, count(*) AS jobs FROM _jobs WHERE status = 'cancelled' GROUP BY last_error`;
    expect(await fixture.sql<{ error: string | null }>(errors)).toHaveLength(2);
    expect((await fixture.job(ids.c999!)).lastError).toBe(`parent ${ids.a} failed`);
    expect(await refsOf()).toEqual(['after']);
    expect(await waitingOn(ids.waits!)).toBe(1);
  }, 15_000);

  it('cancel the shared descendants of many parents that end together', async () => {
    const parents = Array.from({ length: 20 }, (_, index) => `p${index}`);
    const children = parents.map((ref, index): [string, string[]] => [`c${index}`, [ref]]);
    const ids = await enqueue(
      ...parents.map((ref): [string] => [ref]),
      ...children,
      ['d1', children.map(([ref]) => ref)],
      ['d2', ['c0', 'd1']],
      ['after', ['d2'], { onParentFailure: 'run' }],
    );
    const roots = parents.map((ref) => ids[ref]!);
    await fixture.store.cancel(roots);
    expect((await fixture.job(ids.c7!)).lastError).toBe(`parent ${ids.p7} failed`);
    for (const ref of ['d1', 'd2']) {
      const { status: end, lastError } = await fixture.job(ids[ref]!);
      expect(end).toBe('cancelled');
      expect(roots.map((id) => `parent ${id} failed`)).toContain(lastError);
    }
    expect(await refsOf()).toEqual(['after']);
  });

  it('start a child with onParentFailure run when a parent fails', async () => {
    await enqueue(['a'], ['b'], ['c', ['a', 'b'], { onParentFailure: 'run' }]);
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    expect(await refsOf()).toEqual([]);
    await settleOne(fixture.store, b!);
    expect(await refsOf()).toEqual(['c']);
  });

  it('keep a child with onParentFailure wait until the parent is re-queued and completes', async () => {
    const ids = await enqueue(['a'], ['b', ['a'], { onParentFailure: 'wait' }]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    expect(await waitingOn(ids.b!)).toBe(1);
    // Otherwise each page with such a link would be followed by the next one without a rest.
    expect(await fixture.store.links.repair(null)).toMatchObject({ removed: 0 });
    await fixture.store.requeue([ids.a!]);
    const { a: again } = await claimByRef(fixture.store);
    await settleOne(fixture.store, again!);
    expect(await refsOf()).toEqual(['b']);
  });

  it('cancel a child with onParentFailure wait when the parent is deleted', async () => {
    const ids = await enqueue(['a'], ['b', ['a'], { onParentFailure: 'wait' }]);
    const [result] = await fixture.store.delete([ids.a!]);
    expect(result).toMatchObject({ changed: true });
    expect(await fixture.job(ids.b!)).toMatchObject({ status: 'cancelled', lastError: `parent ${ids.a} failed` });
  });

  it.each(['cancel', 'delete'] as const)(
    'end the children of waiting parents on %s, one or several',
    async (action) => {
      const ids = await enqueue(['a'], ['b', ['a']], ['c'], ['d', ['c']], ['e', ['d']], ['f']);
      await fixture.store[action]([ids.a!]);
      expect(await status(ids.b)).toBe('cancelled');
      const results = await fixture.store[action]([ids.c!, ids.f!]);
      expect(results.map(({ changed }) => changed)).toEqual([true, true]);
      expect([await status(ids.d), await status(ids.e)]).toEqual(['cancelled', 'cancelled']);
    },
  );

  it('release the children of a rescued job that has failed, and keep those of one that runs again', async () => {
    const ids = await enqueue(
      ['a', undefined, { maxRetries: 0 }],
      ['b', ['a'], { onParentFailure: 'run' }],
      ['c'],
      ['d', ['c']],
    );
    const { a, c } = await claimByRef(fixture.store);
    await fixture.store.markStarted([a!, c!]);
    await fixture.expire([a!.id, c!.id]);
    const { rescued } = await fixture.store.rescue(10);
    await fixture.store.links.idle();
    expect(rescued.map((job) => job.status).sort()).toEqual(['failed', 'pending']);
    expect(await refsOf()).toEqual(['b', 'c']);
    expect(await waitingOn(ids.d!)).toBe(1);
  });

  it('release children after the commit of completeTx', async () => {
    const ids = await enqueue(['a'], ['b', ['a']]);
    const { a } = await claimByRef(fixture.store);
    await fixture.app
      .transaction(async (manager) => {
        await fixture.store.completeTx(manager, a!, null);
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect(await waitingOn(ids.b!)).toBe(1);
    const changes = await fixture.app.transaction((manager) => fixture.store.completeTx(manager, a!, null));
    expect(changes.owed).toEqual([ids.a]);
    fixture.store.links.report(changes);
    await fixture.store.links.idle();
    expect(await refsOf()).toEqual(['b']);
  });

  it('release children of jobs that are not retained, and keep the parent for them', async () => {
    const ids = await enqueue(['a'], ['b', ['a']]);
    const { a } = await claimByRef(fixture.store);
    await settleAll(fixture.store, [settlement(a!, outcomes.completed('7'))], ['completed']);
    expect(await fixture.store.links.parents(ids.b!)).toEqual([
      { id: ids.a, ref: 'a', topic: 'mail', status: 'completed', result: 7, lastError: null },
    ]);
  });

  it('do not prune the parents of unfinished children', async () => {
    const ids = await enqueue(['a'], ['b'], ['c', ['a', 'b']]);
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    await fixture.set(ids.a!, { finished: { msFromNow: -10_000 } });
    const prune = (): Promise<unknown> =>
      fixture.store.prune({ completed: 1_000, failed: false, cancelled: false }, { after: null, rows: 100 });
    await prune();
    expect(await fixture.store.find([ids.a!])).toHaveLength(1);
    await settleOne(fixture.store, b!);
    const { c } = await claimByRef(fixture.store);
    await settleOne(fixture.store, c!);
    await prune();
    expect(await fixture.store.find([ids.a!])).toHaveLength(0);
  });

  it('accept the ids of stored jobs, running or ended', async () => {
    const ids = await enqueue(['running'], ['done'], ['failed']);
    const claims = await claimByRef(fixture.store);
    await settleOne(fixture.store, claims.done!);
    await settleOne(fixture.store, claims.failed!, outcomes.failed());
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    const [late, atOnce, cancelled] = await engine.enqueueMany([
      linkedJob('late', [ids.running!]),
      linkedJob('at once', [ids.done!]),
      linkedJob('cancelled', [ids.done!, ids.failed!]),
    ]);
    expect(cancelled).toMatchObject({ status: 'cancelled', lastError: `parent ${ids.failed} failed` });
    expect(atOnce!.runAt.getTime()).toBeLessThan(Date.now() + 60_000);
    expect(await waitingOn(late!.id)).toBe(1);
    expect(await refsOf()).toEqual(['at once']);
    // The claim did not know that a job would wait.
    await settleOne(fixture.store, claims.running!);
    expect(await refsOf()).toEqual(['late']);
  });

  it('are refused for an unknown id, and nothing is stored', async () => {
    const unknown = '01890000-0000-7000-8000-000000000000';
    const refused = enqueue(['a'], ['b', ['a', unknown]]);
    await expect(refused).rejects.toThrow(`jobs[1].dependsOn[1]`);
    expect(await fixture.sql('SELECT id FROM _jobs')).toEqual([]);
  });

  it('are stored in the transaction of the caller, or not at all', async () => {
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    const jobs = [linkedJob('a'), linkedJob('b', ['a'])];
    await fixture.app
      .transaction(async (manager) => {
        await engine.enqueueMany(jobs, manager);
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect(await fixture.sql('SELECT parent_id FROM _jobs_links')).toEqual([]);
    await fixture.app.transaction((manager) => engine.enqueueMany(jobs, manager));
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    expect(await refsOf()).toEqual(['b']);
  });

  it('keep the runAt and the delay of a child', async () => {
    const runAt = new Date('2100-01-01T00:00:00Z');
    const ids = await enqueue(['a'], ['b', ['a'], { runAt }], ['c', ['a'], { delay: '1h' }]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    expect((await fixture.job(ids.b!)).runAt).toEqual(runAt);
    const inMs = (await fixture.job(ids.c!)).runAt.getTime() - (await fixture.now()).getTime();
    expect(inMs).toBeGreaterThan(3_500_000);
    expect(inMs).toBeLessThanOrEqual(3_600_000);
  });

  it('start a child at the time that its links store', async () => {
    const ids = await enqueue(['a'], ['b'], ['c', ['a', 'b'], { runAt: new Date('2100-01-01T00:00:00Z') }]);
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!);
    await settleOne(fixture.store, b!);
    expect((await fixture.job(ids.c!)).runAt).toEqual(new Date('2100-01-01T00:00:00Z'));
  });

  it('refuse to promote a blocked job', async () => {
    const ids = await enqueue(['a'], ['b', ['a']]);
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await expect(engine.jobs.promote(ids.b!)).rejects.toThrow(JobStateError);
    expect(await waitingOn(ids.b!)).toBe(1);
  });

  it('re-queue the jobs that were cancelled because of a parent', async () => {
    const ids = await enqueue(['a'], ['x'], ['b', ['a', 'x']], ['c', ['b']], ['d', ['b', 'c']]);
    const { a, x } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    await settleOne(fixture.store, x!);
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await engine.jobs.requeue(ids.a!, { dependants: true });
    expect([await waitingOn(ids.b!), await waitingOn(ids.c!), await waitingOn(ids.d!)]).toEqual([1, 1, 2]);
    for (const ref of ['a', 'b', 'c', 'd']) {
      const claims = await claimByRef(fixture.store);
      expect(Object.keys(claims)).toEqual([ref]);
      await settleOne(fixture.store, claims[ref]!);
    }
  });

  it.each([
    ['the first failed one first', ['a', 'b'], false],
    ['the last failed one first', ['b', 'a'], false],
    ['the last failed one first, which completes before the other is re-queued', ['b', 'a'], true],
    ['the first failed one first, which completes before the other is re-queued', ['a', 'b'], true],
  ])('re-queue a job whose two parents have failed: %s', async (_title, order, completesBetween) => {
    const ids = await enqueue(['a'], ['b'], ['c', ['a', 'b']], ['d', ['c']]);
    const { a, b } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    await settleOne(fixture.store, b!, outcomes.failed());
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    for (const [index, ref] of order.entries()) {
      await engine.jobs.requeue(ids[ref]!, { dependants: true });
      expect(await status(ids.c)).toBe(index === 0 ? 'cancelled' : 'pending');
      if (index === 1 || completesBetween) {
        for (const claimed of Object.values(await claimByRef(fixture.store))) {
          await settleOne(fixture.store, claimed);
        }
      }
    }
    for (const ref of ['c', 'd']) {
      const claims = await claimByRef(fixture.store);
      expect(Object.keys(claims)).toEqual([ref]);
      await settleOne(fixture.store, claims[ref]!);
    }
    expect(await fixture.store.links.repair(null)).toMatchObject({ changes: { released: [], cancelled: [] } });
  });

  it('re-queue one of the jobs with the same unique key that a parent has cancelled', async () => {
    const ids = await enqueue(['a'], ['b', ['a'], { uniqueKey: 'k' }], ['c', ['a']]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    await fixture.store.requeue([ids.a!]);
    const { later, after } = await enqueue(['later', [ids.a!], { uniqueKey: 'k' }], ['after', ['later']]);
    const { a: again } = await claimByRef(fixture.store);
    await settleOne(fixture.store, again!, outcomes.failed());
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    expect(await engine.jobs.requeue(ids.a!, { dependants: true })).toMatchObject({ status: 'pending' });
    expect([await status(ids.b), await status(later)]).toEqual(['cancelled', 'pending']);
    expect([await waitingOn(ids.c!), await waitingOn(later!), await waitingOn(after!)]).toEqual([1, 1, 1]);
  });

  it.each(['parent', 'child'])('re-queue a %s whose unique key an ended job keeps beyond its time', async (ref) => {
    const ids = await enqueue(
      ['parent', undefined, ref === 'parent' ? { uniqueKey: 'k' } : {}],
      ['child', ['parent'], ref === 'child' ? { uniqueKey: 'k' } : {}],
    );
    const { parent } = await claimByRef(fixture.store);
    await settleOne(fixture.store, parent!, outcomes.failed());
    const { holder } = await enqueue(['holder', undefined, { uniqueKey: 'k', uniqueFor: '1h' }]);
    const { holder: claimed } = await claimByRef(fixture.store);
    await settleOne(fixture.store, claimed!);
    await fixture.set(holder!, { unique_until: { msFromNow: -1_000 } });
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    expect(await engine.jobs.requeue(ids.parent!, { dependants: true })).toMatchObject({ status: 'pending' });
    expect(await waitingOn(ids.child!)).toBe(1);
  });

  it('say that the key of a re-queued parent is taken', async () => {
    const ids = await enqueue(['a', undefined, { uniqueKey: 'k' }], ['b', ['a']]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    const { holder } = await enqueue(['holder', undefined, { uniqueKey: 'k' }]);
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await expect(engine.jobs.requeue(ids.a!, { dependants: true })).rejects.toMatchObject({ holderId: holder });
    expect([await status(ids.a), await status(ids.b)]).toEqual(['failed', 'cancelled']);
  });

  it('leave a job that an operator has re-queued and cancelled since', async () => {
    const ids = await enqueue(['a'], ['b', ['a']], ['c', ['a']]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await engine.jobs.requeue(ids.b!);
    await engine.jobs.cancel(ids.b!);
    await engine.jobs.requeue(ids.a!, { dependants: true });
    expect([await status(ids.b), await status(ids.c)]).toEqual(['cancelled', 'pending']);
  });

  it('re-queue hundreds of descendants, deep and wide', async () => {
    const chain = Array.from({ length: 250 }, (_, index): [string, string[]] => [
      `c${index}`,
      [index === 0 ? 'a' : `c${index - 1}`],
    ]);
    const children = Array.from({ length: 250 }, (_, index): [string, string[]] => [`w${index}`, ['a']]);
    const ids = await enqueue(['a'], ...chain, ...children, ['last', ['c249', 'w249']]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    expect(await status(ids.last)).toBe('cancelled');
    const { dependants } = await fixture.store.links.requeueDependants(ids.a!);
    expect(new Set(dependants.map(({ id }) => id)).size).toBe(501);
    expect(await fixture.store.links.blocked([ids.c249!, ids.w249!, ids.last!])).toHaveLength(3);
    expect(await waitingOn(ids.last!)).toBe(2);
  });

  it('re-queue the dependants that an interrupted call has left', async () => {
    const ids = await enqueue(['a'], ['b', ['a']], ['c', ['b']]);
    const { a } = await claimByRef(fixture.store);
    await settleOne(fixture.store, a!, outcomes.failed());
    await fixture.store.requeue([ids.a!]);
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    expect(await engine.jobs.requeue(ids.a!, { dependants: true })).toMatchObject({ status: 'pending' });
    expect([await waitingOn(ids.b!), await waitingOn(ids.c!)]).toEqual([1, 1]);
    await expect(engine.jobs.requeue(ids.a!, { dependants: true })).rejects.toThrow(JobStateError);
  });

  it('are repaired when something else has ended a parent', async () => {
    const ids = await enqueue(['a'], ['b', ['a']], ['c'], ['d', ['c']], ['e'], ['f', ['e']]);
    const finished = await fixture.now();
    await fixture.set(ids.a!, { status: 'completed', finished });
    await fixture.sql(`DELETE FROM _jobs WHERE id IN ('${ids.c}', '${ids.f}')`);
    expect(await fixture.store.links.followOwed(-1_000)).toBe(1);
    expect(await status(ids.b)).toBe('pending');
    const { changes, removed, next } = await fixture.store.links.repair(null);
    expect(changes).toMatchObject({ released: [], cancelled: [{ id: ids.d }] });
    expect(removed).toBeGreaterThan(0);
    expect(next).toBeNull();
    expect(await fixture.sql(`SELECT parent_id FROM _jobs_links WHERE child_id = '${ids.f}'`)).toEqual([]);
    expect(await fixture.store.links.repair(null)).toMatchObject({ removed: 0, next: null });
  });
});

describe.each(storeKinds().filter((kind) => kind.locksRows))('links that take too long to end on $label', (kind) => {
  const fixture = useStore(kind);

  /** Refuses a statement that ends more than 100 links, as the statement timeout does. */
  const limitLinks = (): Promise<unknown> =>
    fixture.sql(`
      CREATE OR REPLACE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM changed) > 100 THEN RAISE 'too slow' USING ERRCODE = 'query_canceled'; END IF;
        RETURN NULL;
      END $$;
      CREATE OR REPLACE TRIGGER refuse_many AFTER UPDATE ON _jobs_links REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()`);

  const children = Array.from({ length: 300 }, (_, index) => linkedJob(`c${index}`, ['a']));
  const waiting = (): Promise<unknown[]> =>
    fixture.sql(`SELECT 1 FROM _jobs WHERE status = 'pending' AND run_at > '9000-01-01'`);

  it('are ended in smaller sets, and do not keep the outcome of their parent from being recorded', async () => {
    await enqueueLinked(fixture.store, [linkedJob('a'), ...children]);
    await limitLinks();
    const { a } = await claimByRef(fixture.store);
    expect(await settleOne(fixture.store, a!)).toMatchObject([{ applied: true, status: 'completed' }]);
    await until(async () => (await waiting()).length === 0, { message: 'the end of the links' });
    expect(Object.keys(await claimByRef(fixture.store))).toHaveLength(300);
  });

  it.each([
    ['is cancelled', (id: string) => fixture.store.cancel([id])],
    ['is deleted', (id: string) => fixture.store.delete([id])],
    [
      'expires',
      async (id: string) => {
        await fixture.set(id, { expires_at: { msFromNow: -1_000 } });
        return fixture.store.expire(10);
      },
    ],
  ])('are ended although the parent %s', async (_title, end) => {
    const { a } = await enqueueLinked(fixture.store, [linkedJob('a'), ...children]);
    await limitLinks();
    await end(a!);
    await until(async () => (await waiting()).length === 0, { message: 'the end of the links' });
    expect(await fixture.sql(`SELECT 1 FROM _jobs WHERE status = 'pending'`)).toEqual([]);
  });
});
