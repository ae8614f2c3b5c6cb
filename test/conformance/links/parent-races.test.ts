import { JobsEngine } from 'nestjs-jobs';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { LinkChanges } from '../../../lib/store/links/link-store.js';
import type { Settlement } from '../../../lib/store/jobs/job-records.js';
import { outcomes, settlement } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleOne } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const kinds = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);

/** Repeats the call: a settlement waits for locked rows for a short time only. */
const settleInTheEnd = (store: JobStore, set: Settlement): Promise<boolean> =>
  until(async () => (await store.settle([set]))[0]!.applied, { message: 'the settlement' });

describe.each(kinds)('parents that end at the same moment on $label', (kind) => {
  const fixture = useStore(kind);

  it('release each child once, settled by two processes', async () => {
    const { store: other } = await fixture.openAnother();
    const released: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      await enqueueLinked(fixture.store, [linkedJob('a'), linkedJob('b'), linkedJob('c', ['a', 'b'])]);
      for (const store of [fixture.store, other]) {
        store.links.observe((changes) => released.push(...changes.released.map(({ id }) => id)));
      }
      const { a, b } = await claimByRef(fixture.store);
      const completed = outcomes.completed();
      await Promise.all([
        settleInTheEnd(fixture.store, settlement(a!, completed)),
        settleInTheEnd(other, settlement(b!, completed)),
      ]);
      await Promise.all([fixture.store.links.idle(), other.links.idle()]);
      const { c } = await claimByRef(fixture.store);
      expect(released.splice(0)).toEqual([c!.id]);
      await settleOne(fixture.store, c!);
    }
  });
});

describe.each(kinds)('a chain that is cancelled at two places at the same moment on $label', (kind) => {
  const fixture = useStore(kind);

  it('is cancelled as a whole', async () => {
    const { store: other } = await fixture.openAnother();
    const engines = [fixture.store, other].map((store) => new JobsEngine({ store, role: 'producer' }));
    for (let round = 0; round < 10; round += 1) {
      const chain = Array.from({ length: 20 }, (_, index) =>
        linkedJob(`c${index}`, index > 0 ? [`c${index - 1}`] : []),
      );
      const { c0, c10 } = await enqueueLinked(fixture.store, chain);
      // A call rejects if its job is cancelled already, or if it has waited too long for locked rows.
      const isCancelled = async (): Promise<boolean> => {
        await Promise.allSettled([engines[0]!.jobs.cancel(c0!), engines[1]!.jobs.cancel(c10!)]);
        return (await fixture.sql(`SELECT 1 FROM _jobs WHERE status <> 'cancelled'`)).length === 0;
      };
      await until(isCancelled, { message: 'the cancellation of the chain' });
    }
  });
});

describe.each(kinds)('parents that end in a transaction and in another process on $label', (kind) => {
  const fixture = useStore(kind);

  it.each([
    ['a', 'b'],
    ['b', 'a'],
  ] as const)('release the child once: %s ends in the transaction, %s meanwhile', async (early, late) => {
    const { store: other } = await fixture.openAnother();
    await enqueueLinked(fixture.store, [linkedJob('a'), linkedJob('b'), linkedJob('c', ['a', 'b'])]);
    const claims = await claimByRef(fixture.store);
    const first = await fixture.begin();
    const changes = await fixture.store.completeTx(first.manager, claims[early]!, null);
    const settling = settleInTheEnd(other, settlement(claims[late]!, outcomes.completed()));
    // SQLite has one writer: there the other process waits for the commit.
    const claimedEarly = kind.locksRows ? settling.then(() => claimByRef(fixture.store)) : Promise.resolve({});
    expect(await claimedEarly).toEqual({});
    await first.commit();
    fixture.store.links.report(changes);
    await settling;
    await Promise.all([fixture.store.links.idle(), other.links.idle()]);
    expect(Object.keys(await claimByRef(fixture.store))).toEqual(['c']);
  });
});

const lockingKinds = kinds.filter(({ locksRows }) => locksRows);

