import { v7 as uuidv7 } from 'uuid';
import type { JobStatus } from '../../../lib/core/job-state.js';
import {
  claim,
  claimMany,
  claimOne,
  insertMany,
  insertOne,
  newJob,
  outcomes,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

const endings = { completed: outcomes.completed(), failed: outcomes.failed(), cancelled: outcomes.cancelled() };

async function createJob(fixture: StoreFixture, status: JobStatus): Promise<string> {
  if (status === 'pending') {
    return insertOne(fixture.store);
  }
  const token = await claimOne(fixture.store);
  if (status !== 'processing') {
    await fixture.store.settle([settlement(token, endings[status])]);
  }
  return token.id;
}

describe.each(storeKinds())('cancel on $label', (kind) => {
  const fixture = useStore(kind);

  it('ends a pending job at once', async () => {
    const id = await insertOne(fixture.store, { delayMs: 60_000 });
    const { runAt } = await fixture.job(id);
    expect(await fixture.store.cancel([id])).toMatchObject([
      { id, changed: true, status: 'cancelled', topic: TOPIC, attempt: 0, holderId: null },
    ]);
    const job = await fixture.job(id);
    expect(job).toMatchObject({ status: 'cancelled', cancelRequested: true, runAt, lastError: null, errors: [] });
    expect(job.finished).toEqual(job.updated);
    await fixture.set(id, { run_at: { msFromNow: -1_000 } });
    expect(await claim(fixture.store)).toEqual([]);
  });

  it('requests the cancel of a running job, which keeps its lease', async () => {
    const { id } = await claimOne(fixture.store);
    const before = await fixture.job(id);
    expect(await fixture.store.cancel([id])).toMatchObject([
      { id, changed: true, status: 'processing', topic: TOPIC, attempt: 1, holderId: null },
    ]);
    const job = await fixture.job(id);
    expect(job).toEqual({ ...before, cancelRequested: true, updated: job.updated });
    expect(await fixture.store.cancel([id])).toMatchObject([{ changed: true, status: 'processing' }]);
  });

  it.each(['completed', 'failed', 'cancelled'] as const)('does not change a %s job', async (status) => {
    const id = await createJob(fixture, status);
    const before = await fixture.job(id);
    expect(await fixture.store.cancel([id])).toMatchObject([
      { id, changed: false, status, topic: TOPIC, attempt: 1, holderId: null },
    ]);
    expect(await fixture.job(id)).toEqual(before);
  });

  it('frees the unique key of a pending job, and keeps that of a running one', async () => {
    const waiting = await insertOne(fixture.store, { uniqueKey: 'a', delayMs: 60_000 });
    const { id: running } = await claimOne(fixture.store, { uniqueKey: 'b' });
    await fixture.store.cancel([waiting, running]);
    const again = await fixture.store.insert(
      ['a', 'b'].map((uniqueKey, index) => newJob({ uniqueKey, priority: index })),
    );
    expect(again.map(({ deduplicated }) => deduplicated)).toEqual([false, true]);
  });

  it('returns results in the given order', async () => {
    const running = await createJob(fixture, 'processing');
    const failed = await createJob(fixture, 'failed');
    const waiting = await createJob(fixture, 'pending');
    const changed = await fixture.store.cancel([waiting, uuidv7(), running, failed]);
    expect(changed.map((answer) => [answer.changed, answer.status, answer.holderId])).toEqual([
      [true, 'cancelled', null],
      [false, null, null],
      [true, 'processing', null],
      [false, 'failed', null],
    ]);
    expect(await fixture.store.cancel([])).toEqual([]);
  });

  it('cancels a thousand jobs in one call', async () => {
    const ids = await insertMany(fixture.store, 1_000);
    const changed = await fixture.store.cancel(ids);
    expect(changed.every((answer) => answer.changed && answer.status === 'cancelled')).toBe(true);
  });
});

describe.each(storeKinds())('delete on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(['pending', 'completed', 'failed', 'cancelled'] as const)('removes a %s job', async (status) => {
    const id = await createJob(fixture, status);
    const { attempt } = await fixture.job(id);
    expect(await fixture.store.delete([id])).toMatchObject([
      { id, changed: true, status, topic: TOPIC, attempt, holderId: null },
    ]);
    expect(await fixture.store.find([id])).toEqual([]);
    expect(await fixture.store.delete([id])).toMatchObject([
      { id, changed: false, status: null, topic: null, attempt: 0, holderId: null },
    ]);
  });

  it('does not remove a running job', async () => {
    const id = await createJob(fixture, 'processing');
    const before = await fixture.job(id);
    expect(await fixture.store.delete([id])).toMatchObject([
      { id, changed: false, status: 'processing', topic: TOPIC, attempt: 1, holderId: null },
    ]);
    expect(await fixture.job(id)).toEqual(before);
  });

  it('frees the unique key of a waiting job', async () => {
    const id = await insertOne(fixture.store, { uniqueKey: 'a' });
    await fixture.store.delete([id]);
    expect(await fixture.store.insert([newJob({ uniqueKey: 'a' })])).toMatchObject([{ deduplicated: false }]);
  });

  it('returns no holderId when it removes an ended job whose key a running job holds', async () => {
    const ended = await claimOne(fixture.store, { uniqueKey: 'a' });
    await fixture.store.settle([settlement(ended, outcomes.failed())]);
    await insertOne(fixture.store, { uniqueKey: 'a' });
    expect(await fixture.store.delete([ended.id])).toMatchObject([{ changed: true, status: 'failed', holderId: null }]);
  });

  it('returns results in the given order', async () => {
    const claims = await claimMany(fixture.store, 2);
    const waiting = await insertOne(fixture.store);
    const missing = uuidv7();
    const changed = await fixture.store.delete([claims[1]!.id, missing, waiting, claims[0]!.id]);
    expect(changed.map((answer) => answer.id)).toEqual([claims[1]!.id, missing, waiting, claims[0]!.id]);
    expect(changed.map((answer) => answer.changed)).toEqual([false, false, true, false]);
    expect(await fixture.store.delete([])).toEqual([]);
  });
});
