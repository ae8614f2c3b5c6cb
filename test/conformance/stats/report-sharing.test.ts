import { ErrorStats } from '../../../lib/engine/admin/error-stats.js';
import { QueueStats } from '../../../lib/engine/admin/queue-stats.js';
import { claimMany, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

/** A clock on which each look at it finds so much time gone by: whatever is done takes long. */
class SlowClock extends VirtualClock {
  constructor(private readonly stepMs: number) {
    super();
  }

  private lookedAt = 0;

  override now(): number {
    this.lookedAt += this.stepMs;
    return super.now() + this.lookedAt;
  }
}

describe.each(storeKinds())('reports that many ask for, on $label', (kind) => {
  const fixture = useStore(kind);

  async function failMany(count: number): Promise<void> {
    const claims = await claimMany(fixture.store, count);
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.failed())));
  }

  it('are counted anew for each of them in a small table, however long that takes', async () => {
    const desk = new QueueStats({ store: fixture.store, clock: new SlowClock(30) });
    for (let jobs = 1; jobs <= 3; jobs += 1) {
      await insertOne(fixture.store);
      expect(await desk.get()).toMatchObject({ total: jobs });
      expect(await desk.get(['mail'])).toMatchObject({ total: jobs });
      expect(await desk.byTopic()).toMatchObject([{ total: jobs }]);
    }
  });

  it('are shown again for two seconds in a large one when they took long', async () => {
    for (let batch = 0; batch < 20; batch += 1) {
      await insertMany(fixture.store, 1_000);
    }
    await insertOne(fixture.store);
    const clock = new SlowClock(30);
    const desk = new QueueStats({ store: fixture.store, clock });
    expect(await desk.get(['sms', 'mail'])).toMatchObject({ total: 20_001 });
    expect(await desk.get()).toMatchObject({ total: 20_001 });
    await insertMany(fixture.store, 5);
    expect(await desk.get()).toMatchObject({ total: 20_001 });
    expect(await desk.get(['mail'])).toMatchObject({ total: 20_001 });
    expect(await desk.get(['mail', 'sms'])).toMatchObject({ total: 20_001 });
    expect(await desk.get(['none'])).toMatchObject({ total: 0 });
    await clock.advance(2_000);
    expect(await desk.get()).toMatchObject({ total: 20_006 });
  }, 60_000);

  it('group the same errors for all who ask within two seconds when they are many', async () => {
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

  it('group errors anew for each when they are few', async () => {
    const errors = new ErrorStats({ store: fixture.store, clock: new SlowClock(30) });
    for (let jobs = 1; jobs <= 3; jobs += 1) {
      await failMany(1);
      expect((await errors.list()).window.jobs).toBe(jobs);
    }
  });

  it('are counted anew in a large one when that is quick', async () => {
    for (let batch = 0; batch < 21; batch += 1) {
      await insertMany(fixture.store, 1_000);
    }
    const desk = new QueueStats({ store: fixture.store, clock: new VirtualClock() });
    expect(await desk.get()).toMatchObject({ total: 21_000 });
    await insertOne(fixture.store);
    expect(await desk.get()).toMatchObject({ total: 21_001 });
  }, 60_000);

  it('are kept of no more questions than there is room for', async () => {
    await insertOne(fixture.store);
    const desk = new QueueStats({ store: fixture.store, clock: new VirtualClock() });
    for (let n = 0; n < 250; n += 1) {
      expect(await desk.get([`topic_${n}`])).toMatchObject({ total: 0 });
    }
    expect(
      (desk as unknown as { snapshots: { entries: Map<string, unknown> } }).snapshots.entries.size,
    ).toBeLessThanOrEqual(100);
    expect(await desk.get(['mail'])).toMatchObject({ total: 1 });
  });
});
