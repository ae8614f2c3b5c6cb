/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { v7 as uuidv7 } from 'uuid';
import type { ClaimToken } from '../../../lib/core/job.js';
import type { ClaimState } from '../../../lib/store/jobs/job-records.js';
import {
  HELD,
  LOST,
  claim,
  claimMany,
  claimOne,
  insertOne,
  outcomes,
  rescue,
  settlement,
  dropRowRefs,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('renew on $label', (kind) => {
  const fixture = useStore(kind);

  const renew = async (tokens: readonly ClaimToken[], leaseMs = 30_000): Promise<ClaimState[]> =>
    dropRowRefs(await fixture.store.renew(tokens, leaseMs));

  it('extends the lease from now by the clock of the database, and changes nothing else', async () => {
    const token = await claimOne(fixture.store);
    const before = await fixture.job(token.id);
    expect(await renew([token], 500_000)).toEqual([HELD]);
    const now = await fixture.now();
    const { lockedUntil, ...after } = await fixture.job(token.id);
    expect(after).toEqual({ ...before, lockedUntil: undefined });
    expect(Math.abs(lockedUntil!.getTime() - now.getTime() - 500_000)).toBeLessThan(5_000);
  });

  it('shortens a lease when a shorter one is given', async () => {
    const token = await claimOne(fixture.store);
    await renew([token], 1_000);
    const { lockedUntil } = await fixture.job(token.id);
    expect(lockedUntil!.getTime()).toBeLessThan((await fixture.now()).getTime() + 2_000);
  });

  it('renews an expired lease before a rescue', async () => {
    const token = await claimOne(fixture.store);
    await fixture.expire(token.id);
    expect(await renew([token])).toEqual([HELD]);
    expect(await rescue(fixture.store, 10)).toEqual([]);
  });

  it('returns states in the order of the tokens', async () => {
    const claims = await claimMany(fixture.store, 6);
    await fixture.store.settle([claims[1]!, claims[4]!].map((token) => settlement(token, outcomes.completed())));
    const readStates = async (tokens: readonly ClaimToken[]): Promise<string[]> =>
      (await renew(tokens)).map(({ state }) => state);
    expect(await readStates(claims)).toEqual(['held', 'lost', 'held', 'held', 'lost', 'held']);
    const shuffled = [4, 0, 5, 1, 3, 2].map((index) => claims[index]!);
    expect(await readStates(shuffled)).toEqual(['lost', 'held', 'held', 'lost', 'held', 'held']);
    expect(await readStates([])).toEqual([]);
  });

  it('distinguishes two attempts of one job in one batch, in any order', async () => {
    const stale = await claimOne(fixture.store);
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store);
    expect(await renew([stale, current!])).toEqual([LOST, HELD]);
    expect(await renew([current!, stale])).toEqual([HELD, LOST]);
  });

  it('renews a thousand leases in one call', async () => {
    const claims = await claimMany(fixture.store, 1_000);
    const answers = await renew(claims.toReversed());
    expect(answers).toHaveLength(1_000);
    expect(answers.every(({ state }) => state === 'held')).toBe(true);
  });

  it.each([
    ['completed', outcomes.completed()],
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
    ['waiting again', outcomes.release()],
  ])('returns lost for a job that is %s', async (_state, outcome) => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcome)]);
    const before = await fixture.job(token.id);
    expect(await renew([token])).toEqual([LOST]);
    expect(await fixture.job(token.id)).toEqual(before);
  });

  it('returns lost for an earlier attempt, and does not change the later one', async () => {
    const stale = await claimOne(fixture.store);
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store, { worker: 'another' });
    const before = await fixture.job(stale.id);
    expect(await renew([stale], 900_000)).toEqual([LOST]);
    expect(await fixture.job(stale.id)).toEqual(before);
    expect(await renew([current!])).toEqual([HELD]);
  });

  it('returns lost for a deleted job and an unknown job', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcomes.completed())]);
    await fixture.store.delete([token.id]);
    expect(await renew([token, { id: uuidv7(), attempt: 1 }])).toEqual([LOST, LOST]);
  });

  it('returns lost for a job that was never claimed', async () => {
    const id = await insertOne(fixture.store);
    expect(
      await renew([
        { id, attempt: 0 },
        { id, attempt: 1 },
      ]),
    ).toEqual([LOST, LOST]);
    expect(await fixture.job(id)).toMatchObject({ status: 'pending', lockedUntil: null });
  });

  it('returns a cancel request', async () => {
    const [asked, left] = await claimMany(fixture.store, 2);
    await fixture.store.cancel([asked!.id]);
    expect(await renew([left!, asked!])).toEqual([HELD, { state: 'held', cancelRequested: true }]);
  });

  it('returns no cancel request for an attempt that lost its lease', async () => {
    const [ended, stale] = await claimMany(fixture.store, 2);
    await fixture.store.settle([settlement(stale!, outcomes.release())]);
    await claim(fixture.store);
    await fixture.store.cancel([ended!.id, stale!.id]);
    await fixture.store.settle([settlement(ended!, outcomes.completed())]);
    expect(await renew([ended!, stale!])).toEqual([LOST, LOST]);
  });

  it('cancelRequests returns only owned jobs with a cancel request', async () => {
    const [asked, left, stale, ended] = await claimMany(fixture.store, 4);
    await fixture.store.settle([settlement(stale!, outcomes.release())]);
    await claim(fixture.store);
    await fixture.store.cancel([asked!.id, stale!.id, ended!.id]);
    await fixture.store.settle([settlement(ended!, outcomes.completed())]);
    const tokens = [ended!, stale!, left!, asked!, { id: uuidv7(), attempt: 1 }];
    expect(await fixture.store.cancelRequests(tokens)).toEqual([{ id: asked!.id, attempt: 1 }]);
    expect(await fixture.store.cancelRequests([{ id: stale!.id, attempt: 2 }])).toEqual([
      { id: stale!.id, attempt: 2 },
    ]);
    expect(await fixture.store.cancelRequests([])).toEqual([]);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'renew beside an open completion on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('returns busy without waiting for a job in an open completion, and renews the others', async () => {
      const [first, completing, last] = await claimMany(fixture.store, 3);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, completing!, null);
      const renewals = dropRowRefs(await fixture.store.renew([first!, completing!, last!], 900_000));
      expect(renewals).toEqual([HELD, { state: 'locked', cancelRequested: false }, HELD]);
      await transaction.commit();
      expect(await fixture.store.renew([completing!], 900_000)).toEqual([LOST]);
      expect(await fixture.job(completing!.id)).toMatchObject({ status: 'completed', lockedUntil: null });
    });

    it('renews a job after its completion was rolled back', async () => {
      const token = await claimOne(fixture.store);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, token, null);
      expect(await fixture.store.renew([token], 900_000)).toMatchObject([{ state: 'locked' }]);
      await transaction.rollback();
      expect(await fixture.store.renew([token], 900_000)).toMatchObject([HELD]);
    });

    it('returns the cancel request of a busy job', async () => {
      const token = await claimOne(fixture.store);
      await fixture.store.cancel([token.id]);
      const transaction = await fixture.begin();
      await transaction.manager.query('SELECT id FROM _jobs WHERE id = $1 FOR UPDATE', [token.id]);
      expect(await fixture.store.renew([token], 900_000)).toEqual([{ state: 'locked', cancelRequested: true }]);
    });

    it('returns lost, not busy, for a locked job of another attempt', async () => {
      const stale = await claimOne(fixture.store);
      await fixture.store.settle([settlement(stale, outcomes.release())]);
      const [current] = await claim(fixture.store);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, current!, null);
      expect(await fixture.store.renew([stale], 900_000)).toEqual([LOST]);
    });
  },
);

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))(
  'renew beside an open completion on $label',
  (kind) => {
    const fixture = useStore(kind);

    it.each([
      ['commits', 'lost'],
      ['is rolled back', 'held'],
    ])('waits for the write lock until the completion %s', async (end, state) => {
      const token = await claimOne(fixture.store);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, token, null);
      const renewals = fixture.store.renew([token], 900_000);
      await fixture.untilLockWait();
      await (end === 'commits' ? transaction.commit() : transaction.rollback());
      expect(await renewals).toMatchObject([{ state }]);
    });
  },
);
