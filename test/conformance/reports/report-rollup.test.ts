import type { Histogram } from '../../../lib/core/run-times.js';
import type { TimeseriesPoint } from '../../../lib/core/job-reports.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { RollupEntry, RollupRecord, TopicAttempts } from '../../../lib/store/reports/report-records.js';
import { ALL_TOPICS } from '../../../lib/store/reports/report-records.js';
import { WORKER, WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, untilMinuteIsYoung, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';

const MINUTE_MS = 60_000;

describe.each(storeKinds())('the rollup on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_rollup');
    await untilMinuteIsYoung(fixture);
  });

  const entry = (topic: string, completed: number, histogram: Histogram = { 20: completed }): RollupEntry => ({
    topic,
    completed,
    failed: 1,
    attemptsFailed: 2,
    started: completed + 1,
    runMs: completed * 10,
    waitMs: completed + 1,
    histogram,
  });

  /** Records the entries of a process for a topic and in total. */
  const record = (completed: number, members: Partial<RollupRecord> = {}): Promise<Date> => {
    const entries = [entry('mail', completed), entry(ALL_TOPICS, completed)];
    return fixture.store.reports.recordRollup({ worker: WORKER, minute: null, totals: [], since: entries, ...members });
  };

  const points = (minutes: number, topics: readonly string[] | null = null): Promise<TimeseriesPoint[]> =>
    new QueueStats({ store: fixture.store, ...logParts(systemClock) }).timeseries(minutes, topics);

  const completed = async (minutes = 1, topics: readonly string[] | null = null): Promise<number[]> =>
    (await points(minutes, topics)).map((point) => point.completed);

  /** Moves all records some minutes into the past. */
  const age = async (minutes: number): Promise<void> => {
    const past = kind.locksRows
      ? `minute - interval '${minutes} minutes'`
      : `strftime('%Y-%m-%d %H:%M:00.000', minute, '-${minutes} minutes')`;
    await fixture.sql(`UPDATE _jobs_rollup SET minute = ${past}`);
  };

  it('sums the attempts of topics in the last minutes', async () => {
    await record(3);
    await record(1, { worker: 'worker-2' });
    const recent = (topics: readonly string[]): Promise<TopicAttempts[]> =>
      fixture.store.reports.recentAttempts(topics, 5);
    expect(await recent(['mail', 'sms'])).toEqual([{ topic: 'mail', completed: 4, attemptsFailed: 4 }]);
    expect(await points(1, ['mail'])).toMatchObject([{ failed: 2, attemptsFailed: 4 }]);
    await age(5);
    expect(await recent(['mail'])).toEqual([]);
  });

  it('sums a window, with the percentiles of all its minutes', async () => {
    await record(3);
    await age(1);
    await record(1);
    const stats = new QueueStats({ store: fixture.store, ...logParts(systemClock) });
    const { points, window } = await stats.report(5, ['mail']);
    expect(points.filter(({ completed }) => completed > 0)).toHaveLength(2);
    expect(window).toMatchObject({ completed: 4, failed: 2, attemptsFailed: 4, avgExecutionTime: 10 });
    expect(window.p50).toBeGreaterThan(0);
    expect(window.p99).toBeGreaterThanOrEqual(window.p50);
  });

  it('starts a minute with the entries since the last record, and returns the minute', async () => {
    const before = await fixture.now();
    const minute = await record(3, { totals: [entry('mail', 100)] });
    const after = await fixture.now();
    expect(minute.getTime() % MINUTE_MS).toBe(0);
    expect(minute.getTime()).toBeGreaterThan(before.getTime() - MINUTE_MS);
    expect(minute.getTime()).toBeLessThanOrEqual(after.getTime());
    expect(await completed()).toEqual([3]);
  });

  it('replaces the totals of the current minute with each record', async () => {
    let minute = await record(3);
    for (const total of [5, 5, 8]) {
      const since = [entry('mail', 3), entry(ALL_TOPICS, 3)];
      minute = await record(0, { minute, totals: [entry('mail', total), entry(ALL_TOPICS, total)], since });
    }
    expect(await completed()).toEqual([8]);
    expect(await completed(1, ['mail'])).toEqual([8]);
  });

  it('does not change a past minute and starts the next one', async () => {
    const minute = await record(3);
    await age(1);
    const over = new Date(minute.getTime() - MINUTE_MS);
    const next = await record(2, { minute: over, totals: [entry('mail', 5), entry(ALL_TOPICS, 5)] });
    expect(next.getTime() - over.getTime()).toBeGreaterThanOrEqual(MINUTE_MS);
    expect(await completed(2)).toEqual([3, 2]);
  });

  it('adds the totals of several processes in the same minute', async () => {
    await record(3);
    await record(4, { worker: 'worker-2' });
    await record(5, { worker: 'worker-3' });
    expect(await completed()).toEqual([12]);
    expect(await points(1)).toMatchObject([{ failed: 3, avgExecutionTime: 10, avgWaitTime: 1 }]);
  });

  it('separates topics and merges the requested ones', async () => {
    const since = [entry('mail', 2), entry('sms', 3), entry('push', 4), entry(ALL_TOPICS, 9)];
    await record(0, { since });
    expect(await completed()).toEqual([9]);
    expect(await completed(1, ['sms'])).toEqual([3]);
    expect(await completed(1, ['sms', 'push', 'none'])).toEqual([7]);
    expect(await completed(1, [])).toEqual([0]);
  });

  it('returns each of the last minutes, oldest first, with zeros for empty ones', async () => {
    const minute = await record(1);
    await age(2);
    await record(5);
    await age(1);
    await record(7);
    const shown = await points(6);
    expect(shown.map((point) => point.completed)).toEqual([0, 0, 1, 0, 5, 7]);
    expect(shown.map((point) => point.minute.getTime() - minute.getTime())).toEqual(
      [-5, -4, -3, -2, -1, 0].map((minutes) => minutes * MINUTE_MS),
    );
    expect(shown[1]).toMatchObject({ completed: 0, failed: 0, avgExecutionTime: 0, p95: 0, avgWaitTime: 0 });
    expect(await completed(2)).toEqual([5, 7]);
  });

  it('returns mean and percentile of the times of all processes', async () => {
    await record(0, { since: [{ ...entry(ALL_TOPICS, 98), runMs: 980, histogram: { 20: 98 } }] });
    await record(0, { worker: 'worker-2', since: [{ ...entry(ALL_TOPICS, 2), runMs: 2_000, histogram: { 60: 2 } }] });
    const [point] = await points(1);
    expect(point).toMatchObject({ completed: 100, avgExecutionTime: 29.8 });
    // Bucket 20 holds times around 10 ms; 95 of 100 times are not longer.
    expect(point!.p95).toBeGreaterThan(9);
    expect(point!.p95).toBeLessThan(11);
  });

  it('deletes minutes that no report returns', async () => {
    await record(1);
    await age(26 * 60);
    await record(2);
    await age(24 * 60 - 1);
    await fixture.store.reports.pruneReports();
    expect(await fixture.sql('SELECT completed FROM _jobs_rollup')).toEqual([{ completed: 2 }, { completed: 2 }]);
    expect((await completed(1_440))[0]).toBe(2);
  });

  it('deletes them in pages, and returns whether another follows', async () => {
    await record(1);
    await record(2, { worker: 'other' });
    await age(26 * 60);
    expect(await fixture.store.reports.pruneReports(3)).toEqual({ removed: 3, next: '' });
    expect(await fixture.store.reports.pruneReports(3)).toEqual({ removed: 1, next: null });
    expect(await fixture.sql('SELECT completed FROM _jobs_rollup')).toEqual([]);
  });

  it('accepts topics and names with any characters', async () => {
    const topic = `it's "odd" ü 😀 \\ %`;
    await record(0, { worker: topic, since: [entry(topic, 6)] });
    expect(await completed(1, [topic])).toEqual([6]);
  });
});

