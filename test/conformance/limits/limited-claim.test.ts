import type { JobStore } from '../../../lib/store/job-store.js';
import type { ClaimResult, TopicClaimRequest } from '../../../lib/store/jobs/job-records.js';
import { HAND_OVER_MS } from '../../../lib/store/limits/limited-claim.js';
import type { JobInsert, Settled } from '../../../lib/store/jobs/job-records.js';
import { isMatrix } from '../../support/tier.js';
import { until } from '../../support/wait.js';
import { claim, newJob, newJobs, TOPIC, WORKER } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

interface Limits {
  readonly total?: number;
  readonly perKey?: number;
  readonly rate?: {
    readonly limit: number;
    readonly ms: number;
    readonly byKey?: boolean;
    readonly spread?: boolean;
  };
}

/** Writes the row of the topic. */
async function limit(fixture: StoreFixture, { total, perKey, rate }: Limits): Promise<void> {
  const number = (value: number | undefined): string => String(value ?? 'NULL');
  await fixture.sql(`
    INSERT INTO _jobs_topics (topic, is_limited, limit_total, limit_key, rate_limit, rate_ms, rate_by_key, rate_spread)
    VALUES ('${TOPIC}', true, ${number(total)}, ${number(perKey)}, ${number(rate?.limit)}, ${number(rate?.ms)}, ${rate?.byKey === true}, ${rate?.spread === true})`);
}

function claimLimited(store: JobStore, members: Partial<TopicClaimRequest> = {}): Promise<ClaimResult> {
  return store.claim({
    from: 'topic',
    topic: TOPIC,
    priorities: [0],
    hasKeyed: true,
    limit: 10,
    leaseMs: 30_000,
    worker: WORKER,
    handOverMs: HAND_OVER_MS,
    ...members,
  });
}

function keyedJobs(count: number, concurrencyKey: string, members: Partial<JobInsert> = {}): JobInsert[] {
  return newJobs(count, { concurrencyKey, ...members });
}

const countByKey = async (store: JobStore, { claims }: ClaimResult): Promise<Record<string, number>> => {
  const jobs = await store.find(claims.map(({ id }) => id));
  const counts: Record<string, number> = {};
  for (const { concurrencyKey } of jobs) {
    counts[concurrencyKey ?? ''] = (counts[concurrencyKey ?? ''] ?? 0) + 1;
  }
  return counts;
};

/** Releases jobs whose handlers were not called. */
async function release(store: JobStore, { claims, start }: ClaimResult): Promise<Settled[]> {
  const outcome = { kind: 'release', delayMs: null } as const;
  return store.settle(claims.map((token) => ({ token, outcome, durationMs: null, counted: start, isUncalled: true })));
}

/** Claims the due jobs and ends them, so that they are delayed or failed, then pending again. */
async function endAll(store: JobStore, way: 'retried' | 're-queued'): Promise<void> {
  const { claims } = await claimLimited(store, { limit: 1_000 });
  const failure = { message: 'no', stack: null };
  const kind = way === 'retried' ? 'retry' : 'failed';
  await store.settle(claims.map((token) => ({ token, outcome: { kind, delayMs: 3_600_000, failure }, durationMs: 1 })));
  if (way === 're-queued') {
    await store.requeue(
      claims.map(({ id }) => id),
      { runAt: new Date(Date.now() + 3_600_000) },
    );
  }
}

async function complete(store: JobStore, { claims }: ClaimResult): Promise<void> {
  await store.settle(claims.map((token) => ({ token, outcome: { kind: 'completed', result: null }, durationMs: 1 })));
}

