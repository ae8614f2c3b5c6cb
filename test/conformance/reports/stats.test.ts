import type { JobStats } from '../../../lib/core/job.js';
import { claimMany, claimOne, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';

const NOTHING: JobStats = {
  pending: 0,
  retrying: 0,
  processing: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  total: 0,
  successRate: 0,
  avgExecutionTime: 0,
  p50: 0,
  p95: 0,
  p99: 0,
  oldestPendingMs: null,
  countedAt: expect.any(Date) as Date,
};

describe.each(storeKinds())('stats on $label', (kind) => {
  const fixture = useStore(kind);
  const started = new Date('2024-01-01T00:00:00.000Z');
  const stats = (topics: readonly string[] | null = null): Promise<JobStats> =>
    new QueueStats({ store: fixture.store, ...logParts(systemClock) }).get(topics);

  /** Creates completed jobs with these run times. */
  const completed = async (runTimesMs: readonly number[], topic = TOPIC): Promise<void> => {
    const claims = await claimMany(fixture.store, runTimesMs.length, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
    for (const [index, { id }] of claims.entries()) {
      await fixture.set(id, { started, finished: new Date(started.getTime() + runTimesMs[index]!) });
    }
  };

  it('are all numbers for an empty table', async () => {
    expect(await stats()).toEqual(NOTHING);
    expect(await stats(['mail'])).toEqual(NOTHING);
  });

  it('count the jobs of each status', async () => {
    const claims = await claimMany(fixture.store, 9);
    const kinds = [...Array<'completed'>(4).fill('completed'), 'failed', 'cancelled', 'cancelled'] as const;
    await fixture.store.settle(kinds.map((name, index) => settlement(claims[index]!, outcomes[name]())));
    await insertMany(fixture.store, 3, { delayMs: 60_000 });
    expect(await stats()).toMatchObject({
      pending: 3,
      processing: 2,
      completed: 4,
      failed: 1,
      cancelled: 2,
      total: 12,
      successRate: 0.8,
    });
  });

  it('have the share of completed jobs among completed and failed ones', async () => {
    const claims = await claimMany(fixture.store, 3);
    const settle = (index: number, name: 'completed' | 'failed' | 'cancelled'): Promise<unknown> =>
      fixture.store.settle([settlement(claims[index]!, outcomes[name]())]);
    await settle(0, 'cancelled');
    expect((await stats()).successRate).toBe(0);
    await settle(1, 'failed');
    expect((await stats()).successRate).toBe(0);
    await settle(2, 'completed');
    expect((await stats()).successRate).toBe(0.5);
  });

  it.each<[string, number[], Pick<JobStats, 'avgExecutionTime' | 'p50' | 'p95' | 'p99'>]>([
    ['a single one', [40], { avgExecutionTime: 40, p50: 40, p95: 40, p99: 40 }],
    ['two', [30, 10], { avgExecutionTime: 20, p50: 10, p95: 30, p99: 30 }],
    ['three', [7, 1, 4], { avgExecutionTime: 4, p50: 4, p95: 7, p99: 7 }],
    [
      'one to a hundred',
      Array.from({ length: 100 }, (_, i) => i + 1),
      { avgExecutionTime: 50.5, p50: 50, p95: 95, p99: 99 },
    ],
    [
      'the squares of one to forty-one',
      Array.from({ length: 41 }, (_, i) => (41 - i) ** 2),
      { avgExecutionTime: 581, p50: 441, p95: 1_521, p99: 1_681 },
    ],
    [
      'zero and a whole day',
      [0, 0, 86_400_000],
      { avgExecutionTime: 28_800_000, p50: 0, p95: 86_400_000, p99: 86_400_000 },
    ],
  ])('have mean and percentiles of run times: %s', async (_what, runTimesMs, times) => {
    await completed(runTimesMs);
    const { avgExecutionTime, ...others } = await stats();
    expect(avgExecutionTime).toBeCloseTo(times.avgExecutionTime, 6);
    expect(others).toMatchObject({ p50: times.p50, p95: times.p95, p99: times.p99 });
  });

  it('measure only completed jobs', async () => {
    await completed([10, 20]);
    const [broken, gone] = await claimMany(fixture.store, 2);
    await fixture.store.settle([settlement(broken!, outcomes.failed()), settlement(gone!, outcomes.cancelled())]);
    await fixture.set([broken!.id, gone!.id], { started, finished: new Date(started.getTime() + 1_000_000) });
    await claimOne(fixture.store);
    expect(await stats()).toMatchObject({ avgExecutionTime: 15, p50: 10, p95: 20, p99: 20 });
  });

  it('measure the last attempt of a job', async () => {
    const { id } = await claimOne(fixture.store);
    await fixture.store.settle([settlement({ id, attempt: 1 }, outcomes.retry())]);
    await fixture.store.claim({
      from: 'lanes',
      lanes: [{ topic: 'mail', priority: 0, lowerBound: null, limit: 1 }],
      limit: 1,
      leaseMs: 60_000,
      worker: 'w',
    });
    await fixture.set(id, { created: { msFromNow: -3_600_000 } });
    await fixture.store.settle([settlement({ id, attempt: 2 }, outcomes.completed())]);
    expect((await stats()).avgExecutionTime).toBeLessThan(60_000);
  });

  it('can be limited to a topic', async () => {
    await completed([10], 'sms');
    await completed([50, 70], 'push');
    await insertOne(fixture.store, { topic: 'push' });
    expect(await stats(['sms'])).toMatchObject({ completed: 1, total: 1, p99: 10, oldestPendingMs: null });
    expect(await stats(['push'])).toMatchObject({ pending: 1, total: 3, p50: 50, avgExecutionTime: 60 });
    expect(await stats(['pus'])).toEqual(NOTHING);
    expect(await stats()).toMatchObject({ completed: 3, total: 4 });
  });

  it('have the wait of the oldest due job, by the clock of the database', async () => {
    const ids = await insertMany(fixture.store, 3);
    await fixture.set(ids[0]!, { run_at: { msFromNow: 60_000 } });
    await fixture.set(ids[1]!, { run_at: { msFromNow: -90_000 } });
    await fixture.set(ids[2]!, { run_at: { msFromNow: -30_000 } });
    const { oldestPendingMs } = await stats();
    expect(oldestPendingMs).toBeGreaterThanOrEqual(90_000);
    expect(oldestPendingMs).toBeLessThan(95_000);
  });

  it('have no wait when all jobs are delayed or running', async () => {
    await claimOne(fixture.store);
    await insertOne(fixture.store, { delayMs: 60_000 });
    expect((await stats()).oldestPendingMs).toBeNull();
  });
});
