import type { ClaimToken, Outcome } from '../../../lib/core/job.js';
import type { FinalStatus } from '../../../lib/core/job-state.js';
import { claim, claimMany, claimOne, insertMany, insertOne, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const ALL: FinalStatus[] = ['completed', 'failed', 'cancelled'];

describe.each(storeKinds())('a retention of zero on $label', (kind) => {
  const fixture = useStore(kind);

  const settle = (
    token: ClaimToken,
    outcome: Outcome,
    discardStatuses: FinalStatus[],
  ): ReturnType<typeof fixture.store.settle> => fixture.store.settle([settlement(token, outcome)], discardStatuses);

  const remaining = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id')).map(({ id }) => id);

  it.each<[FinalStatus[], FinalStatus[]]>([
    [['completed'], ['failed', 'cancelled', 'cancelled']],
    [['failed'], ['completed', 'cancelled', 'cancelled']],
    [['cancelled'], ['completed', 'failed']],
    [ALL, []],
    [[], ['completed', 'failed', 'cancelled', 'cancelled']],
  ])('deletes settled jobs that are %j and keeps those that are %j', async (discardStatuses, left) => {
    const claims = await claimMany(fixture.store, 4);
    const kinds = [outcomes.completed(), outcomes.failed(), outcomes.cancelled(), outcomes.completed()];
    await fixture.set(claims[3]!.id, { cancel_requested: true });
    const settled = await fixture.store.settle(
      claims.map((token, index) => settlement(token, kinds[index]!)),
      discardStatuses,
    );
    expect(settled.map(({ applied, status }) => (applied ? status : null))).toEqual([...ALL, 'cancelled']);
    const jobs = await fixture.store.find(claims.map(({ id }) => id));
    expect(jobs.map(({ status }) => status).sort()).toEqual([...left].sort());
  });

  it('deletes jobs with a cancel request, except those with an idempotency key', async () => {
    const [plain, other] = await insertMany(fixture.store, 2, { delayMs: 60_000 });
    const known = await insertOne(fixture.store, { delayMs: 60_000, idempotency: { key: 'key', bodyHash: 'body' } });
    await fixture.store.cancel([plain!, known]);
    const tokens = [plain!, other!, known].map((id) => ({ id, attempt: 0 }));
    await fixture.store.discard(tokens, ['cancelled']);
    expect(await remaining()).toEqual([other, known].sort());
  });

  it('keeps jobs that return to waiting', async () => {
    const claims = await claimMany(fixture.store, 3);
    const kinds = [outcomes.retry(), outcomes.snooze(1_000), outcomes.release()];
    await fixture.store.settle(
      claims.map((token, index) => settlement(token, kinds[index]!)),
      ALL,
    );
    expect(await remaining()).toEqual(claims.map(({ id }) => id).sort());
  });

  it('keeps a job that another attempt runs or has ended', async () => {
    const stale = await claimOne(fixture.store);
    await settle(stale, outcomes.release(), ALL);
    const [current] = await claim(fixture.store);
    expect(await settle(stale, outcomes.completed(), ALL)).toMatchObject([{ applied: false, status: 'processing' }]);
    await settle(current!, outcomes.completed(), []);
    expect(await settle(stale, outcomes.completed(), ALL)).toMatchObject([{ applied: false, status: 'completed' }]);
    expect(await remaining()).toEqual([stale.id]);
  });

  it('keeps a job that was requeued since', async () => {
    const requeued = await claimOne(fixture.store);
    await settle(requeued, outcomes.failed(), []);
    await fixture.store.requeue([requeued.id]);
    expect(await settle(requeued, outcomes.completed(), ALL)).toMatchObject([{ applied: false, status: 'pending' }]);
    expect(await remaining()).toEqual([requeued.id]);
  });

  it('deletes jobs that a first try settled whose response was lost', async () => {
    const token = await claimOne(fixture.store);
    await settle(token, outcomes.failed(), []);
    expect(await settle(token, outcomes.failed(), ALL)).toMatchObject([{ applied: false, status: 'failed' }]);
    expect(await remaining()).toEqual([]);
  });
});
