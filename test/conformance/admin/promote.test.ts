import { v7 as uuidv7 } from 'uuid';
import { claim, claimOne, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const HOUR_MS = 3_600_000;

describe.each(storeKinds())('promote on $label', (kind) => {
  const fixture = useStore(kind);

  it('makes a delayed job due and changes nothing else', async () => {
    const id = await insertOne(fixture.store, { delayMs: HOUR_MS, priority: 3, uniqueKey: 'key' });
    const before = await fixture.job(id);
    const changed = await fixture.store.promote([id]);
    const job = await fixture.job(id);
    const answer = { id, changed: true, status: 'pending', topic: TOPIC, attempt: 0, holderId: null, reason: null };
    expect(changed).toEqual([{ ...answer, job }]);
    expect(job).toEqual({ ...before, runAt: job.updated, updated: job.updated });
    expect(before.runAt.getTime() - job.runAt.getTime()).toBeGreaterThan(HOUR_MS - 60_000);
  });

  it('makes a retrying job due and keeps its retries', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcomes.retry(HOUR_MS))]);
    expect(await claim(fixture.store)).toEqual([]);
    await fixture.store.promote([token.id]);
    expect(await claim(fixture.store)).toMatchObject([{ id: token.id, attempt: 2, retries: 1 }]);
  });

  it('keeps the position of a job that is due', async () => {
    const [first, second] = await insertMany(fixture.store, 2);
    await fixture.set(first!, { run_at: { msFromNow: -2_000 } });
    await fixture.set(second!, { run_at: { msFromNow: -1_000 } });
    const { runAt } = await fixture.job(first!);
    await fixture.store.promote([first!]);
    expect(await fixture.job(first!)).toMatchObject({ runAt });
  });

  it.each([
    ['processing', null],
    ['completed', outcomes.completed()],
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
  ])('does not change a %s job and returns its status', async (status, outcome) => {
    const token = await claimOne(fixture.store);
    if (outcome) {
      await fixture.store.settle([settlement(token, outcome)]);
    }
    const before = await fixture.job(token.id);
    expect(await fixture.store.promote([token.id])).toMatchObject([
      { id: token.id, changed: false, status, attempt: 1 },
    ]);
    expect(await fixture.job(token.id)).toEqual(before);
  });

  it('returns results in the given order, with the status null for a missing job', async () => {
    const [first, second] = await insertMany(fixture.store, 2, { delayMs: HOUR_MS });
    const running = await claimOne(fixture.store);
    const absent = uuidv7();
    const changed = await fixture.store.promote([absent, second!, running.id, first!]);
    expect(changed.map(({ id, changed: isChanged, status }) => [id, isChanged, status])).toEqual([
      [absent, false, null],
      [second, true, 'pending'],
      [running.id, false, 'processing'],
      [first, true, 'pending'],
    ]);
    expect(await fixture.store.promote([])).toEqual([]);
    expect((await claim(fixture.store)).map(({ id }) => id).sort()).toEqual([first, second].sort());
  });
});
