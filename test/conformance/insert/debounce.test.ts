import type { InsertedJob, JobInsert } from '../../../lib/store/jobs/job-records.js';
import { claim, newJob, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { DAY_MS, KEY, debouncedJob, startedJob, throttledJob } from '../../support/unique-jobs.js';

describe.each(storeKinds())('a debounced job on $label', (kind) => {
  const fixture = useStore(kind);

  const insert = async (job: JobInsert): Promise<InsertedJob> => (await fixture.store.insert([job]))[0]!;

  const readIds = async (): Promise<string[]> => {
    const rows = await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id');
    return rows.map(({ id }) => id);
  };

  const runAtAfter = async (id: string): Promise<number> => {
    const { runAt, created } = await fixture.job(id);
    return runAt.getTime() - created.getTime();
  };

  it('starts after `wait`', async () => {
    const { id, runAt, created } = await insert(debouncedJob('first'));
    expect(runAt.getTime() - created.getTime()).toBe(60_000);
    expect(await fixture.job(id)).toMatchObject({ runAt, uniqueKey: KEY, payload: 'first' });
  });

  it('replaces the payload, and starts `wait` after the latest call', async () => {
    const first = await insert(debouncedJob('first'));
    await fixture.set(first.id, { run_at: { msFromNow: 30_000 }, created: { msFromNow: -30_000 } });
    const before = await fixture.now();
    const second = await insert(debouncedJob('second'));
    expect(second).toMatchObject({ id: first.id, deduplicated: true, replaced: true, replayedBodyHash: null });
    const { runAt, payload, attempt, maxRetries } = await fixture.job(first.id);
    expect({ payload, attempt, maxRetries, runAt }).toEqual({
      ...{ payload: 'second', attempt: 0, maxRetries: 3 },
      runAt: second.runAt,
    });
    expect(runAt.getTime() - before.getTime()).toBeGreaterThanOrEqual(60_000 - 1);
    expect(await readIds()).toEqual([first.id]);
  });

  it('replaces an encoded payload only of the job for which it is encoded', async () => {
    const first = await insert(debouncedJob('first'));
    const encoded = (id: string): JobInsert =>
      debouncedJob('for another', 60_000, 90_000, { replacement: { id, payload: '"for this one"' } });
    const unknown = encoded(newJob().id);
    expect(await insert(unknown)).toMatchObject({ id: first.id, deduplicated: true, replaced: false });
    expect((await fixture.job(first.id)).payload).toBe('first');
    expect(await insert(encoded(first.id))).toMatchObject({ id: first.id, deduplicated: true, replaced: true });
    expect((await fixture.job(first.id)).payload).toBe('for this one');
    await fixture.store.promote([first.id]);
    await claim(fixture.store);
    const next = encoded(first.id);
    expect(await insert(next)).toMatchObject({ id: next.id, replaced: false });
    expect((await fixture.job(next.id)).payload).toBe('for another');
  });

  it('starts at most `max` after the first call', async () => {
    const { id, created } = await insert(debouncedJob('first', 60_000, 90_000));
    await insert(debouncedJob('second', 60_000, 90_000));
    const second = await fixture.job(id);
    expect(second.runAt.getTime() - created.getTime()).toBeLessThanOrEqual(90_000);
    await insert(debouncedJob('third', 120_000, 240_000));
    expect(await runAtAfter(id)).toBe(90_000);
    expect((await fixture.job(id)).payload).toBe('third');
  });

  it('keeps the `max` of the first call, whatever later calls say, in a set too', async () => {
    const [{ id }] = (await fixture.store.insert([
      debouncedJob('first', 1_000, 10_000),
      debouncedJob('second', 60_000, 10 * DAY_MS),
    ])) as [InsertedJob];
    expect(await runAtAfter(id)).toBe(10_000);
    const later = await insert(debouncedJob('third', DAY_MS, 10 * DAY_MS));
    expect(later).toMatchObject({ id, replaced: true });
    expect(await runAtAfter(id)).toBe(10_000);
    await insert(debouncedJob('fourth', 1, 2));
    expect(await runAtAfter(id)).toBeLessThan(10_000);
    await insert(debouncedJob('fifth', DAY_MS));
    expect(await runAtAfter(id)).toBe(10_000);
  });

  it('stores exactly one more job for calls during the run', async () => {
    const { id } = await insert(debouncedJob('first'));
    await fixture.store.promote([id]);
    const [running] = await claim(fixture.store);
    const second = debouncedJob('second');
    expect(await insert(second)).toMatchObject({ id: second.id, deduplicated: false, replaced: false });
    expect(await insert(debouncedJob('third'))).toMatchObject({ id: second.id, replaced: true });
    await fixture.store.settle([settlement(running!, outcomes.retry())]);
    expect((await fixture.job(id)).payload).toBe('first');
    expect(await readIds()).toEqual([id, second.id]);
  });

  it('takes the last payload of a set, and the first job', async () => {
    const jobs = [
      debouncedJob('a'),
      debouncedJob('b', 60_000, 600_000, { uniqueKey: 'other' }),
      debouncedJob('c'),
      newJob(),
    ];
    expect(await fixture.store.insert(jobs)).toMatchObject([
      { id: jobs[0]!.id, deduplicated: false, replaced: false },
      { id: jobs[1]!.id, deduplicated: false },
      { id: jobs[0]!.id, deduplicated: true, replaced: true },
      { id: jobs[3]!.id, deduplicated: false },
    ]);
    expect((await fixture.job(jobs[0]!.id)).payload).toBe('c');
    const again = [debouncedJob('d'), debouncedJob('e')];
    expect(await fixture.store.insert(again)).toMatchObject([
      { id: jobs[0]!.id, deduplicated: true, replaced: true },
      { id: jobs[0]!.id, deduplicated: true, replaced: true },
    ]);
    expect((await fixture.job(jobs[0]!.id)).payload).toBe('e');
  });

  it('takes the expiry of the last call, in a set too', async () => {
    const expiring = (payload: string, at: Date | null): JobInsert =>
      debouncedJob(payload, 60_000, 600_000, { expiry: at && { at } });
    const [early, late] = [new Date('2090-01-01T00:00:00Z'), new Date('2091-01-01T00:00:00Z')];
    const [{ id }] = (await fixture.store.insert([expiring('a', early), expiring('b', late)])) as [InsertedJob];
    expect((await fixture.job(id)).expiresAt).toEqual(late);
    await insert(expiring('c', null));
    expect((await fixture.job(id)).expiresAt).toBeNull();
  });

  it('ignores an insert that is repeated after a lost reply', async () => {
    const first = debouncedJob('first');
    await insert(first);
    await insert(debouncedJob('second'));
    const before = await fixture.job(first.id);
    expect(await insert(first)).toMatchObject({ id: first.id, deduplicated: false, replaced: false });
    expect(await fixture.job(first.id)).toEqual(before);
  });

  it('finds a repeated insert whose job has started', async () => {
    const first = debouncedJob('first');
    await insert(first);
    await fixture.store.promote([first.id]);
    await claim(fixture.store);
    expect(await insert(first)).toMatchObject({ id: first.id, deduplicated: false, replaced: false });
    const newer = await insert(debouncedJob('second'));
    expect(await insert(first)).toMatchObject({ id: first.id, deduplicated: false, replaced: false });
    expect((await fixture.job(newer.id)).payload).toBe('second');
  });

  it('returns the job of a repeated request, and does not replace the payload of later calls', async () => {
    const idempotency = { key: 'request-1', bodyHash: 'body' };
    const first = await insert(debouncedJob('first', 60_000, 600_000, { idempotency }));
    await insert(debouncedJob('second'));
    const repeated = await insert(debouncedJob('first', 60_000, 600_000, { idempotency }));
    expect(repeated).toMatchObject({ id: first.id, deduplicated: false, replaced: false, replayedBodyHash: 'body' });
    expect((await fixture.job(first.id)).payload).toBe('second');
  });

  it('leaves a job that was stored without debounce as it is', async () => {
    const stored = await insert(startedJob({ delayMs: DAY_MS, payload: '1' }));
    const before = await fixture.job(stored.id);
    const call = debouncedJob(2);
    expect(await insert(call)).toMatchObject({ id: stored.id, deduplicated: true, replaced: false });
    const encoded = { ...call, id: newJob().id, replacement: { id: stored.id, payload: '2' } };
    expect(await insert(encoded)).toMatchObject({ id: stored.id, deduplicated: true, replaced: false });
    expect(await fixture.job(stored.id)).toEqual(before);
  });

  it('is left as it is by a call without debounce', async () => {
    const { id } = await insert(debouncedJob('first'));
    expect(await insert(startedJob({ payload: '3' }))).toMatchObject({ id, deduplicated: true, replaced: false });
    expect((await fixture.job(id)).payload).toBe('first');
  });

  it('waits again for its concurrency key', async () => {
    const { id } = await insert(debouncedJob('first', 60_000, 600_000, { concurrencyKey: 'tenant-1' }));
    await fixture.set(id, { flow_key: 'tenant-1' });
    await insert(debouncedJob('second', 60_000, 600_000, { concurrencyKey: 'tenant-2' }));
    const [row] = await fixture.sql('SELECT concurrency_key, flow_key FROM _jobs');
    expect(row).toEqual({ concurrency_key: 'tenant-1', flow_key: null });
  });

  it('waits for a transaction of the application that holds the key, and replaces its payload', async () => {
    const transaction = await fixture.begin();
    const [first] = await fixture.store.insert([debouncedJob('first')], transaction.manager);
    const second = insert(debouncedJob('second'));
    await fixture.untilLockWait();
    await transaction.commit();
    expect(await second).toMatchObject({ id: first!.id, replaced: true });
    expect((await fixture.job(first!.id)).payload).toBe('second');
  });

  /** Claims the only job in a transaction. */
  const CLAIM = `UPDATE _jobs SET status = 'processing', attempt = 1, locked_until = run_at, locked_by = 'w', started = run_at`;

  it.each([
    ['stores one more job when the claim it waits for commits', 'commit', { deduplicated: false, replaced: false }],
    [
      'replaces the payload when the claim it waits for is rolled back',
      'rollback',
      { deduplicated: true, replaced: true },
    ],
  ] as const)('%s', async (_title, end, expected) => {
    await insert(debouncedJob('first'));
    const transaction = await fixture.begin();
    await transaction.manager.query(CLAIM);
    const second = insert(debouncedJob('second'));
    await fixture.untilLockWait();
    await transaction[end]();
    const { id } = await second;
    expect(await second).toMatchObject(expected);
    expect((await fixture.job(id)).payload).toBe('second');
  });

  it.each([
    ['waits', []],
    ['has started', [CLAIM]],
  ])(
    'finds its first insert, which commits while the repeated one waits for it, when the job %s',
    async (_title, later) => {
      const job = debouncedJob('first');
      const transaction = await fixture.begin();
      await fixture.store.insert([job], transaction.manager);
      for (const statement of later) {
        await transaction.manager.query(statement);
      }
      const repeated = insert(job);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await repeated).toMatchObject({ id: job.id, deduplicated: false, replaced: false });
      expect(await readIds()).toEqual([job.id]);
    },
  );

  it('keeps the old payload when the transaction that replaced it is rolled back', async () => {
    const { id } = await insert(debouncedJob('first'));
    const transaction = await fixture.begin();
    const [replaced] = await fixture.store.insert([debouncedJob('second')], transaction.manager);
    expect(replaced).toMatchObject({ id, replaced: true });
    await transaction.rollback();
    expect((await fixture.job(id)).payload).toBe('first');
  });

  it('stores each key once when sets have the same keys in opposite orders', async () => {
    const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);
    const sets = Array.from({ length: 6 }, (_, index) => (index % 2 === 0 ? keys : keys.toReversed()));
    const jobs = sets.map((set) => set.map((uniqueKey) => debouncedJob(uniqueKey, 60_000, 600_000, { uniqueKey })));
    const results = (await Promise.all(jobs.map((set) => fixture.store.insert(set)))).flat();
    expect(await readIds()).toHaveLength(50);
    expect(results.filter(({ replaced }) => replaced)).toHaveLength(250);
  });

  it('stores keys of all kinds in one set', async () => {
    const jobs = [
      debouncedJob('x'),
      newJob(),
      startedJob({ uniqueKey: 'b' }),
      throttledJob({ uniqueKey: 'c' }),
      newJob({ uniqueKey: 'a' }),
    ];
    const inserted = await fixture.store.insert(jobs);
    expect(inserted.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    expect(await readIds()).toEqual(jobs.map(({ id }) => id));
  });
});
