import { ErrorStats } from '../../../lib/engine/reports/error-stats.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import {
  claimMany,
  insertMany,
  insertOne,
  outcomes,
  settlement,
  TOPIC,
  WORKER,
  WORKER_DETAILS,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

/** A clock that advances with each call of `now`, so that every query seems slow. */
class SlowClock extends VirtualClock {
  constructor(private readonly stepMs: number) {
    super();
  }

  private passedMs = 0;

  override now(): number {
    this.passedMs += this.stepMs;
    return super.now() + this.passedMs;
  }
}

describe.each(storeKinds())('cached reports on $label', (kind) => {
  const fixture = useStore(kind);

  async function failMany(count: number): Promise<void> {
    const claims = await claimMany(fixture.store, count);
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.failed())));
  }

  it('are read again for each call on a small table, even if the query is slow', async () => {
    const stats = new QueueStats({ store: fixture.store, ...logParts(new SlowClock(30)) });
    for (let jobs = 1; jobs <= 3; jobs += 1) {
      await insertOne(fixture.store);
      expect(await stats.get()).toMatchObject({ total: jobs });
      expect(await stats.get(['mail'])).toMatchObject({ total: jobs });
      expect(await stats.byTopic()).toMatchObject([{ total: jobs }]);
    }
  });

  it('are cached for two seconds on a large table when the query is slow', async () => {
    for (let batch = 0; batch < 20; batch += 1) {
      await insertMany(fixture.store, 1_000);
    }
    await insertOne(fixture.store);
    const clock = new SlowClock(30);
    const stats = new QueueStats({ store: fixture.store, ...logParts(clock) });
    expect(await stats.get(['sms', 'mail'])).toMatchObject({ total: 20_001 });
    expect(await stats.get()).toMatchObject({ total: 20_001 });
    await insertMany(fixture.store, 5);
    expect(await stats.get()).toMatchObject({ total: 20_001 });
    expect(await stats.get(['mail'])).toMatchObject({ total: 20_001 });
    expect(await stats.get(['mail', 'sms'])).toMatchObject({ total: 20_001 });
    expect(await stats.get(['none'])).toMatchObject({ total: 0 });
    await fixture.sql('DELETE FROM _jobs_counts');
    await clock.advance(2_000);
    expect(await stats.get()).toMatchObject({ total: 20_006 });
  }, 60_000);

  it('of many errors are cached for two seconds', async () => {
    await failMany(1_000);
    await failMany(1);
    const clock = new SlowClock(30);
    const errors = new ErrorStats({ store: fixture.store, clock });
    expect((await errors.list()).window.jobs).toBe(1_001);
    await failMany(1);
    expect((await errors.list()).window.jobs).toBe(1_001);
    expect((await errors.list([TOPIC])).items).toMatchObject([{ count: 1_002 }]);
    await clock.advance(2_000);
    expect((await errors.list()).window.jobs).toBe(1_002);
  });

  it('of few errors are read again for each call', async () => {
    const errors = new ErrorStats({ store: fixture.store, clock: new SlowClock(30) });
    for (let jobs = 1; jobs <= 3; jobs += 1) {
      await failMany(1);
      expect((await errors.list()).window.jobs).toBe(jobs);
    }
  });

  it('are read again for each call on a large table when the query is fast', async () => {
    for (let batch = 0; batch < 21; batch += 1) {
      await insertMany(fixture.store, 1_000);
    }
    expect((await fixture.store.reports.recordWorker(WORKER, [], WORKER_DETAILS)).isCountDue).toBe(true);
    const stats = new QueueStats({ store: fixture.store, ...logParts(new VirtualClock()) });
    expect(await stats.get()).toMatchObject({ total: 21_000 });
    await insertOne(fixture.store);
    expect(await stats.get()).toMatchObject({ total: 21_001 });
  }, 60_000);

  it('are cached for a limited number of queries', async () => {
    await insertOne(fixture.store);
    const stats = new QueueStats({ store: fixture.store, ...logParts(new VirtualClock()) });
    for (let n = 0; n < 250; n += 1) {
      expect(await stats.get([`topic_${n}`])).toMatchObject({ total: 0 });
    }
    expect(
      (stats as unknown as { snapshots: { entries: Map<string, unknown> } }).snapshots.entries.size,
    ).toBeLessThanOrEqual(100);
    expect(await stats.get(['mail'])).toMatchObject({ total: 1 });
  });
});
