import type { InsertedJob, JobInsert } from '../../../lib/store/jobs/job-records.js';
import { claim, claimOne, insertOne, newJob, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { KEY, startedJob } from '../../support/unique-jobs.js';

describe.each(storeKinds())('a unique key that a job frees when it starts on $label', (kind) => {
  const fixture = useStore(kind);

  const insert = async (job: JobInsert): Promise<InsertedJob> => (await fixture.store.insert([job]))[0]!;

  const readIds = async (): Promise<string[]> => {
    const rows = await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id');
    return rows.map(({ id }) => id);
  };

  it('returns the waiting job for a later call', async () => {
    const first = await insert(startedJob({ delayMs: 60_000 }));
    expect(await insert(startedJob())).toMatchObject({ id: first.id, deduplicated: true, replaced: false });
    expect((await fixture.job(first.id)).uniqueKey).toBe(KEY);
  });

  it('stores exactly one more job for calls during the run', async () => {
    const running = await claimOne(fixture.store, startedJob());
    const second = startedJob();
    expect(await insert(second)).toMatchObject({ id: second.id, deduplicated: false });
    expect(await insert(startedJob())).toMatchObject({ id: second.id, deduplicated: true });
    expect(await readIds()).toEqual([running.id, second.id]);
  });

  it.each([
    ['a retry', outcomes.retry()],
    ['a snooze', outcomes.snooze()],
    ['a release', outcomes.release()],
  ])('lets the older job wait again after %s while a newer one waits', async (_title, outcome) => {
    const running = await claimOne(fixture.store, startedJob());
    const newer = await insert(startedJob());
    await fixture.store.settle([settlement(running, outcome)]);
    expect(await fixture.job(running.id)).toMatchObject({ status: 'pending', attempt: 1, uniqueKey: KEY });
    expect(await insert(startedJob())).toMatchObject({ id: newer.id, deduplicated: true });
    expect((await claim(fixture.store)).map(({ id }) => id).sort()).toEqual([running.id, newer.id]);
  });

  it('lets a rescued job wait again while a newer one waits', async () => {
    const running = await claimOne(fixture.store, startedJob());
    await insert(startedJob());
    await fixture.expire(running.id);
    expect((await fixture.store.rescue(10)).rescued).toMatchObject([{ id: running.id, status: 'pending' }]);
  });

  it('re-queues a failed job while a newer one waits', async () => {
    const running = await claimOne(fixture.store, startedJob());
    await insert(startedJob());
    await fixture.store.settle([settlement(running, outcomes.failed())]);
    expect(await fixture.store.requeue([running.id])).toMatchObject([{ changed: true, status: 'pending' }]);
  });

  it('does not re-queue a job that never started while a newer one waits', async () => {
    const older = await insert(startedJob());
    await fixture.store.cancel([older.id]);
    const newer = await insert(startedJob());
    expect(newer.deduplicated).toBe(false);
    expect(await fixture.store.requeue([older.id])).toMatchObject([{ changed: false, holderId: newer.id }]);
  });

  it('re-queues one of two jobs that never started, in one call', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 2; count += 1) {
      const { id } = await insert(startedJob());
      await fixture.store.cancel([id]);
      ids.push(id);
    }
    expect(await fixture.store.requeue(ids)).toMatchObject([{ changed: true }, { changed: false, holderId: ids[0] }]);
  });

  it('is found by its key until it starts', async () => {
    const { id } = await insert(startedJob());
    expect((await fixture.store.findHolder(TOPIC, KEY))?.id).toBe(id);
    await claim(fixture.store);
    expect(await fixture.store.findHolder(TOPIC, KEY)).toBeUndefined();
  });

  it('stores the first of two jobs of one set', async () => {
    const [first, second] = [startedJob(), startedJob()];
    expect(await fixture.store.insert([first, second])).toMatchObject([
      { id: first.id, deduplicated: false },
      { id: first.id, deduplicated: true },
    ]);
  });

  it('stores one of thirty-two concurrent jobs', async () => {
    await Promise.all(Array.from({ length: 32 }, () => insert(startedJob())));
    expect(await readIds()).toHaveLength(1);
  });

  it('does not see jobs that hold the key until they have finished, and these do not see it', async () => {
    const finished = await insert(newJob({ uniqueKey: KEY }));
    const waiting = await insert(startedJob());
    expect([finished.deduplicated, waiting.deduplicated]).toEqual([false, false]);
    expect(await insert(newJob({ uniqueKey: KEY }))).toMatchObject({ id: finished.id, deduplicated: true });
    expect(await insert(startedJob())).toMatchObject({ id: waiting.id, deduplicated: true });
  });

  it('waits for a transaction of the application that holds the key', async () => {
    const transaction = await fixture.begin();
    const [first] = await fixture.store.insert([startedJob()], transaction.manager);
    const second = insert(startedJob());
    await fixture.untilLockWait();
    await transaction.commit();
    expect(await second).toMatchObject({ id: first!.id, deduplicated: true });
  });

  it('keeps the waiting job from starting before the transaction that returned it has ended', async () => {
    const first = await insert(startedJob());
    const transaction = await fixture.begin();
    expect(await fixture.store.insert([startedJob()], transaction.manager)).toMatchObject([
      { id: first.id, deduplicated: true },
    ]);
    // On SQLite the claim waits for the transaction.
    const early = kind.locksRows ? await claim(fixture.store) : [];
    expect(early).toEqual([]);
    await transaction.commit();
    expect((await claim(fixture.store)).map(({ id }) => id)).toEqual([first.id]);
  });

  it('finds the first holder again for the same key in both kinds', async () => {
    const waiting = await insertOne(fixture.store, startedJob({ delayMs: 60_000 }));
    const unfinished = await insertOne(fixture.store, { uniqueKey: KEY });
    expect((await fixture.store.findHolder(TOPIC, KEY))?.id).toBe(unfinished);
    await fixture.store.cancel([unfinished]);
    expect((await fixture.store.findHolder(TOPIC, KEY))?.id).toBe(waiting);
  });
});
