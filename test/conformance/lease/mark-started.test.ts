/** @npm-test typeorm-0.3 */

import { v7 as uuidv7 } from 'uuid';
import type { ClaimToken } from '../../../lib/core/job.js';
import type { ClaimState } from '../../../lib/store/jobs/job-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
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
import { until } from '../../support/wait.js';

async function markStarted(store: JobStore, tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
  return dropRowRefs(await store.markStarted(tokens));
}

describe.each(storeKinds())('markStarted on $label', (kind) => {
  const fixture = useStore(kind);

  it('sets started and changes no other visible field', async () => {
    const token = await claimOne(fixture.store, { maxRetries: 0 });
    await fixture.set(token.id, { started: { msFromNow: -60_000 } });
    const before = await fixture.job(token.id);
    expect(await markStarted(fixture.store, [token])).toEqual([HELD]);
    const { started, updated, ...after } = await fixture.job(token.id);
    expect(after).toEqual({ ...before, started: undefined, updated: undefined });
    expect(updated).toEqual(started);
    expect(Math.abs((await fixture.now()).getTime() - started!.getTime())).toBeLessThan(5_000);
  });

  it('returns states in the order of the tokens, and may be repeated', async () => {
    const claims = await claimMany(fixture.store, 4, { maxRetries: 0 });
    await fixture.store.settle([settlement(claims[1]!, outcomes.completed())]);
    const reversed = claims.toReversed();
    expect(await markStarted(fixture.store, reversed)).toEqual([HELD, HELD, LOST, HELD]);
    expect(await markStarted(fixture.store, reversed)).toEqual([HELD, HELD, LOST, HELD]);
    expect(await markStarted(fixture.store, [])).toEqual([]);
  });

  it('returns lost for an attempt that lost its lease, and does not change the later one', async () => {
    const stale = await claimOne(fixture.store, { maxRetries: 0 });
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store, { worker: 'another' });
    const before = await fixture.job(stale.id);
    expect(await markStarted(fixture.store, [stale, { id: uuidv7(), attempt: 1 }])).toEqual([LOST, LOST]);
    expect(await fixture.job(stale.id)).toEqual(before);
    expect(await markStarted(fixture.store, [current!])).toEqual([HELD]);
  });

  it('returns lost for an attempt with an expired lease, even before a rescue', async () => {
    const [late, live] = await claimMany(fixture.store, 2, { maxRetries: 0 });
    await fixture.expire(late!.id);
    const before = await fixture.job(late!.id);
    expect(await markStarted(fixture.store, [late!, live!])).toEqual([LOST, HELD]);
    expect(await fixture.job(late!.id)).toEqual(before);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id: late!.id, status: 'pending' }]);
  });

  it('returns lost for a job that was never claimed', async () => {
    const id = await insertOne(fixture.store, { maxRetries: 0 });
    expect(await markStarted(fixture.store, [{ id, attempt: 0 }])).toEqual([LOST]);
    expect(await fixture.job(id)).toMatchObject({ status: 'pending', started: null });
  });

  it('returns a cancel request', async () => {
    const [asked, left] = await claimMany(fixture.store, 2, { maxRetries: 0 });
    await fixture.store.cancel([asked!.id]);
    expect(await markStarted(fixture.store, [left!, asked!])).toEqual([HELD, { state: 'held', cancelRequested: true }]);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('markStarted beside locked rows on $label', (kind) => {
  const fixture = useStore(kind);

  it('returns `locked` for a locked row and marks the other jobs', async () => {
    const [first, locked, last] = await claimMany(fixture.store, 3, { maxRetries: 0 });
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT id FROM _jobs WHERE id = $1 FOR UPDATE', [locked!.id]);
    const skipped: ClaimState = { state: 'locked', cancelRequested: false };
    // The first statement, which waited, may keep its locks for a moment after it has returned.
    const states = await until(async () => {
      const answers = await markStarted(fixture.store, [first!, locked!, last!]);
      return answers.filter(({ state }) => state === 'held').length === 2 && answers;
    });
    expect(states).toEqual([HELD, skipped, HELD]);
    await transaction.rollback();
    expect(await markStarted(fixture.store, [locked!])).toEqual([HELD]);
  });

  it('returns the new reference of each row', async () => {
    const claims = await claimMany(fixture.store, 2, { maxRetries: 0 });
    const states = await fixture.store.markStarted(claims);
    const rows = await fixture.app.query<{ place: string }[]>('SELECT ctid AS place FROM _jobs ORDER BY id');
    expect(states.map(({ rowRef: place }) => place)).toEqual(rows.map(({ place }) => place));
    // A row that was renewed since is found by its id.
    await fixture.store.renew([claims[0]!], 900_000);
    expect(await markStarted(fixture.store, claims)).toEqual([HELD, HELD]);
  });
});