describe.each(storeKinds())('handlers of all processes on $label', (kind) => {
  const fixture = useStore(kind);
  const readServed = async (): Promise<string[]> => (await fixture.store.reports.servedTopics()).sort();

  beforeEach(() => fixture.sql('DELETE FROM _jobs_workers'));

  /** Moves the last heartbeat of a process into the past. */
  const ageHeartbeat = async (worker: string, ms: number): Promise<void> => {
    const past = kind.locksRows
      ? `seen - interval '${ms} milliseconds'`
      : `strftime('%Y-%m-%d %H:%M:%f', seen, '-${ms / 1_000} seconds')`;
    await fixture.sql(`UPDATE _jobs_workers SET seen = ${past} WHERE worker = '${worker}'`);
  };

  it('are listed by topic, each once', async () => {
    expect(await readServed()).toEqual([]);
    await fixture.store.reports.recordWorker('a', ['mail', 'sms'], WORKER_DETAILS);
    await fixture.store.reports.recordWorker('b', ['sms', `it's "odd" ü`], WORKER_DETAILS);
    expect(await readServed()).toEqual([`it's "odd" ü`, 'mail', 'sms']);
  });

  it('are those of the last record of a process', async () => {
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    await fixture.store.reports.recordWorker('a', ['sms'], WORKER_DETAILS);
    expect(await readServed()).toEqual(['sms']);
    await fixture.store.reports.recordWorker('a', [], WORKER_DETAILS);
    expect(await readServed()).toEqual([]);
  });

  it('are removed with their process', async () => {
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    await fixture.store.reports.recordWorker('b', ['sms'], WORKER_DETAILS);
    await fixture.store.reports.forgetWorker('a');
    await fixture.store.reports.forgetWorker('nobody');
    expect(await readServed()).toEqual(['sms']);
  });

  it('are not listed after a minute without a heartbeat, until the next one', async () => {
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    await ageHeartbeat('a', 50_000);
    expect(await readServed()).toEqual(['mail']);
    await ageHeartbeat('a', 11_000);
    expect(await readServed()).toEqual([]);
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    expect(await readServed()).toEqual(['mail']);
  });

  it('leave no rows permanently', async () => {
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    await fixture.store.reports.recordWorker('b', ['mail'], WORKER_DETAILS);
    await ageHeartbeat('a', 3_590_000);
    await ageHeartbeat('b', 3_610_000);
    await fixture.store.reports.pruneReports();
    expect(await fixture.sql('SELECT worker FROM _jobs_workers')).toEqual([{ worker: 'a' }]);
  });
});
