import type { LaneGap, LaneStart, WaitingLane } from '../../../lib/store/jobs/job-records.js';
import { claim, insertOne, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('scan on $label', (kind) => {
  const fixture = useStore(kind);

  const scan = async (gaps: readonly LaneGap[], lanes: readonly LaneStart[] = []): Promise<WaitingLane[]> => {
    const { waiting } = await fixture.store.scan(gaps, lanes);
    return [...waiting].sort((a, b) => a.priority - b.priority);
  };

  it('finds every waiting lane of a gap', async () => {
    await insertOne(fixture.store, { priority: 7 });
    await insertOne(fixture.store, { priority: -3 });
    await insertOne(fixture.store, { priority: 5, topic: 'sms' });
    const waiting = await scan([{ topic: TOPIC, after: -1_001, before: 1_001 }]);
    expect(waiting).toMatchObject([
      { topic: TOPIC, priority: -3 },
      { topic: TOPIC, priority: 7 },
    ]);
  });

  it('excludes both bounds of a gap', async () => {
    await insertOne(fixture.store, { priority: 1 });
    await insertOne(fixture.store, { priority: 2 });
    await insertOne(fixture.store, { priority: 3 });
    const find = async (after: number, before: number): Promise<number[]> =>
      (await scan([{ topic: TOPIC, after, before }])).map(({ priority }) => priority);
    expect(await find(1, 3)).toEqual([2]);
    expect(await find(3, 1_001)).toEqual([]);
    expect(await find(-1_001, 1)).toEqual([]);
    expect(await find(2, 3)).toEqual([]);
  });

  it('finds the lowest and the highest priority', async () => {
    await insertOne(fixture.store, { priority: -1_000 });
    await insertOne(fixture.store, { priority: 1_000, topic: 'sms' });
    const gaps = [TOPIC, 'sms'].map((topic) => ({ topic, after: -1_001, before: 1_001 }));
    expect(await scan(gaps)).toMatchObject([{ priority: -1_000 }, { priority: 1_000 }]);
  });

  it('returns each priority once, and nothing for empty gaps', async () => {
    for (const priority of [-5, -5, 0, 4, 9]) {
      await insertOne(fixture.store, { priority });
    }
    const gaps = [
      { topic: TOPIC, after: -1_001, before: 0 },
      { topic: TOPIC, after: 0, before: 4 },
      { topic: TOPIC, after: 3, before: 1_001 },
      { topic: 'sms', after: -1_001, before: 1_001 },
    ];
    const waiting = await scan(gaps);
    expect(waiting.map(({ priority }) => priority)).toEqual([-5, 4, 9]);
    expect(await scan([])).toEqual([]);
  });

  it('returns the time until the first job of the lane is due', async () => {
    await insertOne(fixture.store, { delayMs: 60_000 });
    await insertOne(fixture.store, { delayMs: 30_000 });
    const [first] = await scan([{ topic: TOPIC, after: -1, before: 1 }]);
    expect(first!.dueInMs).toBeGreaterThan(25_000);
    expect(first!.dueInMs).toBeLessThanOrEqual(30_000);
  });

  it('returns zero or less when the first job of the lane is due', async () => {
    const id = await insertOne(fixture.store);
    const [due] = await scan([{ topic: TOPIC, after: -1, before: 1 }]);
    expect(due!.dueInMs).toBeLessThanOrEqual(0);
    await fixture.set(id, { run_at: { msFromNow: -7_000 } });
    const [overdue] = await scan([{ topic: TOPIC, after: -1, before: 1 }]);
    expect(overdue!.dueInMs).toBeLessThanOrEqual(-7_000);
  });

  it('finds lanes that are due and lanes that are not', async () => {
    await insertOne(fixture.store, { priority: 5 });
    await insertOne(fixture.store, { priority: -5, delayMs: 60_000 });
    const waiting = await scan([{ topic: TOPIC, after: -1_001, before: 1_001 }]);
    expect(waiting).toMatchObject([{ priority: -5 }, { priority: 5 }]);
  });

  it('finds only pending jobs', async () => {
    await insertOne(fixture.store);
    await claim(fixture.store);
    expect(await scan([{ topic: TOPIC, after: -1, before: 1 }])).toEqual([]);
  });
});
