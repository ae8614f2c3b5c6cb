import type { Claim } from '../../../lib/core/job.js';
import type { FinalStatus } from '../../../lib/core/job-state.js';
import { claim, claimMany, claimOne, LEASE_MS, outcomes, settlement } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

/*
 * A claim says where its row is. The row may be written, and be elsewhere, before the job is completed.
 */

/** What writes a claimed row, and leaves the attempt its owner. */
const writers: [string, (fixture: StoreFixture, claims: readonly Claim[]) => Promise<unknown>][] = [
  ['nobody', () => Promise.resolve()],
  ['a renewal', ({ store }, claims) => store.renew(claims, LEASE_MS)],
  ['a beginning', ({ store }, claims) => store.markStarted(claims)],
  ['progress', ({ store }, claims) => store.recordProgress(claims.map((token) => ({ token, progress: '1' })))],
  [
    'somebody',
    (fixture, claims) =>
      fixture.set(
        claims.map(({ id }) => id),
        { metadata: '{"by":"hand"}' },
      ),
  ],
];

describe.each(storeKinds())('a row that was claimed and has moved on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(writers)('is completed when %s wrote it', async (_who, write) => {
    const claims = await claimMany(fixture.store, 10);
    await write(
      fixture,
      claims.filter((_, index) => index % 2 === 0),
    );
    const settled = await fixture.store.settle(
      claims.map((token) => settlement(token, outcomes.completed(`"${token.id}"`))),
    );
    expect(settled).toEqual(
      claims.map(() => ({ applied: true, status: 'completed', attempt: 1, retries: null, runAt: null })),
    );
    const jobs = await fixture.store.find(claims.map(({ id }) => id));
    expect(jobs.map(({ id, status, result }) => ({ id, status, result }))).toEqual(
      jobs.map(({ id }) => ({ id, status: 'completed', result: id })),
    );
  });

  it.each(writers)('is completed and removed when %s wrote it', async (_who, write) => {
    const claims = await claimMany(fixture.store, 4);
    await write(fixture, claims.slice(2));
    const settled = await fixture.store.settle(
      claims.map((token) => settlement(token, outcomes.completed())),
      ['completed'],
    );
    expect(settled.map(({ applied, status }) => ({ applied, status }))).toEqual(
      claims.map(() => ({ applied: true, status: 'completed' })),
    );
    expect(await fixture.store.find(claims.map(({ id }) => id))).toEqual([]);
  });

  it('is cancelled when that was asked for meanwhile', async () => {
    const claims = await claimMany(fixture.store, 3);
    await fixture.store.cancel([claims[1]!.id]);
    const settled = await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
    expect(settled.map(({ status }) => status)).toEqual(['completed', 'cancelled', 'completed']);
  });

  it('is found when the table was packed', async () => {
    const [removed, ...claims] = await claimMany(fixture.store, 6);
    await fixture.store.settle([settlement(removed!, outcomes.completed())], ['completed']);
    await fixture.sql(fixture.app.options.type === 'postgres' ? 'VACUUM FULL _jobs' : 'VACUUM');
    const [first, ...others] = claims;
    const settled = await fixture.store.settle([settlement(first!, outcomes.completed())]);
    expect(settled).toMatchObject([{ applied: true, status: 'completed' }]);
    const jobs = await fixture.store.find(others.map(({ id }) => id));
    expect(jobs.map(({ status }) => status)).toEqual(others.map(() => 'processing'));
  });

  describe.each([[[]], [['completed']]] as [FinalStatus[]][])(
    'whose place another row has, with %j not kept',
    (discardStatuses) => {
      it('is completed, and that one is not', async () => {
        const [moved, other] = await claimMany(fixture.store, 2);
        const misled = { ...moved!, place: other!.rowRef! };
        const settled = await fixture.store.settle([settlement(misled, outcomes.completed())], discardStatuses);
        expect(settled).toMatchObject([{ applied: true, status: 'completed' }]);
        const jobs = await fixture.store.find([moved!.id, other!.id]);
        const left = new Map(jobs.map(({ id, status }) => [id, status]));
        expect(left.get(other!.id)).toBe('processing');
        expect(left.get(moved!.id)).toBe(discardStatuses.length > 0 ? undefined : 'completed');
      });

      it('is completed beside that one', async () => {
        const [moved, other] = await claimMany(fixture.store, 2);
        const misled = { ...moved!, place: other!.rowRef! };
        const settled = await fixture.store.settle(
          [misled, other!].map((token) => settlement(token, outcomes.completed())),
          discardStatuses,
        );
        expect(settled).toMatchObject([
          { applied: true, status: 'completed' },
          { applied: true, status: 'completed' },
        ]);
        const jobs = await fixture.store.find([moved!.id, other!.id]);
        expect(jobs.filter(({ status }) => status !== 'completed')).toEqual([]);
        expect(jobs).toHaveLength(discardStatuses.length > 0 ? 0 : 2);
      });

      it('is not completed by an earlier attempt, alone or beside the running one', async () => {
        const stale = await claimOne(fixture.store);
        await fixture.expire(stale.id);
        await fixture.store.rescue(10);
        const [running] = await claim(fixture.store, { worker: 'another' });
        const misled = { ...stale, place: running!.rowRef! };
        const before = await fixture.job(stale.id);
        expect(await fixture.store.settle([settlement(misled, outcomes.completed())], discardStatuses)).toMatchObject([
          { applied: false, status: 'processing', attempt: 2 },
        ]);
        expect(await fixture.job(stale.id)).toEqual(before);
        const settled = await fixture.store.settle(
          [misled, running!].map((token) => settlement(token, outcomes.completed())),
          discardStatuses,
        );
        expect(settled.map(({ applied }) => applied)).toEqual([false, true]);
      });
    },
  );
});
