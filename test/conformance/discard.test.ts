import { v7 as uuidv7 } from 'uuid';
import type { FinalStatus } from '../../lib/core/job-state.js';
import { claim, claimMany, claimOne, outcomes, settlement } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';

describe.each(storeKinds())('discard on $label', (kind) => {
  const fixture = useStore(kind);

  const remaining = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id')).map(({ id }) => id);

  it.each<[FinalStatus[], FinalStatus[]]>([
    [['completed'], ['failed', 'cancelled']],
    [['failed'], ['completed', 'cancelled']],
    [['cancelled'], ['completed', 'failed']],
    [['completed', 'failed', 'cancelled'], []],
    [[], ['completed', 'failed', 'cancelled']],
  ])('deletes settled jobs that are %j and leaves those that are %j', async (statuses, left) => {
    const claims = await claimMany(fixture.store, 3);
    const kinds = [outcomes.completed(), outcomes.failed(), outcomes.cancelled()];
    await fixture.store.settle(claims.map((token, index) => settlement(token, kinds[index]!)));
    await fixture.store.discard(claims, statuses);
    const jobs = await fixture.store.find(claims.map(({ id }) => id));
    expect(jobs.map(({ status }) => status).sort()).toEqual([...left].sort());
  });

  it('leaves jobs that are not named', async () => {
    const [named, other] = await claimMany(fixture.store, 2);
    await fixture.store.settle([named!, other!].map((token) => settlement(token, outcomes.completed())));
    await fixture.store.discard([named!, { id: uuidv7(), attempt: 1 }], ['completed']);
    expect(await remaining()).toEqual([other!.id]);
    await fixture.store.discard([], ['completed']);
    expect(await remaining()).toEqual([other!.id]);
  });

  it('leaves a job that another attempt has ended since', async () => {
    const stale = await claimOne(fixture.store);
    await fixture.store.settle([settlement(stale, outcomes.release())]);
    const [current] = await claim(fixture.store);
    await fixture.store.settle([settlement(current!, outcomes.completed())]);
    await fixture.store.discard([stale], ['completed']);
    expect(await remaining()).toEqual([stale.id]);
    await fixture.store.discard([current!], ['completed']);
    expect(await remaining()).toEqual([]);
  });

  it('leaves a job that was re-queued since, and one that still runs', async () => {
    const [requeued, running] = await claimMany(fixture.store, 2);
    await fixture.store.settle([settlement(requeued!, outcomes.failed())]);
    await fixture.store.requeue([requeued!.id]);
    await fixture.store.discard([requeued!, running!], ['completed', 'failed', 'cancelled']);
    expect(await remaining()).toEqual([requeued!.id, running!.id]);
  });
});
