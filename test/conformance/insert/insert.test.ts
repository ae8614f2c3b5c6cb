/** @npm-test typeorm-0.3 */

import { v7 as uuidv7 } from 'uuid';
import { SqlError } from '../../../lib/store/runtime/sql-error.js';
import { claim, claimOne, insertOne, newJob, newJobs } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('insert on $label', (kind) => {
  const fixture = useStore(kind);

  it('stores a pending job with all given fields', async () => {
    const job = newJob({
      payload: '{"to":"a@example.org"}',
      maxRetries: 7,
      priority: -5,
      timeoutMs: 1_500,
      uniqueKey: 'order-1',
      metadata: '{"trace":"t-1"}',
    });
    const [inserted] = await fixture.store.insert([job]);

    expect(inserted).toMatchObject({ id: job.id, deduplicated: false });
    expect(await fixture.job(job.id)).toEqual({
      id: job.id,
      topic: job.topic,
      payload: { to: 'a@example.org' },
      status: 'pending',
      runAt: inserted!.runAt,
      lockedUntil: null,
      lockedBy: null,
      attempt: 0,
      retries: 0,
      maxRetries: 7,
      priority: -5,
      timeoutMs: 1_500,
      lastError: null,
      errors: [],
      result: null,
      progress: null,
      rescuedAttempt: null,
      steps: [],
      actions: [],
      uniqueKey: 'order-1',
      concurrencyKey: null,
      labels: [],
      metadata: { trace: 't-1' },
      expiresAt: null,
      cancelRequested: false,
      deduplicated: false,
      started: null,
      finished: null,
      created: inserted!.created,
      updated: inserted!.created,
    });
  });

  it('leaves absent fields empty', async () => {
    const id = await insertOne(fixture.store);
    expect(await fixture.job(id)).toMatchObject({ timeoutMs: null, uniqueKey: null, metadata: null });
  });

  it('returns the backoff of a job to its claim', async () => {
    const backoff = { type: 'exponential', delayMs: 250, maxDelayMs: 60_000, jitter: 0.25 } as const;
    expect(await claimOne(fixture.store, { backoff })).toMatchObject({ backoff });
    expect(await claimOne(fixture.store)).toMatchObject({ backoff: null });
  });

  it.each([
    ['null', 'null'],
    ['a text', '"plain"'],
    ['an empty text', '""'],
    [
      'text of many alphabets, quotes and line ends',
      JSON.stringify('"\'\\ \n\t%s $1 ?1 :a äß 日本語 👩‍👩‍👧 \u2028 \uFFFD \u0001'),
    ],
    ['a number of seventeen digits', '0.30000000000000004'],
    ['the largest and the smallest number', '[1.7976931348623157e+308,5e-324,-9007199254740991]'],
    ['false', 'false'],
    ['an empty list', '[]'],
    ['nested members with unusual names', '{"":{"a b":[{"__proto__":1},[null]]},"$[0]":true}'],
  ])('returns a payload that is %s', async (_what, payload) => {
    const id = await insertOne(fixture.store, { payload });
    const job = await fixture.job(id);
    expect(job.payload).toEqual(JSON.parse(payload));
    expect((await claim(fixture.store))[0]!.payload).toEqual(JSON.parse(payload));
  });

  it('stores a payload of a mebibyte', async () => {
    const payload = JSON.stringify('x'.repeat(1_048_574));
    const id = await insertOne(fixture.store, { payload });
    expect((await fixture.job(id)).payload).toHaveLength(1_048_574);
  });

  it('returns two thousand jobs in the given order', async () => {
    const jobs = newJobs(2_000).sort((a, b) => (a.id.slice(-6) < b.id.slice(-6) ? -1 : 1));
    const inserted = await fixture.store.insert(jobs);
    expect(inserted.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    expect(await fixture.store.find(jobs.map(({ id }) => id))).toHaveLength(2_000);
  });

  it('returns jobs with and without keys in the given order', async () => {
    const jobs = newJobs(20).map((job, index) => ({ ...job, uniqueKey: index % 3 === 0 ? `key-${20 - index}` : null }));
    const inserted = await fixture.store.insert(jobs);
    expect(inserted.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
  });

  it('accepts an empty set', async () => {
    expect(await fixture.store.insert([])).toEqual([]);
  });

  it('stores no job of a batch when the database rejects one', async () => {
    const jobs = [newJob(), newJob({ priority: 5_000 }), newJob()];
    await expect(fixture.store.insert(jobs)).rejects.toMatchObject({ constructor: SqlError, kind: 'refused' });
    expect(await fixture.store.find(jobs.map(({ id }) => id))).toEqual([]);
  });

  it('stores no keyed job of a batch when the database rejects a job without a key', async () => {
    const jobs = [newJob({ uniqueKey: 'a' }), newJob({ priority: 5_000 }), newJob({ uniqueKey: 'b' })];
    await expect(fixture.store.insert(jobs)).rejects.toThrow(SqlError);
    expect(await fixture.store.find(jobs.map(({ id }) => id))).toEqual([]);
  });

  it('stores no job without a key of a batch when the database rejects a keyed one', async () => {
    const jobs = [newJob(), newJob({ uniqueKey: 'a', priority: 5_000 }), newJob()];
    await expect(fixture.store.insert(jobs)).rejects.toThrow(SqlError);
    expect(await fixture.store.find(jobs.map(({ id }) => id))).toEqual([]);
  });

  describe('times', () => {
    it('makes a job due at its creation, by the clock of the database', async () => {
      const before = await fixture.now();
      const [inserted] = await fixture.store.insert([newJob()]);
      const after = await fixture.now();
      expect(inserted!.runAt).toEqual(inserted!.created);
      expect(inserted!.created.getTime()).toBeGreaterThanOrEqual(before.getTime() - 1);
      expect(inserted!.created.getTime()).toBeLessThanOrEqual(after.getTime() + 1);
    });

    it.each([1, 999, 60_000, 86_400_000, 100 * 365 * 86_400_000])(
      'counts a delay of %d ms from creation',
      async (delayMs) => {
        const [inserted] = await fixture.store.insert([newJob({ delayMs })]);
        const waits = inserted!.runAt.getTime() - inserted!.created.getTime();
        expect(Math.abs(waits - delayMs)).toBeLessThanOrEqual(1);
      },
    );

    it.each([
      '1970-01-01T00:00:00.000Z',
      '2001-02-03T04:05:06.789Z',
      '2100-02-28T23:59:59.999Z',
      '9999-12-31T23:59:59.999Z',
    ])('keeps the due time %s to the millisecond', async (text) => {
      const runAt = new Date(text);
      const [inserted] = await fixture.store.insert([newJob({ runAt })]);
      expect(inserted!.runAt).toEqual(runAt);
      expect((await fixture.job(inserted!.id)).runAt).toEqual(runAt);
    });
  });

  describe('repeated with the same ids after a lost response', () => {
    it.each([null, 'order-1'])('stores a job with the key %p once and returns the same', async (uniqueKey) => {
      const jobs = [newJob({ uniqueKey, delayMs: 60_000 })];
      const first = await fixture.store.insert(jobs);
      expect(await fixture.store.insert(jobs)).toEqual(first);
      expect(await fixture.sql('SELECT id FROM _jobs')).toHaveLength(1);
    });

    it.each([null, 'order-1'])('does not change a running job with the key %p', async (uniqueKey) => {
      const job = newJob({ uniqueKey });
      await fixture.store.insert([job]);
      await claim(fixture.store);
      const running = await fixture.job(job.id);
      expect(await fixture.store.insert([job])).toMatchObject([{ id: job.id, deduplicated: false }]);
      expect(await fixture.job(job.id)).toEqual(running);
    });

    it('does not store an ended keyed job again', async () => {
      const job = newJob({ uniqueKey: 'order-1' });
      const { attempt } = (await fixture.store.insert([job]), await claim(fixture.store))[0]!;
      await fixture.store.settle([
        { token: { id: job.id, attempt }, durationMs: null, outcome: { kind: 'completed', result: null } },
      ]);
      expect(await fixture.store.insert([job])).toMatchObject([{ id: job.id, deduplicated: false }]);
      expect(await fixture.sql('SELECT id FROM _jobs')).toHaveLength(1);
    });

    it('stores the jobs that the first try did not store', async () => {
      const jobs = newJobs(4);
      const first = await fixture.store.insert(jobs.slice(1, 3));
      const second = await fixture.store.insert(jobs);
      expect(second.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
      expect(second.slice(1, 3)).toEqual(first);
    });

    it.each([null, 'order-1'])('waits for an uncommitted first try with the key %p', async (uniqueKey) => {
      const job = newJob({ uniqueKey, delayMs: 60_000 });
      const transaction = await fixture.begin();
      const first = await fixture.store.insert([job], transaction.manager);
      const second = fixture.store.insert([job]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await second).toEqual(first);
    });
  });

  it('finds no job by an unknown id', async () => {
    const id = await insertOne(fixture.store);
    expect((await fixture.store.find([uuidv7(), id])).map((job) => job.id)).toEqual([id]);
  });
});
