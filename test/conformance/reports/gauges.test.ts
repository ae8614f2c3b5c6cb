import type { QueueGaugeValues } from '../../../lib/engine/reports/queue-gauges.js';
import { QueueGauges } from '../../../lib/engine/reports/queue-gauges.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
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
import { overrideReports, overrideStore } from '../../support/override-store.js';
import { logParts } from '../../support/unit/log-parts.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe.each(storeKinds())('the gauges of the queue on $label', (kind) => {
  const fixture = useStore(kind);

  const read = (): Promise<QueueGaugeValues> => {
    const parts = { store: fixture.store, ...logParts(systemClock) };
    return new QueueGauges({ ...parts, stats: new QueueStats(parts) }).read();
  };

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

    const { topics, workers } = await read();
    const none = { pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
    const counts = topics.map(({ oldestWaitingMs: _, ...each }) => each);
    expect(counts.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))).toEqual([
      { topic: 'done', ...none, completed: 2 },
      { topic: 'keyed', ...none, pending: 1 },
      { topic: 'late', ...none, pending: 2 },
      { topic: 'later', ...none, pending: 1 },
      { topic: 'running', ...none, processing: 1 },
    ]);
    const minutes = topics.map(({ topic, oldestWaitingMs }) => [topic, Math.round(oldestWaitingMs / 60_000)]);
    expect(minutes.filter(([, waited]) => waited !== 0).sort()).toEqual([['keyed', 2], ['late', 9]]); // prettier-ignore
    expect(workers).toBe(1);
  });

  it('are empty without jobs and workers', async () => {
    await fixture.sql('DELETE FROM _jobs');
    expect(await read()).toEqual({ topics: [], workers: 0 });
  });

  it('are read at most once a second, and have at most 200 topics', async () => {
    const { store } = fixture;
    for (let n = 0; n < 205; n += 1) await insertMany(store, 1, { topic: `topic_${n}` });
    let reads = 0;
    const counts = jest.fn((topics: readonly string[] | null) => ((reads += 1), store.reports.counts(topics)));
    const clock = new VirtualClock();
    const reports = overrideReports(store.reports, { counts });
    const parts = { store: overrideStore(store, { reports }), ...logParts(clock) };
    const queue = new QueueGauges({ ...parts, stats: new QueueStats(parts) });
    const [first] = await Promise.all([queue.read(), queue.read()]);
    await clock.advance(999);
    expect(await queue.read()).toBe(first);
    expect(reads).toBe(1);
    await clock.advance(1);
    const { topics } = await queue.read();
    expect(reads).toBe(2);
    expect(topics).toHaveLength(201);
    expect(topics.find(({ topic }) => topic === 'other')).toMatchObject({ pending: 5 });
    counts.mockRejectedValueOnce(new Error('away'));
    await clock.advance(1_000);
    await expect(queue.read()).rejects.toThrow('away');
    await expect(queue.read()).rejects.toThrow('away');
    expect(reads).toBe(2);
    await clock.advance(1_000);
    expect((await queue.read()).topics).toHaveLength(201);
  });
});