describe.each(lockingKinds)('parents that end in open transactions on $label', (kind) => {
  const fixture = useStore(kind);
  const setUp = async (): Promise<Awaited<ReturnType<typeof claimByRef>>> => {
    await enqueueLinked(fixture.store, [linkedJob('a'), linkedJob('b'), linkedJob('c', ['a', 'b'])]);
    return claimByRef(fixture.store);
  };

  it.each([
    ['a', 'b'],
    ['b', 'a'],
  ] as const)('release the child once: %s and %s end without a wait, and commit in this order', async (early, late) => {
    const claims = await setUp();
    const [first, second] = [await fixture.begin(), await fixture.begin()];
    const changes: LinkChanges[] = [
      await fixture.store.completeTx(first.manager, claims[early]!, null),
      await fixture.store.completeTx(second.manager, claims[late]!, null),
    ];
    await first.commit();
    fixture.store.links.report(changes[0]!);
    await second.commit();
    fixture.store.links.report(changes[1]!);
    await fixture.store.links.idle();
    expect(Object.keys(await claimByRef(fixture.store))).toEqual(['c']);
  });

  it('keep the lock timeout of the transaction', async () => {
    const { a, b } = await setUp();
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await settleOne(fixture.store, b!);
    const changes = await fixture.app.transaction(async (manager) => {
      const lockTimeout = (): Promise<unknown> => manager.query('SHOW lock_timeout');
      const before = await lockTimeout();
      const completed = await fixture.store.completeTx(manager, a!, null);
      await engine.enqueueMany([linkedJob('d', [b!.id])], manager);
      expect(await lockTimeout()).toEqual(before);
      return completed;
    });
    fixture.store.links.report(changes);
    await fixture.store.links.idle();
    expect(Object.keys(await claimByRef(fixture.store)).sort()).toEqual(['c', 'd']);
  });

  it('release the child by the other parent when the first transaction rolls back', async () => {
    const claims = await setUp();
    const first = await fixture.begin();
    await fixture.store.completeTx(first.manager, claims.a!, null);
    await first.rollback();
    await settleOne(fixture.store, claims.b!);
    expect(Object.keys(await claimByRef(fixture.store))).toEqual([]);
    await settleOne(fixture.store, claims.a!);
    expect(Object.keys(await claimByRef(fixture.store))).toEqual(['c']);
  });

  it('record outcomes while a transaction holds the child, and release it after the commit', async () => {
    const claims = await setUp();
    await enqueueLinked(fixture.store, [linkedJob('x'), linkedJob('y', ['x'])]);
    const { x } = await claimByRef(fixture.store);
    const open = await fixture.begin();
    await open.manager.query(`SELECT 1 FROM _jobs WHERE payload = '"c"' FOR UPDATE`);
    const set = [claims.a!, claims.b!, x!].map((token) => settlement(token, outcomes.completed()));
    expect(await fixture.store.settle(set)).toMatchObject([{ applied: true }, { applied: true }, { applied: true }]);
    await until(async () => 'y' in (await claimByRef(fixture.store)), { message: 'the child that nobody holds' });
    await open.commit();
    await fixture.store.links.idle();
    expect(Object.keys(await claimByRef(fixture.store))).toEqual(['c']);
  });

  it('reject a completion under REPEATABLE READ that cannot see that its job has got the token', async () => {
    const claims = await setUp();
    const queryRunner = fixture.app.createQueryRunner();
    await queryRunner.startTransaction('REPEATABLE READ');
    await queryRunner.query('SELECT 1 FROM _jobs');
    await settleOne(fixture.store, claims.b!);
    await expect(fixture.store.completeTx(queryRunner.manager, claims.a!, null)).rejects.toThrow(
      /could not serialize access/,
    );
    await queryRunner.rollbackTransaction();
    await queryRunner.release();
    await settleOne(fixture.store, claims.a!);
    expect(Object.keys(await claimByRef(fixture.store))).toEqual(['c']);
  });

  it('release a child that is added while its parent ends', async () => {
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    const { a, b } = await setUp();
    const ending = await fixture.begin();
    await fixture.store.completeTx(ending.manager, a!, null);
    const added = engine.enqueueMany([linkedJob('d', [a!.id])]);
    await fixture.untilLockWait();
    await ending.commit();
    await added;
    expect(Object.keys(await claimByRef(fixture.store))).toEqual(['d']);
    const adding = await fixture.begin();
    await engine.enqueueMany([linkedJob('e', [b!.id])], adding.manager);
    expect(await settleOne(fixture.store, b!)).toMatchObject([{ applied: false, status: 'processing' }]);
    await adding.commit();
    await settleOne(fixture.store, b!);
    expect(Object.keys(await claimByRef(fixture.store)).sort()).toEqual(['c', 'e']);
  });
});
