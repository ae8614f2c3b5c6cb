/** @npm-test typeorm-0.3 */

import type { Outcome } from '../../../lib/core/job.js';
import type { LaneClaimRequest } from '../../../lib/store/jobs/job-records.js';
import { claim, insertMany, insertOne, lane, newJob, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('claim on $label', (kind) => {
  const fixture = useStore(kind);

  const claimIds = async (request: Partial<LaneClaimRequest> = {}): Promise<string[]> =>
    (await claim(fixture.store, request)).map(({ id }) => id).sort();

  it('sets a due job to processing under a lease and returns it', async () => {
    const backoff = { type: 'fixed', delayMs: 10, maxDelayMs: 10, jitter: 0 } as const;
    const job = newJob({ payload: '{"n":1}', maxRetries: 5, timeoutMs: 700, metadata: '{"m":2}', backoff });
    const [inserted] = await fixture.store.insert([job]);
    const claims = await claim(fixture.store, { leaseMs: 12_345, worker: 'somebody' });

    expect(claims).toEqual([
      {
        id: job.id,
        attempt: 1,
        expiresMs: null,
        rowRef: claims[0]!.rowRef,
        topic: TOPIC,
        payload: { n: 1 },
        payloadLength: expect.any(Number) as number,
        retries: 0,
        maxRetries: 5,
        priority: 0,
        timeoutMs: 700,
        backoff,
        metadata: { m: 2 },
        runAt: inserted!.runAt,
        created: inserted!.created,
        waitedMs: expect.any(Number) as number,
      },
    ]);
    expect(typeof claims[0]!.rowRef).toBe(kind.locksRows ? 'string' : 'undefined');
    const row = await fixture.job(job.id);
    expect(row).toMatchObject({ status: 'processing', attempt: 1, retries: 0, lockedBy: 'somebody', finished: null });
    expect(row.lockedUntil!.getTime() - row.started!.getTime()).toBeCloseTo(12_345, -1);
    expect(row.updated).toEqual(row.started);
    expect(row.started!.getTime() - inserted!.created.getTime()).toBeLessThan(5_000);
  });

  it('returns the length of the payload text, except for spaces that the database adds', async () => {
    const payload = JSON.stringify({ text: 'ä'.repeat(10_000), list: [1, 2, 3] });
    await insertOne(fixture.store, { payload });
    const [claimed] = await claim(fixture.store);
    expect(Math.abs(claimed!.payloadLength - payload.length)).toBeLessThan(10);
  });

  it('returns how long the job was due, by the clock of the database', async () => {
    const id = await insertOne(fixture.store);
    await fixture.set(id, { run_at: { msFromNow: -90_000 } });
    const [claimed] = await claim(fixture.store);
    expect(claimed!.waitedMs).toBeGreaterThanOrEqual(90_000);
    expect(claimed!.waitedMs).toBeLessThan(95_000);
  });

  it('returns jobs only when they are due', async () => {
    const [due] = await insertMany(fixture.store, 1);
    const [later] = await insertMany(fixture.store, 1, { delayMs: 3_600_000 });
    expect(await claimIds()).toEqual([due]);
    expect(await claimIds()).toEqual([]);
    await fixture.set(later!, { run_at: { msFromNow: -1 } });
    expect(await claimIds()).toEqual([later]);
  });

  it.each(['processing', 'completed', 'failed', 'cancelled'])(
    'does not return a due job that is %s',
    async (status) => {
      const id = await insertOne(fixture.store);
      await fixture.set(id, {
        status,
        locked_until: status === 'processing' ? { msFromNow: 1_000 } : null,
        finished: status === 'processing' ? null : { msFromNow: 0 },
      });
      expect(await claimIds()).toEqual([]);
    },
  );

  it('returns only jobs of the given lanes', async () => {
    const wanted = await insertOne(fixture.store, { priority: 2 });
    await insertOne(fixture.store, { priority: 1 });
    await insertOne(fixture.store, { priority: 2, topic: `${TOPIC}s` });
    await insertOne(fixture.store, { priority: 2, topic: TOPIC.toUpperCase() });
    expect(await claimIds({ lanes: [lane({ priority: 2 })] })).toEqual([wanted]);
  });

  it('returns nothing without lanes or for empty lanes', async () => {
    await insertOne(fixture.store);
    expect(await claimIds({ lanes: [] })).toEqual([]);
    expect(await claimIds({ lanes: [lane({ topic: 'none' }), lane({ priority: 9 })] })).toEqual([]);
  });

  it('returns the jobs of a lane that have been due longest', async () => {
    const ids = await insertMany(fixture.store, 4);
    await fixture.set(ids[0]!, { run_at: { msFromNow: -1_000 } });
    await fixture.set(ids[1]!, { run_at: { msFromNow: -4_000 } });
    await fixture.set(ids[2]!, { run_at: { msFromNow: -3_000 } });
    await fixture.set(ids[3]!, { run_at: { msFromNow: -2_000 } });
    expect(await claimIds({ lanes: [lane({ limit: 2 })] })).toEqual([ids[1], ids[2]]);
    expect(await claimIds({ limit: 1 })).toEqual([ids[3]]);
    expect(await claimIds()).toEqual([ids[0]]);
  });

  it('claims lanes in the given order, up to the total limit', async () => {
    const urgent = await insertMany(fixture.store, 2, { priority: -10 });
    const usual = await insertMany(fixture.store, 2, { priority: 0 });
    const other = await insertMany(fixture.store, 2, { priority: 0, topic: 'sms' });
    const lanes = [lane({ priority: -10 }), lane({ topic: 'sms' }), lane({ priority: 0 })];
    expect(await claimIds({ lanes, limit: 3 })).toEqual([...urgent, other[0]].sort());
    expect(await claimIds({ lanes, limit: 2 })).toEqual([other[1], usual[0]].sort());
    expect(await claimIds({ lanes: [...lanes].reverse(), limit: 2 })).toEqual([usual[1]]);
  });

  it('keeps the limit of each lane and the total limit', async () => {
    await insertMany(fixture.store, 5);
    await insertMany(fixture.store, 5, { topic: 'sms' });
    const lanes = [lane({ limit: 2 }), lane({ topic: 'sms', limit: 3 })];
    const topics = async (limit: number): Promise<string[]> =>
      (await claim(fixture.store, { lanes, limit })).map(({ topic }) => topic).sort();
    expect(await topics(100)).toEqual([TOPIC, TOPIC, 'sms', 'sms', 'sms']);
    expect(await topics(4)).toEqual([TOPIC, TOPIC, 'sms', 'sms']);
    expect(await topics(1)).toEqual([TOPIC]);
  });

  it('returns no job that was due before the lower bound of its lane', async () => {
    const ids = await insertMany(fixture.store, 3);
    const bound = new Date('2020-01-01T00:00:00.500Z');
    await fixture.set(ids[0]!, { run_at: new Date(bound.getTime() - 1) });
    await fixture.set(ids[1]!, { run_at: bound });
    await fixture.set(ids[2]!, { run_at: new Date(bound.getTime() + 1) });
    expect(await claimIds({ lanes: [lane({ lowerBound: bound.toISOString() })] })).toEqual(ids.slice(1));
    expect(await claimIds()).toEqual([ids[0]]);
  });

  it('increments attempt with each claim after every transition to pending', async () => {
    const id = await insertOne(fixture.store, { maxRetries: 10 });
    const attempts: number[] = [];
    const claimAgain = async (): Promise<void> => {
      const claims = await claim(fixture.store);
      attempts.push(...claims.map(({ attempt }) => attempt));
    };
    const settle = (outcome: Outcome): Promise<unknown> =>
      fixture.store.settle([settlement({ id, attempt: attempts.at(-1)! }, outcome)]);

    await claimAgain();
    await settle(outcomes.retry());
    await claimAgain();
    await settle(outcomes.snooze());
    await claimAgain();
    await settle(outcomes.release());
    await claimAgain();
    await fixture.expire(id);
    await fixture.store.rescue(10);
    await claimAgain();
    await settle(outcomes.failed());
    await fixture.store.requeue([id]);
    await claimAgain();
    await settle(outcomes.cancelled());
    await fixture.store.requeue([id]);
    await claimAgain();

    expect(attempts).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await fixture.job(id)).toMatchObject({ attempt: 7, retries: 0 });
  });

  it('keeps errors and progress of earlier attempts', async () => {
    const id = await insertOne(fixture.store);
    const [first] = await claim(fixture.store);
    await fixture.store.recordProgress([{ token: first!, progress: '50' }]);
    await fixture.store.settle([settlement(first!, outcomes.retry())]);
    expect(await claim(fixture.store)).toMatchObject([{ id, attempt: 2, retries: 1 }]);
    expect(await fixture.job(id)).toMatchObject({ progress: 50, lastError: 'no luck', retries: 1 });
  });

  it('claims a thousand jobs in one call', async () => {
    const ids = await insertMany(fixture.store, 1_000);
    expect(await claimIds({ limit: 1_000 })).toEqual(ids);
  });

  it('gives each of a thousand jobs to exactly one of eight concurrent claims', async () => {
    const ids = await insertMany(fixture.store, 1_000);
    const stores = [fixture.store];
    while (kind.canHaveTwoConnections && stores.length < 8) {
      stores.push((await fixture.openAnother()).store);
    }
    const claimers = Array.from({ length: 8 }, (_, index) => stores[index % stores.length]!);
    const claimed = await Promise.all(
      claimers.map(async (store, index) => {
        const mine: string[] = [];
        for (let misses = 0; misses < 2;) {
          const claims = await claim(store, { limit: 7, worker: `worker-${index}` });
          mine.push(...claims.map(({ id }) => id));
          misses = claims.length === 0 ? misses + 1 : 0;
        }
        return mine;
      }),
    );

    expect(claimed.flat().sort()).toEqual(ids);
    expect(claimed.filter((mine) => mine.length > 0).length).toBeGreaterThan(1);
    const jobs = await fixture.store.find(ids);
    expect(jobs.every(({ attempt, status }) => attempt === 1 && status === 'processing')).toBe(true);
    for (const [index, mine] of claimed.entries()) {
      const held = jobs.filter(({ lockedBy }) => lockedBy === `worker-${index}`).map(({ id }) => id);
      expect(held.sort()).toEqual(mine.sort());
    }
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('claim beside locked rows on $label', (kind) => {
  const fixture = useStore(kind);

  it('skips jobs that another transaction locks, without waiting', async () => {
    const ids = await insertMany(fixture.store, 4);
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT id FROM _jobs WHERE id = ANY ($1) FOR UPDATE', [ids.slice(0, 2)]);
    const claims = await claim(fixture.store, { lanes: [lane({ limit: 3 })] });
    expect(claims.map(({ id }) => id).sort()).toEqual(ids.slice(2));
    await transaction.rollback();
    expect(await claim(fixture.store)).toHaveLength(2);
  });

  it('does not return a job during its delete or cancel', async () => {
    const [cancelled, deleted] = await insertMany(fixture.store, 2);
    const transaction = await fixture.begin();
    await transaction.manager.query(`UPDATE _jobs SET status = 'cancelled', finished = now() WHERE id = $1`, [
      cancelled,
    ]);
    await transaction.manager.query('DELETE FROM _jobs WHERE id = $1', [deleted]);
    expect(await claim(fixture.store)).toEqual([]);
    await transaction.commit();
    expect(await claim(fixture.store)).toEqual([]);
    expect(await fixture.job(cancelled!)).toMatchObject({ status: 'cancelled', attempt: 0 });
  });
});
