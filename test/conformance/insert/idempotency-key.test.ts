import { claim, insertOne, newJob, newJobs, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const HOUR = 3_600_000;
const AT_ONCE = { completed: 0, cancelled: 0, failed: 0 };
const PAGE = { after: null, rows: 100 };

describe.each(storeKinds())('an insert with an idempotency key on $label', (kind) => {
  const fixture = useStore(kind);
  const createIdempotency = (key: string, bodyHash = 'body'): { idempotency: { key: string; bodyHash: string } } => ({
    idempotency: { key, bodyHash },
  });

  it('stores a job with a new key', async () => {
    const job = newJob(createIdempotency('a'));
    expect(await fixture.store.insert([job])).toMatchObject([
      { id: job.id, deduplicated: false, replayedBodyHash: null },
    ]);
  });

  it('returns the first job and its hash in any state of that job', async () => {
    const first = await insertOne(fixture.store, createIdempotency('a', 'first'));
    expect(await fixture.store.insert([newJob(createIdempotency('a', 'second'))])).toMatchObject([
      { id: first, deduplicated: false, replayedBodyHash: 'first' },
    ]);
    const [token] = await claim(fixture.store);
    await fixture.store.settle([settlement(token!, outcomes.completed())]);
    expect(await fixture.store.insert([newJob(createIdempotency('a', 'first'))])).toMatchObject([
      { id: first, replayedBodyHash: 'first' },
    ]);
  });

  it('is not reported as a repetition when it is sent again after a lost response', async () => {
    const job = newJob(createIdempotency('a'));
    await fixture.store.insert([job]);
    expect(await fixture.store.insert([job])).toMatchObject([
      { id: job.id, deduplicated: false, replayedBodyHash: null },
    ]);
  });

  it('may share a batch with its repetition and with other jobs', async () => {
    const [first, other, again] = newJobs(3);
    const answers = await fixture.store.insert([
      { ...first!, ...createIdempotency('a') },
      other!,
      { ...again!, ...createIdempotency('a', 'other body') },
    ]);
    expect(answers).toMatchObject([
      { id: first!.id, replayedBodyHash: null },
      { id: other!.id, replayedBodyHash: null },
      { id: first!.id, replayedBodyHash: 'body' },
    ]);
  });

  it('checks the idempotency key before the unique key', async () => {
    const holder = await insertOne(fixture.store, { uniqueKey: 'u' });
    const first = await insertOne(fixture.store, { topic: 'other', ...createIdempotency('a') });
    expect(await fixture.store.insert([newJob({ uniqueKey: 'u', ...createIdempotency('a') })])).toMatchObject([
      { id: first, deduplicated: false, replayedBodyHash: 'body' },
    ]);
    expect(await fixture.store.insert([newJob({ uniqueKey: 'u', ...createIdempotency('b') })])).toMatchObject([
      { id: holder, deduplicated: true, replayedBodyHash: null },
    ]);
  });

  it('stores a new job when the first one is older than a day', async () => {
    const first = await insertOne(fixture.store, createIdempotency('a'));
    await fixture.set(first, { created: { msFromNow: -24 * HOUR - 1_000 } });
    const job = newJob(createIdempotency('a'));
    expect(await fixture.store.insert([job])).toMatchObject([{ id: job.id, replayedBodyHash: null }]);
    expect(await fixture.store.insert([newJob(createIdempotency('a'))])).toMatchObject([
      { id: job.id, replayedBodyHash: 'body' },
    ]);
  });

  it('stores a new job after a day in a set with other keys too', async () => {
    const first = await insertOne(fixture.store, createIdempotency('a'));
    await fixture.set(first, { created: { msFromNow: -24 * HOUR - 1_000 } });
    const jobs = [newJob({ uniqueKey: 'u', ...createIdempotency('a') }), newJob({ uniqueKey: 'v' })];
    expect(await fixture.store.insert(jobs)).toMatchObject(
      jobs.map(({ id }) => ({ id, deduplicated: false, replayedBodyHash: null })),
    );
  });

  it('keeps the job for a day with any retention', async () => {
    const id = await insertOne(fixture.store, createIdempotency('a'));
    const [token] = await claim(fixture.store);
    await fixture.store.settle([settlement(token!, outcomes.completed())], ['completed']);
    await fixture.store.prune(AT_ONCE, PAGE);
    expect(await fixture.store.find([id])).toHaveLength(1);
    await fixture.set(id, { created: { msFromNow: -24 * HOUR - 1_000 } });
    await fixture.store.prune(AT_ONCE, PAGE);
    expect(await fixture.store.find([id])).toEqual([]);
  });
});
