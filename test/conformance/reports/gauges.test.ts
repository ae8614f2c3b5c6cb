import { QueueGauges } from '../../../lib/engine/reports/queue-gauges.js';
import {
  claimMany,
  claimOne,
  insertMany,
  insertOne,
  outcomes,
  settlement,
  WORKER_DETAILS,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { overrideStore } from '../../support/override-store.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe.each(storeKinds())('the gauges of the store on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(() => fixture.sql('DELETE FROM _jobs_workers'));

  it('count the jobs of each topic, the wait of the oldest due job, and the live workers', async () => {
    const { store } = fixture;
    const done = await claimMany(store, 2, { topic: 'done' });
    await store.settle(done.map((token) => settlement(token, outcomes.completed())));
    await claimOne(store, { topic: 'running' });
    const minutesAgo = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);
    await insertOne(store, { topic: 'late', priority: 5, runAt: minutesAgo(9) });
    await insertOne(store, { topic: 'late', priority: -5, runAt: minutesAgo(3) });
    await insertOne(store, { topic: 'later', runAt: minutesAgo(-60) });
    await insertOne(store, { topic: 'keyed', runAt: minutesAgo(2), concurrencyKey: 'a' });
    await store.reports.recordWorker('one', ['late'], WORKER_DETAILS);
    await store.reports.recordWorker('two', [], WORKER_DETAILS);
    await fixture.sql(`UPDATE _jobs_workers SET seen = '2026-01-01 00:00:00.000' WHERE worker = 'two'`);

    const { counts, oldestWaitingMs, workers } = await store.reports.gauges();
    const none = { pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
    expect(counts.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))).toEqual([
      { topic: 'done', ...none, completed: 2 },
      { topic: 'keyed', ...none, pending: 1 },
      { topic: 'late', ...none, pending: 2 },
      { topic: 'later', ...none, pending: 1 },
      { topic: 'running', ...none, processing: 1 },
    ]);
    const minutes = [...oldestWaitingMs].map(([topic, waitedMs]) => [topic, Math.round(waitedMs / 60_000)]);
    expect(minutes.sort()).toEqual([['keyed', 2], ['late', 9]]); // prettier-ignore
    expect(workers).toBe(1);
  });

  it('count more than a thousand jobs of a topic', async () => {
    await insertMany(fixture.store, 1_200, { topic: 'large' });
    const { counts } = await fixture.store.reports.gauges();
    expect(counts.find(({ topic }) => topic === 'large')).toMatchObject({ pending: 1_200, completed: 0 });
  });

  describe('find the oldest due job with a concurrency key', () => {
    const minutesAgo = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);

    const insertKeyed = (minutes: number, topic: string, concurrencyKey: string, priority = 0) =>
      insertOne(fixture.store, { topic, concurrencyKey, priority, runAt: minutesAgo(minutes) });

    const readMinutes = async (topic: string): Promise<number | undefined> => {
      const waitedMs = (await fixture.store.reports.gauges()).oldestWaitingMs.get(topic);
      return waitedMs && Math.round(waitedMs / 60_000);
    };

    it('behind other priorities, keys and jobs that are not due', async () => {
      await insertKeyed(-60, 'behind', 'a', -1);
      await insertKeyed(2, 'behind', 'a');
      await insertKeyed(1, 'behind', 'b');
      await insertKeyed(7, 'behind', 'b');
      await insertKeyed(3, 'behind', 'c', 5);
      await insertKeyed(1, 'other', 'a');
      expect(await readMinutes('behind')).toBe(7);
      expect(await readMinutes('other')).toBe(1);
    });

    it('of many keys, if it was enqueued first', async () => {
      await insertKeyed(9, 'many', 'z');
      for (let n = 0; n < 25; n += 1) await insertKeyed(1, 'many', `key_${n}`);
      expect(await readMinutes('many')).toBe(9);
    });

    it('of few keys, if many jobs that are not due were enqueued before', async () => {
      await insertMany(fixture.store, 150, { topic: 'delayed', concurrencyKey: 'a', runAt: minutesAgo(-60) });
      expect(await readMinutes('delayed')).toBeUndefined();
      await insertKeyed(4, 'delayed', 'b');
      expect(await readMinutes('delayed')).toBe(4);
    });
  });

  it('are empty without jobs and workers', async () => {
    await fixture.sql('DELETE FROM _jobs');
    expect(await fixture.store.reports.gauges()).toEqual({ counts: [], oldestWaitingMs: new Map(), workers: 0 });
  });

  it('are read at most once a second, and have at most 200 topics', async () => {
    const { store } = fixture;
    for (let n = 0; n < 205; n += 1) await insertMany(store, 1, { topic: `topic_${n}` });
    let reads = 0;
    const gauges = jest.fn(() => ((reads += 1), store.reports.gauges()));
    const reports = Object.assign(Object.create(store.reports) as typeof store.reports, { gauges });
    const clock = new VirtualClock();
    const queue = new QueueGauges({ store: overrideStore(store, { reports }), clock });
    const [first] = await Promise.all([queue.read(), queue.read()]);
    await clock.advance(999);
    expect(await queue.read()).toBe(first);
    expect(reads).toBe(1);
    await clock.advance(1);
    const { topics } = await queue.read();
    expect(reads).toBe(2);
    expect(topics).toHaveLength(201);
    expect(topics.find(({ topic }) => topic === 'other')).toMatchObject({ pending: 5 });
    gauges.mockRejectedValueOnce(new Error('away'));
    await clock.advance(1_000);
    await expect(queue.read()).rejects.toThrow('away');
    await expect(queue.read()).rejects.toThrow('away');
    expect(reads).toBe(2);
    await clock.advance(1_000);
    expect((await queue.read()).topics).toHaveLength(201);
  });
});