describe.each(storeKinds())('the claim of a limited topic on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_topics');
    await fixture.sql('DELETE FROM _jobs_starts');
  });

  it.each(['delayed', 'retried', 're-queued'] as const)(
    'claims the only job of a key in its second claim beside thousands of another key: %s',
    async (way) => {
      const { store } = fixture;
      await limit(fixture, {});
      const runAt = way === 'delayed' ? new Date(Date.now() + 3_600_000) : null;
      for (const [key, count] of [['many', isMatrix ? 20_000 : 2_000] as const, ['one', 1] as const]) {
        for (let left = count; left > 0; left -= 1_000) {
          await store.insert(keyedJobs(Math.min(left, 1_000), key, { runAt }));
          if (way !== 'delayed') {
            await endAll(store, way);
          }
        }
      }
      await fixture.sql(
        `UPDATE _jobs SET run_at = CASE concurrency_key WHEN 'many' THEN created ELSE updated END WHERE status = 'pending'`,
      );
      await claimLimited(store, { limit: 100 });
      const isMarked = async (): Promise<boolean> =>
        (await fixture.sql(`SELECT 1 FROM _jobs WHERE status = 'pending' AND flow_key IS NULL LIMIT 1`)).length === 0;
      await until(isMarked, { message: 'a mark on each due job', timeoutMs: 60_000 });
      expect(await countByKey(store, await claimLimited(store, { limit: 100 }))).toMatchObject({ one: 1 });
    },
    120_000,
  );

  it('returns no more jobs than may run at once, and others as they end', async () => {
    await limit(fixture, { total: 3 });
    await fixture.store.insert(newJobs(5));
    const first = await claimLimited(fixture.store);
    expect(first).toMatchObject({ rest: 'held', held: 'concurrency' });
    expect(first.claims).toHaveLength(3);
    expect((await claimLimited(fixture.store)).claims).toHaveLength(0);

    await complete(fixture.store, { ...first, claims: first.claims.slice(0, 2) });
    expect((await claimLimited(fixture.store)).claims).toHaveLength(2);
  });

  it.each(['retry', 'snooze', 'release', 'failed', 'cancelled'] as const)(
    'frees the place of a job that ends with %s',
    async (end) => {
      await limit(fixture, { total: 1, perKey: 1 });
      await fixture.store.insert(keyedJobs(2, 'a'));
      const [job] = (await claimLimited(fixture.store)).claims;
      const failure = { message: 'no', stack: null };
      await fixture.store.settle([{ token: job!, outcome: { kind: end, delayMs: 60_000, failure }, durationMs: 1 }]);
      const next = await claimLimited(fixture.store);
      expect(next.claims).toHaveLength(1);
      expect(next.claims[0]!.id).not.toBe(job!.id);
    },
  );

  it('frees the place of a job whose lease has expired, with its rescue', async () => {
    await limit(fixture, { total: 1 });
    await fixture.store.insert(newJobs(2));
    await claimLimited(fixture.store, { leaseMs: 1 });
    let rescued = 0;
    while (rescued === 0) {
      rescued = (await fixture.store.rescue(10)).rescued.length;
    }
    expect((await claimLimited(fixture.store)).claims).toHaveLength(1);
  });

  it('returns no more jobs of a key than may run at once', async () => {
    await limit(fixture, { perKey: 2 });
    await fixture.store.insert([...keyedJobs(5, 'a'), ...keyedJobs(1, 'b'), ...newJobs(3)]);
    const claim = await claimLimited(fixture.store);
    expect(await countByKey(fixture.store, claim)).toEqual({ a: 2, b: 1, '': 3 });
    expect(await claimLimited(fixture.store)).toMatchObject({ claims: [], held: 'key' });
  });

  it('never says that no job is left when one claim could not take all of them', async () => {
    await limit(fixture, {});
    await fixture.store.insert(newJobs(60));
    const first = await claimLimited(fixture.store, { limit: 100 });
    const isAll = first.claims.length === 60;
    expect(first.rest).toBe(isAll ? 'none' : 'cut');
    const rest = isAll ? [] : (await claimLimited(fixture.store, { limit: 100 })).claims;
    expect(first.claims.length + rest.length).toBe(60);
  });

  it('lets keys take turns, whatever one of them has waiting', async () => {
    await limit(fixture, {});
    await fixture.store.insert([...keyedJobs(20, 'b'), ...keyedJobs(2, 'a'), ...keyedJobs(2, 'c'), ...newJobs(2)]);
    const order: string[] = [];
    for (let turn = 0; turn < 8; turn += 1) {
      order.push(...Object.keys(await countByKey(fixture.store, await claimLimited(fixture.store, { limit: 1 }))));
    }
    expect(order.slice(0, 4).sort()).toEqual(['', 'a', 'b', 'c']);
    expect(order.slice(4).sort()).toEqual(['', 'a', 'b', 'c']);
  });

  it('serves priorities strictly, across keys', async () => {
    await limit(fixture, { total: 3 });
    await fixture.store.insert([...keyedJobs(5, 'a', { priority: 5 }), ...keyedJobs(2, 'b', { priority: -5 })]);
    const claim = await claimLimited(fixture.store, { priorities: [-5, 5] });
    expect(await countByKey(fixture.store, claim)).toEqual({ b: 2, a: 1 });
  });

  it('claims jobs without a key of several priorities at once', async () => {
    await limit(fixture, {});
    await fixture.store.insert([...newJobs(1, { priority: -5 }), ...newJobs(2, { priority: 5 })]);
    expect((await claimLimited(fixture.store, { priorities: [-5, 5] })).claims).toHaveLength(3);
  });

  it('claims a keyed job when it becomes due', async () => {
    await limit(fixture, {});
    const [job] = keyedJobs(1, 'a', { delayMs: 60_000 });
    await fixture.store.insert([job!]);
    expect((await claimLimited(fixture.store)).claims).toHaveLength(0);
    await fixture.store.promote([job!.id]);
    expect((await claimLimited(fixture.store)).claims).toHaveLength(1);
  });

  it('starts no more jobs in a window than the rate allows, and says when the next may start', async () => {
    await limit(fixture, { rate: { limit: 4, ms: 60_000 } });
    await fixture.store.insert([...newJobs(3), ...keyedJobs(3, 'a')]);
    const first = await claimLimited(fixture.store, { limit: 3 });
    await complete(fixture.store, first);
    const second = await claimLimited(fixture.store);
    expect([first.claims.length, second.claims.length]).toEqual([3, 1]);
    const third = await claimLimited(fixture.store);
    expect(third).toMatchObject({ claims: [], held: 'rate' });
    expect(third.rateInMs).toBeGreaterThan(50_000);
    expect(third.rateInMs).toBeLessThanOrEqual(62_000);
  });

  it('counts the rate of each key apart', async () => {
    await limit(fixture, { rate: { limit: 1, ms: 60_000, byKey: true } });
    await fixture.store.insert([...keyedJobs(2, 'a'), ...keyedJobs(2, 'b'), ...newJobs(2)]);
    expect(await countByKey(fixture.store, await claimLimited(fixture.store))).toEqual({ a: 1, b: 1, '': 2 });
    const full = await claimLimited(fixture.store);
    expect(full).toMatchObject({ claims: [], held: 'key' });
    expect(full.rateInMs).toBeGreaterThan(50_000);
  });

  it('allows the next start when the oldest one has left the window', async () => {
    await limit(fixture, { rate: { limit: 2, ms: 200 } });
    await fixture.store.insert(newJobs(4));
    await claimLimited(fixture.store);
    let claims: ClaimResult['claims'] = [];
    while (claims.length === 0) {
      ({ claims } = await claimLimited(fixture.store));
    }
    expect(claims).toHaveLength(2);
    const jobs = await fixture.store.find(
      (await fixture.sql<{ id: string }>('SELECT id FROM _jobs')).map(({ id }) => id),
    );
    const starts = jobs.map(({ started }) => started!.getTime()).sort((a, b) => a - b);
    expect(starts[2]! - starts[1]!).toBeGreaterThanOrEqual(200);
  });

  it('counts a start for the hand-over of its claim and the window after it', async () => {
    await limit(fixture, { rate: { limit: 2, ms: 1_000 } });
    await fixture.store.insert(newJobs(3));
    await claimLimited(fixture.store, { limit: 1, handOverMs: 100 });
    await claimLimited(fixture.store, { limit: 1, handOverMs: 60_000 });
    const full = await claimLimited(fixture.store);
    expect(full).toMatchObject({ claims: [], held: 'rate' });
    expect(full.rateInMs).toBeLessThanOrEqual(1_150);
    await until(async () => (await claimLimited(fixture.store)).claims.length === 1, { message: 'the third start' });
    const starts = await fixture.sql<{ slice: unknown }>('SELECT slice FROM _jobs_starts');
    const [first, second] = starts.map(({ slice }) => Number(slice)).sort((a, b) => a - b);
    expect(second! - first!).toBeGreaterThan((59_000 * 64) / 1_000 - 10_000);
  });

  it('takes back the starts of jobs whose handlers were not called, once', async () => {
    await limit(fixture, { rate: { limit: 3, ms: 60_000 } });
    await fixture.store.insert(newJobs(6));
    const first = await claimLimited(fixture.store, { limit: 2 });
    expect(await release(fixture.store, first)).toMatchObject([{ applied: true }, { applied: true }]);
    expect(await release(fixture.store, first)).toMatchObject([{ applied: false }, { applied: false }]);
    const second = await claimLimited(fixture.store);
    expect(second.claims).toHaveLength(3);
    await release(fixture.store, first);
    expect(await claimLimited(fixture.store)).toMatchObject({ claims: [], held: 'rate' });
  });

  it('takes back no start of a window of another length', async () => {
    await limit(fixture, { rate: { limit: 1, ms: 60_000 } });
    await fixture.store.insert(newJobs(3));
    const first = await claimLimited(fixture.store);
    await fixture.sql('UPDATE _jobs_topics SET rate_ms = 61000');
    expect((await claimLimited(fixture.store)).claims).toHaveLength(1);
    await release(fixture.store, first);
    expect(await claimLimited(fixture.store)).toMatchObject({ claims: [], held: 'rate' });
  });

  it('takes back the starts of each key apart, and none of jobs without a key', async () => {
    await limit(fixture, { rate: { limit: 1, ms: 60_000, byKey: true } });
    await fixture.store.insert([...keyedJobs(2, 'a'), ...keyedJobs(2, 'b'), ...newJobs(1)]);
    const first = await claimLimited(fixture.store);
    const jobs = await fixture.store.find(first.claims.map(({ id }) => id));
    const isOfB = new Set(jobs.filter(({ concurrencyKey }) => concurrencyKey === 'b').map(({ id }) => id));
    await release(fixture.store, { ...first, claims: first.claims.filter(({ id }) => !isOfB.has(id)) });
    expect(await countByKey(fixture.store, await claimLimited(fixture.store))).toEqual({ a: 1, '': 1 });
  });

  it('spreads starts evenly over the window', async () => {
    await limit(fixture, { rate: { limit: 5, ms: 1_000, spread: true } });
    await fixture.store.insert(newJobs(4));
    const atMs: number[] = [];
    while (atMs.length < 4) {
      const { claims, start, held } = await claimLimited(fixture.store);
      expect({ count: claims.length, held }).toEqual({ count: Math.min(1, claims.length), held: 'rate' });
      atMs.push(...claims.map(() => start!.atMs));
    }
    atMs.slice(1).forEach((ms, index) => expect(ms - atMs[index]!).toBeGreaterThanOrEqual(199));
  });

  it('says when the next spread start is due, and does not wait for one that was taken back', async () => {
    await limit(fixture, { rate: { limit: 2, ms: 60_000, spread: true } });
    await fixture.store.insert(newJobs(4));
    const first = await claimLimited(fixture.store);
    expect(first).toMatchObject({ claims: [{}], held: 'rate' });
    expect(Math.abs(first.rateInMs! - 30_000)).toBeLessThan(1_000);
    const second = await claimLimited(fixture.store);
    expect(second).toMatchObject({ claims: [], held: 'rate' });
    expect(Math.abs(second.rateInMs! - 30_000)).toBeLessThan(5_000);
    await release(fixture.store, first);
    expect((await claimLimited(fixture.store)).claims).toHaveLength(1);
  });

  it('spreads the starts of each key apart', async () => {
    await limit(fixture, { rate: { limit: 2, ms: 60_000, byKey: true, spread: true } });
    await fixture.store.insert([...keyedJobs(2, 'a'), ...keyedJobs(2, 'b')]);
    expect(await countByKey(fixture.store, await claimLimited(fixture.store))).toEqual({ a: 1, b: 1 });
    const full = await claimLimited(fixture.store);
    expect(full).toMatchObject({ claims: [], held: 'key' });
    expect(Math.abs(full.rateInMs! - 30_000)).toBeLessThan(5_000);
  });

  it('claims spread starts together that are due within a few milliseconds', async () => {
    await limit(fixture, { rate: { limit: 1_000, ms: 1_000, spread: true } });
    await fixture.store.insert(newJobs(20));
    expect((await claimLimited(fixture.store, { limit: 20 })).claims).toHaveLength(8);
  });

  it('returns nothing of a paused topic', async () => {
    await limit(fixture, { total: 3 });
    await fixture.store.insert(newJobs(1));
    await fixture.store.pauses.pause([TOPIC]);
    expect(await claimLimited(fixture.store)).toMatchObject({ claims: [], rest: 'none' });
    await fixture.store.pauses.resume([TOPIC]);
    expect((await claimLimited(fixture.store)).claims).toHaveLength(1);
  });

  it('makes a topic with keyed jobs limited, and reports one without as unlimited', async () => {
    await fixture.store.insert(newJobs(1));
    expect(await claimLimited(fixture.store, { hasKeyed: false })).toMatchObject({ claims: [], rest: 'unlimited' });
    await fixture.store.insert(keyedJobs(1, 'a'));
    expect((await claimLimited(fixture.store)).claims).toHaveLength(2);
    const scan = await fixture.store.scan([{ topic: TOPIC, after: -1_001, before: 1_001 }]);
    expect(scan.waiting).toEqual([]);
    await fixture.store.insert([newJob(), ...keyedJobs(1, 'a')]);
    const lanes = await fixture.store.scan([{ topic: TOPIC, after: -1_001, before: 1_001 }]);
    expect(lanes.waiting).toMatchObject([{ priority: 0, isLimited: true }]);
    expect(lanes.keyed).toMatchObject([{ priority: 0, isLimited: true }]);
  });

  it('is the only one that takes keyed jobs and jobs of limited topics', async () => {
    await limit(fixture, { total: 3 });
    await fixture.store.insert([...newJobs(1), ...newJobs(1, { topic: 'other', concurrencyKey: 'a' })]);
    const lanes = [TOPIC, 'other'].map((topic) => ({ topic, priority: 0, lowerBound: null, limit: 10 }));
    expect(await claim(fixture.store, { lanes })).toEqual([]);
  });

  it('deletes starts that the rate does not need any more', async () => {
    await limit(fixture, { rate: { limit: 2, ms: 1_000 } });
    await fixture.store.insert(newJobs(1));
    await claimLimited(fixture.store);
    await fixture.sql(`UPDATE _jobs_starts SET slice = slice - 200`);
    expect(await fixture.store.limits.pruneStarts(TOPIC)).toBe(false);
    expect(await fixture.sql('SELECT * FROM _jobs_starts')).toEqual([]);
  });

  it('deletes 10,000 of them at once, and returns that there may be others', async () => {
    await fixture.sql(`INSERT INTO _jobs_starts (topic, key, rate_ms, slice, starts, latest)
      WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10001) SELECT '${TOPIC}', '', 1000, n, 1, 0 FROM r`);
    expect(await fixture.store.limits.pruneStarts(TOPIC)).toBe(true);
    expect(await fixture.sql('SELECT 1 FROM _jobs_starts')).toHaveLength(1);
    expect(await fixture.store.limits.pruneStarts(TOPIC)).toBe(false);
    expect(await fixture.sql('SELECT 1 FROM _jobs_starts')).toEqual([]);
  });
});
