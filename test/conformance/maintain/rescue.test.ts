/** @npm-test typeorm-0.3 */

import { explainFailure } from '../../../lib/core/failure-reason.js';
import { claim, claimMany, claimOne, insertOne, outcomes, rescue, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('rescue on $label', (kind) => {
  const fixture = useStore(kind);

  it('does not change jobs with a valid lease', async () => {
    const claims = await claimMany(fixture.store, 3);
    expect(await rescue(fixture.store, 10)).toEqual([]);
    const jobs = await fixture.store.find(claims.map(({ id }) => id));
    expect(jobs.every(({ status, retries }) => status === 'processing' && retries === 0)).toBe(true);
  });

  it('returns a job with an expired lease to waiting, counts a retry and records the lost lease', async () => {
    const { id, topic } = await claimOne(fixture.store, { maxRetries: 2 });
    await fixture.expire(id);
    const { started } = await fixture.job(id);
    const rescued = await rescue(fixture.store, 10);
    const job = await fixture.job(id);

    expect(rescued).toEqual([{ id, topic, attempt: 1, status: 'pending', retries: 1, failure: null }]);
    expect(job).toMatchObject({ status: 'pending', attempt: 1, retries: 1, lockedUntil: null, lockedBy: null });
    expect(job.finished).toBeNull();
    expect(job.runAt).toEqual(job.updated);
    expect(job.lastError).toMatch(/lease of attempt 1 lost: worker worker-1/);
    expect(job.rescuedAttempt).toBe(1);
    expect(job.errors).toEqual([
      {
        attempt: 1,
        started: started!.toISOString(),
        finished: job.updated.toISOString(),
        message: job.lastError,
        stack: null,
        worker: 'worker-1',
      },
    ]);
    expect(await claim(fixture.store)).toMatchObject([{ id, attempt: 2, retries: 1 }]);
  });

  it('adds the reason of a lost lease to the error of its attempt, once', async () => {
    const { id } = await claimOne(fixture.store);
    const loss = {
      token: { id, attempt: 1 },
      reason: "the event loop of this worker stood still for 6.1 s while 'a' ran",
    };
    expect(await fixture.store.explainLostLeases([loss])).toEqual([]);
    await fixture.expire(id);
    await rescue(fixture.store, 10);
    const before = await fixture.job(id);
    expect(await fixture.store.explainLostLeases([{ ...loss, token: { id, attempt: 2 } }])).toEqual([]);
    expect(await fixture.job(id)).toEqual(before);

    const message = `${before.lastError}; ${loss.reason}`;
    const [second] = await claim(fixture.store);
    expect(await fixture.store.explainLostLeases([loss])).toEqual([id]);
    expect(await fixture.store.explainLostLeases([loss])).toEqual([]);
    expect(await fixture.job(id)).toMatchObject({ status: 'processing', lastError: message });
    expect((await fixture.job(id)).errors).toEqual([{ ...before.errors[0], message }]);

    await fixture.store.settle([settlement(second!, outcomes.failed())]);
    const failed = await fixture.job(id);
    expect(failed.errors.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(failed.lastError).not.toContain('event loop');
  });

  it('explains the lost lease of a job that failed for good', async () => {
    const { id } = await claimOne(fixture.store, { maxRetries: 2 });
    await fixture.set(id, { retries: 2 });
    await fixture.expire(id);
    await rescue(fixture.store, 10);
    const token = { id, attempt: 1 };
    expect(await fixture.store.explainLostLeases([{ token, reason: 'it was suspended' }])).toEqual([id]);
    const job = await fixture.job(id);
    expect(job.lastError).toMatch(/its handler may have run; it was suspended$/);
    expect(explainFailure(job)).toMatchObject({ code: 'lease_lost' });
  });

  it('fails a job when no retry is left', async () => {
    const { id } = await claimOne(fixture.store, { maxRetries: 2 });
    await fixture.set(id, { retries: 2 });
    await fixture.expire(id);
    const before = await fixture.job(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'failed', attempt: 1, retries: 2 }]);
    const job = await fixture.job(id);
    expect(job).toMatchObject({ status: 'failed', retries: 2, lockedUntil: null, lockedBy: null, runAt: before.runAt });
    expect(job.finished).toEqual(job.updated);
    expect(job.lastError).toMatch(/lease of attempt 1 lost/);
    expect(job.errors).toHaveLength(1);
    expect(explainFailure(job)).toMatchObject({ code: 'lease_lost' });
  });

  it.each([0, 2])('returns a job that never started to waiting, with no retry left after %d', async (retries) => {
    const id = await insertOne(fixture.store, { maxRetries: retries, delayMs: -60_000 });
    await fixture.set(id, { retries });
    const waiting = await fixture.job(id);
    await claim(fixture.store);
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'pending', attempt: 1, retries }]);
    const { started, updated, ...job } = await fixture.job(id);
    expect(job).toEqual({ ...waiting, attempt: 1, started: undefined, updated: undefined });
    expect(started).not.toBeNull();
    expect(updated.getTime()).toBeGreaterThanOrEqual(waiting.updated.getTime());

    const [again] = await claim(fixture.store);
    expect(again).toMatchObject({ id, attempt: 2, retries });
    expect(await fixture.store.markStarted([again!])).toMatchObject([{ state: 'held' }]);
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'failed', attempt: 2, retries }]);
  });

  it('ignores a start mark of an earlier attempt, as a claim by an older version leaves it', async () => {
    const { id } = await claimOne(fixture.store, { maxRetries: 0 });
    await fixture.set(id, { attempt: 2 });
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'failed', attempt: 2 }]);
  });

  it('cancels a job that never started after a cancel request', async () => {
    const { id } = await claimOne(fixture.store, { maxRetries: 0 });
    await fixture.store.cancel([id]);
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'cancelled', retries: 0 }]);
    expect(await fixture.job(id)).toMatchObject({ status: 'cancelled', lastError: null, errors: [], lockedBy: null });
  });

  it('counts a retry for a job that has one left, whether it started or not', async () => {
    const { id } = await claimOne(fixture.store, { maxRetries: 1 });
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'pending', retries: 1 }]);
  });

  it('counts every crash: a job with three retries is rescued three times', async () => {
    const id = await insertOne(fixture.store, { maxRetries: 3 });
    const statuses: string[] = [];
    for (let claims = await claim(fixture.store); claims.length > 0; claims = await claim(fixture.store)) {
      await fixture.store.markStarted(claims);
      await fixture.expire(id);
      statuses.push(...(await rescue(fixture.store, 10)).map(({ status }) => status));
    }
    expect(statuses).toEqual(['pending', 'pending', 'pending', 'failed']);
    expect((await fixture.job(id)).errors.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
  });

  it('keeps the last twenty errors, including lost leases', async () => {
    const id = await insertOne(fixture.store, { maxRetries: 1_000 });
    for (let attempt = 1; attempt <= 21; attempt += 1) {
      const [token] = await claim(fixture.store);
      if (attempt % 2 === 0) {
        await fixture.store.settle([settlement(token!, outcomes.retry())]);
      } else {
        await fixture.expire(id);
        await rescue(fixture.store, 10);
      }
    }
    const { errors, retries } = await fixture.job(id);
    expect(errors.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 20 }, (_, index) => index + 2));
    expect(errors.map(({ message }) => message.startsWith('lease of attempt'))).toEqual(
      Array.from({ length: 20 }, (_, index) => index % 2 === 1),
    );
    expect(retries).toBe(21);
  });

  it.each([0, 3])('cancels a job with a cancel request after %d of three retries', async (retries) => {
    const { id } = await claimOne(fixture.store, { maxRetries: 3 });
    await fixture.set(id, { retries });
    await fixture.store.cancel([id]);
    await fixture.expire(id);
    expect(await rescue(fixture.store, 10)).toMatchObject([{ id, status: 'cancelled', retries }]);
    const job = await fixture.job(id);
    expect(job).toMatchObject({ status: 'cancelled', retries, lockedUntil: null, lockedBy: null });
    expect(job.finished).toEqual(job.updated);
    expect(job.lastError).toMatch(/lease of attempt 1 lost/);
  });

  it.each(['pending', 'completed', 'failed', 'cancelled'])('does not change a job that is %s', async (status) => {
    const id = await insertOne(fixture.store);
    await fixture.set(id, { status, finished: status === 'pending' ? null : { msFromNow: -60_000 }, attempt: 1 });
    const before = await fixture.job(id);
    expect(await rescue(fixture.store, 10)).toEqual([]);
    expect(await fixture.job(id)).toEqual(before);
  });

  it('rescues the leases that expired first, up to the limit', async () => {
    const claims = await claimMany(fixture.store, 4);
    for (const [index, age] of [2_000, 4_000, 1_000, 3_000].entries()) {
      await fixture.set(claims[index]!.id, { locked_until: { msFromNow: -age } });
    }
    const rescuedIds = async (): Promise<string[]> => (await rescue(fixture.store, 2)).map(({ id }) => id).sort();
    expect(await rescuedIds()).toEqual([claims[1]!.id, claims[3]!.id]);
    expect(await rescuedIds()).toEqual([claims[0]!.id, claims[2]!.id]);
    expect(await rescuedIds()).toEqual([]);
  });

  it('rescues each job once in concurrent calls', async () => {
    const claims = await claimMany(fixture.store, 100);
    await fixture.expire(claims.map(({ id }) => id));
    const stores = [fixture.store];
    if (kind.canHaveTwoConnections) {
      stores.push((await fixture.openAnother()).store, (await fixture.openAnother()).store);
    }
    const rescued = await Promise.all(stores.flatMap((store) => [rescue(store, 60), rescue(store, 60)]));
    const rest = await rescue(fixture.store, 100);
    const ids = [...rescued.flat(), ...rest].map(({ id }) => id);
    expect(ids.sort()).toEqual(claims.map(({ id }) => id));
    const jobs = await fixture.store.find(ids);
    expect(jobs.every(({ retries, errors }) => retries === 1 && errors.length === 1)).toBe(true);
  });

  it('does not change a job whose lease was renewed after it expired', async () => {
    const token = await claimOne(fixture.store);
    await fixture.expire(token.id);
    await fixture.store.renew([token], 30_000);
    expect(await rescue(fixture.store, 10)).toEqual([]);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'rescue beside an open completion on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('skips a job in an open completion without waiting, and rescues the others', async () => {
      const [completing, dead] = await claimMany(fixture.store, 2);
      await fixture.expire([completing!.id, dead!.id]);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, completing!, '"in time"');
      expect(await rescue(fixture.store, 10)).toMatchObject([{ id: dead!.id }]);
      await transaction.commit();
      expect(await rescue(fixture.store, 10)).toEqual([]);
      expect(await fixture.job(completing!.id)).toMatchObject({ status: 'completed', retries: 0, result: 'in time' });
    });

    it('rescues a job whose completion was rolled back', async () => {
      const token = await claimOne(fixture.store);
      await fixture.expire(token.id);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, token, null);
      await transaction.rollback();
      expect(await rescue(fixture.store, 10)).toMatchObject([{ id: token.id, status: 'pending' }]);
    });
  },
);

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))(
  'rescue beside an open completion on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('waits for the write lock and does not change a job that was completed during the wait', async () => {
      const token = await claimOne(fixture.store);
      await fixture.expire(token.id);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, token, '"in time"');
      const rescued = rescue(fixture.store, 10);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await rescued).toEqual([]);
      expect(await fixture.job(token.id)).toMatchObject({ status: 'completed', retries: 0 });
    });
  },
);
