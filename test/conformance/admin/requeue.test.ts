import { v7 as uuidv7 } from 'uuid';
import { claim, claimMany, claimOne, insertOne, newJob, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const KEY = 'order-1';

describe.each(storeKinds())('requeue on $label', (kind) => {
  const fixture = useStore(kind);

  const endOne = async (outcome = outcomes.failed(), uniqueKey: string | null = null): Promise<string> => {
    const token = await claimOne(fixture.store, { uniqueKey });
    await fixture.store.settle([settlement(token, outcome)]);
    return token.id;
  };

  it.each([
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
  ])('makes a %s job pending, resets its retries, and keeps its attempt and errors', async (_status, outcome) => {
    const token = await claimOne(fixture.store, { maxRetries: 3 });
    await fixture.store.recordProgress([{ token, progress: '50' }]);
    await fixture.set(token.id, { retries: 3, cancel_requested: outcome.kind === 'cancelled' });
    await fixture.store.settle([settlement(token, outcome)]);
    const before = await fixture.job(token.id);
    const changed = await fixture.store.requeue([token.id]);
    const job = await fixture.job(token.id);

    const answer = {
      id: token.id,
      changed: true,
      status: 'pending',
      topic: TOPIC,
      attempt: 1,
      holderId: null,
      reason: null,
    };
    expect(changed).toEqual([{ ...answer, job }]);
    expect(job).toMatchObject({
      status: 'pending',
      retries: 0,
      maxRetries: 3,
      attempt: 1,
      cancelRequested: false,
      finished: null,
      result: null,
      progress: null,
      lockedUntil: null,
      lockedBy: null,
      lastError: before.lastError,
      errors: before.errors,
      payload: before.payload,
      created: before.created,
    });
    expect(job.runAt).toEqual(job.updated);
    expect(await claim(fixture.store)).toMatchObject([{ id: token.id, attempt: 2, retries: 0 }]);
  });

  it('makes a cancelled delayed job due at once', async () => {
    const id = await insertOne(fixture.store, { delayMs: 3_600_000 });
    await fixture.store.cancel([id]);
    await fixture.store.requeue([id]);
    expect(await claim(fixture.store)).toMatchObject([{ id, attempt: 1 }]);
  });

  it.each(['pending', 'processing', 'completed'])('does not change a %s job and returns its status', async (status) => {
    const id = status === 'pending' ? await insertOne(fixture.store) : (await claimOne(fixture.store)).id;
    if (status === 'completed') {
      await fixture.store.settle([settlement({ id, attempt: 1 }, outcomes.completed())]);
    }
    const before = await fixture.job(id);
    expect(await fixture.store.requeue([id])).toMatchObject([
      { id, changed: false, status, topic: TOPIC, attempt: before.attempt, holderId: null },
    ]);
    expect(await fixture.job(id)).toEqual(before);
  });

  it('returns the status null for a missing job', async () => {
    const id = uuidv7();
    expect(await fixture.store.requeue([id])).toMatchObject([
      { id, changed: false, status: null, topic: null, attempt: 0, holderId: null },
    ]);
    expect(await fixture.store.requeue([])).toEqual([]);
  });

  it('changes payload, runAt and maxRetries when they are given', async () => {
    const id = await endOne();
    const runAt = new Date('2100-01-02T03:04:05.678Z');
    await fixture.store.requeue([id], { payload: '{"to":["b"]}', runAt, maxRetries: 9 });
    expect(await fixture.job(id)).toMatchObject({ payload: { to: ['b'] }, runAt, maxRetries: 9, status: 'pending' });
    expect(await claim(fixture.store)).toEqual([]);
  });

  it('accepts maxRetries 0 and the payload null', async () => {
    const id = await endOne();
    await fixture.store.requeue([id], { payload: 'null', maxRetries: 0 });
    expect(await fixture.job(id)).toMatchObject({ payload: null, maxRetries: 0 });
  });

  it('changes nothing of a job that it skips', async () => {
    const id = await insertOne(fixture.store);
    const before = await fixture.job(id);
    await fixture.store.requeue([id], { payload: '1', runAt: new Date(0), maxRetries: 9 });
    expect(await fixture.job(id)).toEqual(before);
  });

  it('requeues the jobs it can and returns results in the given order', async () => {
    const claims = await claimMany(fixture.store, 5);
    const kinds = [outcomes.failed(), outcomes.completed(), outcomes.cancelled(), outcomes.failed()];
    await fixture.store.settle(kinds.map((outcome, index) => settlement(claims[index]!, outcome)));
    const order = [4, 2, 0, 3, 1].map((index) => claims[index]!.id);
    const changed = await fixture.store.requeue([...order, uuidv7()]);
    expect(changed.map(({ id }) => id).slice(0, 5)).toEqual(order);
    expect(changed.map((job) => [job.changed, job.status])).toEqual([
      [false, 'processing'],
      [true, 'pending'],
      [true, 'pending'],
      [true, 'pending'],
      [false, 'completed'],
      [false, null],
    ]);
  });

  describe('with a unique key', () => {
    it.each(['pending', 'processing'])(
      'skips a job whose key a %s job holds, and returns the holder',
      async (status) => {
        const id = await endOne(outcomes.failed(), KEY);
        const holder = await insertOne(fixture.store, { uniqueKey: KEY });
        if (status === 'processing') {
          await claim(fixture.store);
        }
        const before = await fixture.job(id);
        expect(await fixture.store.requeue([id])).toMatchObject([
          { id, changed: false, status: 'failed', topic: TOPIC, attempt: 1, holderId: holder },
        ]);
        expect(await fixture.job(id)).toEqual(before);
      },
    );

    it('requeues a job whose key is free again', async () => {
      const id = await endOne(outcomes.failed(), KEY);
      await endOne(outcomes.completed(), KEY);
      await insertOne(fixture.store, { uniqueKey: KEY, topic: 'sms' });
      expect(await fixture.store.requeue([id])).toMatchObject([{ changed: true, holderId: null }]);
    });

    it('requeues one of two jobs with the same key in a call, and returns it as holder of the other', async () => {
      const first = await endOne(outcomes.failed(), KEY);
      const second = await endOne(outcomes.cancelled(), KEY);
      const third = await endOne(outcomes.failed(), 'order-2');
      const changed = await fixture.store.requeue([second, first, third]);
      expect(changed).toMatchObject([
        { id: second, changed: true, status: 'pending', holderId: null, job: null },
        { id: first, changed: false, status: 'failed', holderId: second, job: null },
        { id: third, changed: true, status: 'pending', holderId: null, job: null },
      ]);
      expect(await fixture.job(first)).toMatchObject({ status: 'failed' });
    });

    it('requeues the other jobs of a call when one is skipped', async () => {
      const taken = await endOne(outcomes.failed(), KEY);
      const free = await endOne(outcomes.failed());
      const holder = await insertOne(fixture.store, { uniqueKey: KEY });
      expect(await fixture.store.requeue([taken, free])).toMatchObject([
        { id: taken, changed: false, holderId: holder },
        { id: free, changed: true, holderId: null },
      ]);
    });

    it('returns completed for a completed job, even if another job holds its key', async () => {
      const id = await endOne(outcomes.completed(), KEY);
      await insertOne(fixture.store, { uniqueKey: KEY });
      expect(await fixture.store.requeue([id])).toMatchObject([
        { id, changed: false, status: 'completed', holderId: null },
      ]);
    });

    it('waits for a transaction that holds the key, and returns its job as holder', async () => {
      const id = await endOne(outcomes.failed(), KEY);
      const transaction = await fixture.begin();
      const [holder] = await fixture.store.insert([newJob({ uniqueKey: KEY })], transaction.manager);
      const changed = fixture.store.requeue([id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ id, changed: false, status: 'failed', holderId: holder!.id }]);
    });
  });
});
