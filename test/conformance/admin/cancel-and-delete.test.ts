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

async function jobIn(fixture: StoreFixture, status: JobStatus): Promise<string> {
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

  it('ends a waiting job at once', async () => {
    const id = await insertOne(fixture.store, { delayMs: 60_000 });
    const { runAt } = await fixture.job(id);
    expect(await fixture.store.cancel([id])).toMatchObject([
      { id, moved: true, status: 'cancelled', topic: TOPIC, attempt: 0, holderId: null },
    ]);
    const job = await fixture.job(id);
    expect(job).toMatchObject({ status: 'cancelled', cancelRequested: true, runAt, lastError: null, errors: [] });
    expect(job.finished).toEqual(job.updated);
    await fixture.set(id, { run_at: { msFromNow: -1_000 } });
    expect(await claim(fixture.store)).toEqual([]);
  });

  it('marks a running job, which goes on under its lease', async () => {
    const { id } = await claimOne(fixture.store);
    const before = await fixture.job(id);
    expect(await fixture.store.cancel([id])).toMatchObject([
      { id, moved: true, status: 'processing', topic: TOPIC, attempt: 1, holderId: null },
    ]);
    const job = await fixture.job(id);
    expect(job).toEqual({ ...before, cancelRequested: true, updated: job.updated });
    expect(await fixture.store.cancel([id])).toMatchObject([{ moved: true, status: 'processing' }]);
  });

  it.each(['completed', 'failed', 'cancelled'] as const)('leaves a job that is %s already', async (status) => {
    const id = await jobIn(fixture, status);
    const before = await fixture.job(id);
    expect(await fixture.store.cancel([id])).toMatchObject([
      { id, moved: false, status, topic: TOPIC, attempt: 1, holderId: null },
    ]);
    expect(await fixture.job(id)).toEqual(before);
  });

  it('frees the unique key of a waiting job, and keeps that of a running one', async () => {
    const waiting = await insertOne(fixture.store, { uniqueKey: 'a', delayMs: 60_000 });
    const { id: running } = await claimOne(fixture.store, { uniqueKey: 'b' });
    await fixture.store.cancel([waiting, running]);
    const again = await fixture.store.insert(
      ['a', 'b'].map((uniqueKey, index) => newJob({ uniqueKey, priority: index })),
    );
    expect(again.map(({ deduplicated }) => deduplicated)).toEqual([false, true]);
  });

  it('answers many jobs in the order given', async () => {
    const running = await jobIn(fixture, 'processing');
    const failed = await jobIn(fixture, 'failed');
    const waiting = await jobIn(fixture, 'pending');
    const moved = await fixture.store.cancel([waiting, uuidv7(), running, failed]);
    expect(moved.map((answer) => [answer.moved, answer.status, answer.holderId])).toEqual([
      [true, 'cancelled', null],
      [false, null, null],
      [true, 'processing', null],
      [false, 'failed', null],
    ]);
    expect(await fixture.store.cancel([])).toEqual([]);
  });

  it('cancels a thousand jobs in one call', async () => {
    const ids = await insertMany(fixture.store, 1_000);
    const moved = await fixture.store.cancel(ids);
    expect(moved.every((answer) => answer.moved && answer.status === 'cancelled')).toBe(true);
  });
});

describe.each(storeKinds())('delete on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(['pending', 'completed', 'failed', 'cancelled'] as const)('removes a job that is %s', async (status) => {
    const id = await jobIn(fixture, status);
    const { attempt } = await fixture.job(id);
    expect(await fixture.store.delete([id])).toMatchObject([
      { id, moved: true, status, topic: TOPIC, attempt, holderId: null },
    ]);
    expect(await fixture.store.find([id])).toEqual([]);
    expect(await fixture.store.delete([id])).toMatchObject([
      { id, moved: false, status: null, topic: null, attempt: 0, holderId: null },
    ]);
  });

  it('leaves a running job', async () => {
    const id = await jobIn(fixture, 'processing');
    const before = await fixture.job(id);
    expect(await fixture.store.delete([id])).toMatchObject([
      { id, moved: false, status: 'processing', topic: TOPIC, attempt: 1, holderId: null },
    ]);
    expect(await fixture.job(id)).toEqual(before);
  });

  it('frees the unique key of a waiting job', async () => {
    const id = await insertOne(fixture.store, { uniqueKey: 'a' });
    await fixture.store.delete([id]);
    expect(await fixture.store.insert([newJob({ uniqueKey: 'a' })])).toMatchObject([{ deduplicated: false }]);
  });

  it('names no holder of a key when it removes an ended job beside the running one', async () => {
    const ended = await claimOne(fixture.store, { uniqueKey: 'a' });
    await fixture.store.settle([settlement(ended, outcomes.failed())]);
    await insertOne(fixture.store, { uniqueKey: 'a' });
    expect(await fixture.store.delete([ended.id])).toMatchObject([{ moved: true, status: 'failed', holderId: null }]);
  });

  it('answers many jobs in the order given', async () => {
    const claims = await claimMany(fixture.store, 2);
    const waiting = await insertOne(fixture.store);
    const missing = uuidv7();
    const moved = await fixture.store.delete([claims[1]!.id, missing, waiting, claims[0]!.id]);
    expect(moved.map((answer) => answer.id)).toEqual([claims[1]!.id, missing, waiting, claims[0]!.id]);
    expect(moved.map((answer) => answer.moved)).toEqual([false, false, true, false]);
    expect(await fixture.store.delete([])).toEqual([]);
  });
});
