import { claimOne, insertOne, newJob, newJobs, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const KEY = 'order-1';

describe.each(storeKinds())('insert with unique keys on $label', (kind) => {
  const fixture = useStore(kind);

  const readIds = async (): Promise<string[]> => {
    const rows = await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id');
    return rows.map(({ id }) => id);
  };

  it('stores the first of two jobs with the same key in one set, and returns it for both', async () => {
    const [older, newer] = newJobs(2, { uniqueKey: KEY });
    const inserted = await fixture.store.insert([newer!, older!]);
    expect(inserted).toMatchObject([
      { id: newer!.id, deduplicated: false },
      { id: newer!.id, deduplicated: true },
    ]);
    expect(inserted[1]!.runAt).toEqual(inserted[0]!.runAt);
    expect(await readIds()).toEqual([newer!.id]);
  });

  it('returns a set in its own order', async () => {
    const keys = ['d', 'b', 'a', 'b', 'c', 'a'];
    const jobs = keys.map((uniqueKey) => newJob({ uniqueKey }));
    const inserted = await fixture.store.insert(jobs);
    expect(inserted.map(({ id }) => jobs.findIndex((job) => job.id === id))).toEqual([0, 1, 2, 1, 4, 2]);
    expect(inserted.map(({ deduplicated }) => deduplicated)).toEqual([false, false, false, true, false, true]);
  });

  it('returns the existing job for a later job with its key', async () => {
    const holder = await insertOne(fixture.store, { uniqueKey: KEY, delayMs: 60_000 });
    const { runAt, created } = await fixture.job(holder);
    const again = await fixture.store.insert([newJob({ uniqueKey: KEY })]);
    expect(again).toEqual([
      { id: holder, deduplicated: true, replaced: false, replayedBodyHash: null, runAt, created },
    ]);
    expect(await readIds()).toEqual([holder]);
  });

  it('keeps keys of different topics apart, and keys that differ in case or space', async () => {
    const jobs = [
      newJob({ uniqueKey: KEY }),
      newJob({ uniqueKey: KEY, topic: 'sms' }),
      newJob({ uniqueKey: KEY.toUpperCase() }),
      newJob({ uniqueKey: `${KEY} ` }),
    ];
    await fixture.store.insert(jobs);
    expect(await readIds()).toEqual(jobs.map(({ id }) => id));
  });

  it('returns an existing job that is running', async () => {
    const { id } = await claimOne(fixture.store, { uniqueKey: KEY });
    expect(await fixture.store.insert([newJob({ uniqueKey: KEY })])).toMatchObject([{ id, deduplicated: true }]);
  });

  it.each([
    ['completed', outcomes.completed()],
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
  ])('stores a new job when the last one with its key is %s', async (_status, outcome) => {
    const claim = await claimOne(fixture.store, { uniqueKey: KEY });
    await fixture.store.settle([settlement(claim, outcome)]);
    const job = newJob({ uniqueKey: KEY });
    expect(await fixture.store.insert([job])).toMatchObject([{ id: job.id, deduplicated: false }]);
    expect(await readIds()).toEqual([claim.id, job.id]);
  });

  it('waits for a transaction of the application that holds the key, and returns its job', async () => {
    const first = newJob({ uniqueKey: KEY });
    const transaction = await fixture.begin();
    await fixture.store.insert([first], transaction.manager);
    const second = fixture.store.insert([newJob({ uniqueKey: KEY })]);
    await fixture.untilLockWait();
    await transaction.commit();
    expect(await second).toMatchObject([{ id: first.id, deduplicated: true }]);
    expect(await readIds()).toEqual([first.id]);
  });

  it('waits for a transaction of the application that holds the key, and stores its own job after a rollback', async () => {
    const transaction = await fixture.begin();
    await fixture.store.insert([newJob({ uniqueKey: KEY })], transaction.manager);
    const job = newJob({ uniqueKey: KEY });
    const second = fixture.store.insert([job]);
    await fixture.untilLockWait();
    await transaction.rollback();
    expect(await second).toMatchObject([{ id: job.id, deduplicated: false }]);
    expect(await readIds()).toEqual([job.id]);
  });

  it('finds the key of a job that the same transaction stored', async () => {
    const first = newJob({ uniqueKey: KEY });
    const transaction = await fixture.begin();
    await fixture.store.insert([first], transaction.manager);
    const again = await fixture.store.insert([newJob({ uniqueKey: KEY })], transaction.manager);
    expect(again).toMatchObject([{ id: first.id, deduplicated: true }]);
    await transaction.commit();
    expect(await readIds()).toEqual([first.id]);
  });

  it('stores a job with a free key in a transaction while another key is locked', async () => {
    const holder = await insertOne(fixture.store, { uniqueKey: KEY });
    const jobs = [newJob({ uniqueKey: KEY }), newJob({ uniqueKey: 'order-2' }), newJob()];
    const transaction = await fixture.begin();
    const inserted = await fixture.store.insert(jobs, transaction.manager);
    await transaction.commit();
    expect(inserted.map(({ id }) => id)).toEqual([holder, jobs[1]!.id, jobs[2]!.id]);
    expect(await readIds()).toEqual([holder, jobs[1]!.id, jobs[2]!.id]);
  });

  it('stores one of thirty-two concurrent jobs with the same key', async () => {
    const jobs = newJobs(32, { uniqueKey: KEY });
    const results = (await Promise.all(jobs.map((job) => fixture.store.insert([job])))).flat();
    const [winner] = await readIds();
    expect(await readIds()).toHaveLength(1);
    expect(new Set(results.map(({ id }) => id))).toEqual(new Set([winner]));
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
  });

  it('stores each key once when two batches have the same keys in opposite orders', async () => {
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);
    const sets = Array.from({ length: 6 }, (_, index) => (index % 2 === 0 ? keys : keys.toReversed()));
    const results = await Promise.all(
      sets.map((set) => fixture.store.insert(set.map((uniqueKey) => newJob({ uniqueKey })))),
    );
    expect(await readIds()).toHaveLength(100);
    expect(results.flat().filter(({ deduplicated }) => !deduplicated)).toHaveLength(100);
    const getHolder = (result: (typeof results)[number], position: number): string => result[position]!.id;
    for (const [position] of keys.entries()) {
      expect(getHolder(results[1]!, 99 - position)).toBe(getHolder(results[0]!, position));
    }
  });
});
