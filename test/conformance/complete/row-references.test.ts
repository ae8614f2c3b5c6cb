import type { Claim } from '../../../lib/core/job.js';
import type { FinalStatus } from '../../../lib/core/job-state.js';
import { claim, claimMany, claimOne, LEASE_MS, outcomes, settlement } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

/* A claim returns a reference to its row. A write may move the row before the job is completed. */

/** Writes to a claimed row after which the attempt still owns the job. */
const writers: [string, (fixture: StoreFixture, claims: readonly Claim[]) => Promise<unknown>][] = [
  ['no write', () => Promise.resolve()],
  ['a renewal', ({ store }, claims) => store.renew(claims, LEASE_MS)],
  ['markStarted', ({ store }, claims) => store.markStarted(claims)],
  ['progress', ({ store }, claims) => store.recordProgress(claims.map((token) => ({ token, progress: '1' })))],
  [
    'an application',
    (fixture, claims) =>
      fixture.set(
        claims.map(({ id }) => id),
        { metadata: '{"by":"hand"}' },
      ),
  ],
];

describe.each(storeKinds())('a claimed row that may have moved on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(writers)('is completed after %s', async (_who, write) => {
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

  it.each(writers)('is completed and deleted after %s', async (_who, write) => {
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

  it('is cancelled after a cancel request', async () => {
    const claims = await claimMany(fixture.store, 3);
    await fixture.store.cancel([claims[1]!.id]);
    const settled = await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
    expect(settled.map(({ status }) => status)).toEqual(['completed', 'cancelled', 'completed']);
  });

  it('is found after a VACUUM', async () => {
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
    'whose reference leads to another row, with %j not kept,',
    (discardStatuses) => {
      it('is completed, and the other row is not', async () => {
        const [moved, other] = await claimMany(fixture.store, 2);
        const misled = { ...moved!, rowRef: other!.rowRef! };
        const settled = await fixture.store.settle([settlement(misled, outcomes.completed())], discardStatuses);
        expect(settled).toMatchObject([{ applied: true, status: 'completed' }]);
        const jobs = await fixture.store.find([moved!.id, other!.id]);
        const left = new Map(jobs.map(({ id, status }) => [id, status]));
        expect(left.get(other!.id)).toBe('processing');
        expect(left.get(moved!.id)).toBe(discardStatuses.length > 0 ? undefined : 'completed');
      });

      it('is completed together with the other row', async () => {
        const [moved, other] = await claimMany(fixture.store, 2);
        const misled = { ...moved!, rowRef: other!.rowRef! };
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

      it('is not completed by an earlier attempt, alone or in a batch with the running one', async () => {
        const stale = await claimOne(fixture.store);
        await fixture.expire(stale.id);
        await fixture.store.rescue(10);
        const [running] = await claim(fixture.store, { worker: 'another' });
        const misled = { ...stale, rowRef: running!.rowRef! };
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
