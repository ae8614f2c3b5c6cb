import type { InsertedJob, JobInsert } from '../../../lib/store/jobs/job-records.js';
import { claim, claimOne, newJob, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { DAY_MS, KEY, debouncedJob, startedJob, throttledJob, uniqueMode } from '../../support/unique-jobs.js';

describe.each(storeKinds())('a throttled job on $label', (kind) => {
  const fixture = useStore(kind);

  const insert = async (job: JobInsert): Promise<InsertedJob> => (await fixture.store.insert([job]))[0]!;

  const readIds = async (): Promise<string[]> => {
    const rows = await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id');
    return rows.map(({ id }) => id);
  };

  const complete = async (job: JobInsert): Promise<string> => {
    const { id } = await insert(job);
    const [running] = await claim(fixture.store);
    await fixture.store.settle([settlement(running!, outcomes.completed())]);
    expect(running!.id).toBe(id);
    return id;
  };

  it('refuses calls after the job has ended, until the period ends', async () => {
    const id = await complete(throttledJob());
    expect(await insert(throttledJob())).toMatchObject({ id, deduplicated: true });
    expect(await insert(newJob({ uniqueKey: KEY }))).toMatchObject({ id, deduplicated: true });
    expect((await fixture.store.findHolder(TOPIC, KEY))?.id).toBe(id);
    await fixture.set(id, { unique_until: { msFromNow: -1_000 } });
    expect(await fixture.store.findHolder(TOPIC, KEY)).toBeUndefined();
    const next = throttledJob();
    expect(await insert(next)).toMatchObject({ id: next.id, deduplicated: false });
    expect(await readIds()).toEqual([id, next.id]);
  });

  it('refuses calls while the job is unfinished, after the period too', async () => {
    const { id } = await insert(throttledJob());
    await fixture.set(id, { unique_until: { msFromNow: -1_000 } });
    expect(await insert(throttledJob())).toMatchObject({ id, deduplicated: true });
  });

  it('frees the key for a job without a period when the period has ended', async () => {
    const id = await complete(throttledJob());
    await fixture.set(id, { unique_until: { msFromNow: -1_000 } });
    const next = newJob({ uniqueKey: KEY });
    expect(await insert(next)).toMatchObject({ id: next.id, deduplicated: false });
  });

  it('frees the key when the job is deleted by hand', async () => {
    const id = await complete(throttledJob());
    await fixture.store.delete([id]);
    const next = throttledJob();
    expect(await insert(next)).toMatchObject({ id: next.id, deduplicated: false });
  });

  it('keeps the job from pruning until the period ends', async () => {
    const id = await complete(throttledJob());
    await fixture.set(id, { finished: { msFromNow: -1_000 } });
    const retention = { completed: 0, failed: 0, cancelled: 0 };
    const prune = async (): Promise<number> =>
      (await fixture.store.prune(retention, { after: null, rows: 100 })).removed;
    expect(await prune()).toBe(0);
    await fixture.set(id, { unique_until: { msFromNow: -1_000 } });
    expect(await prune()).toBe(1);
  });

  it.each([1, 2])('keeps a completed job that would not be retained, in a set of %i', async (count) => {
    const jobs = [throttledJob(), newJob()].slice(0, count);
    await fixture.store.insert(jobs);
    const running = await claim(fixture.store);
    const settlements = running.map((token) => settlement(token, outcomes.completed()));
    await fixture.store.settle(settlements, ['completed']);
    expect(await readIds()).toEqual([jobs[0]!.id]);
    expect(await insert(throttledJob())).toMatchObject({ id: jobs[0]!.id, deduplicated: true });
  });

  it('keeps a cancelled job that would not be retained', async () => {
    const running = await claimOne(fixture.store, throttledJob());
    await fixture.store.settle([settlement(running, outcomes.cancelled())], ['cancelled']);
    expect(await readIds()).toEqual([running.id]);
  });

  it('can also free the key when the job has started and the period has ended', async () => {
    const mode = uniqueMode({ untilStarted: true, forMs: DAY_MS });
    const running = await claimOne(fixture.store, startedJob({ uniqueMode: mode }));
    expect(await insert(startedJob({ uniqueMode: mode }))).toMatchObject({ id: running.id, deduplicated: true });
    expect(await insert(debouncedJob('late'))).toMatchObject({ id: running.id, deduplicated: true, replaced: false });
    await fixture.set(running.id, { unique_until: { msFromNow: -1_000 } });
    const next = startedJob({ uniqueMode: mode });
    expect(await insert(next)).toMatchObject({ id: next.id, deduplicated: false });
  });

  it('stores the first of two jobs of one set', async () => {
    const [first, second] = [throttledJob({ payload: '1' }), throttledJob({ payload: '2' })];
    expect(await fixture.store.insert([first, second])).toMatchObject([
      { id: first.id, deduplicated: false },
      { id: first.id, deduplicated: true },
    ]);
    expect((await fixture.job(first.id)).payload).toBe(1);
  });

  it('stores one of thirty-two concurrent jobs when the period has ended', async () => {
    const id = await complete(throttledJob());
    await fixture.set(id, { unique_until: { msFromNow: -1_000 } });
    const results = await Promise.all(Array.from({ length: 32 }, () => insert(throttledJob())));
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(await readIds()).toHaveLength(2);
  });

  it('re-queues another failed job only when the period has ended', async () => {
    const failed = await claimOne(fixture.store, newJob({ uniqueKey: KEY }));
    await fixture.store.settle([settlement(failed, outcomes.failed())]);
    const id = await complete(throttledJob());
    expect(await fixture.store.requeue([failed.id])).toMatchObject([{ changed: false, holderId: id }]);
    await fixture.set(id, { unique_until: { msFromNow: -1_000 } });
    expect(await fixture.store.requeue([failed.id])).toMatchObject([{ changed: true, status: 'pending' }]);
  });

  it('is re-queued within its own period', async () => {
    const running = await claimOne(fixture.store, throttledJob());
    await fixture.store.settle([settlement(running, outcomes.failed())]);
    expect(await fixture.store.requeue([running.id])).toMatchObject([{ changed: true, status: 'pending' }]);
  });

  it('is stored once when its insert is repeated after a lost reply', async () => {
    const job = throttledJob();
    await insert(job);
    expect(await insert(job)).toMatchObject({ id: job.id, deduplicated: false });
    await fixture.set(job.id, {
      unique_until: { msFromNow: -1_000 },
      status: 'completed',
      finished: { msFromNow: 0 },
    });
    expect(await insert(job)).toMatchObject({ id: job.id, deduplicated: false });
    expect(await readIds()).toEqual([job.id]);
  });
});
