import { setImmediate as turnOfTheEventLoop, setTimeout as sleep } from 'node:timers/promises';
import { JobsEngine } from 'nestjs-jobs';
import { JobCounter } from '../../../lib/engine/reports/job-counter.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { TopicCounts } from '../../../lib/store/reports/report-records.js';
import { claimMany, insertMany, outcomes, settlement, TOPIC, WORKER, WORKER_DETAILS } from '../../support/job-rows.js';
import { overrideReports, overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { signal, until } from '../../support/wait.js';

const LARGE = 150_000;
const NO_JOBS = { pending: 0, retrying: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };

describe.each(storeKinds())('recorded counts on $label', (kind) => {
  const fixture = useStore(kind);

  const createStats = (): QueueStats => new QueueStats({ store: fixture.store, ...logParts(systemClock) });

  /** Records a count, as another process would. */
  const record = async ({ ageMs = 0, tookMs = 200, jobs = LARGE } = {}): Promise<Date> => {
    const { now } = await fixture.store.reports.recordedCounts();
    const countedAt = new Date(now.getTime() - ageMs);
    await fixture.store.reports.recordCounts({
      countedAt,
      tookMs,
      counts: [{ ...NO_JOBS, topic: TOPIC, completed: jobs, pending: 1 }],
    });
    return countedAt;
  };

  const isDue = async (): Promise<boolean> =>
    (await fixture.store.reports.recordWorker(WORKER, [], WORKER_DETAILS)).isCountDue;

  it('give a new process the large counts, while it counts the small ones', async () => {
    const countedAt = await record({ tookMs: 3_600_000 });
    await insertMany(fixture.store, 3);
    await insertMany(fixture.store, 2, { topic: 'sms' });
    const [token] = await claimMany(fixture.store, 1, { topic: 'push' });
    await fixture.store.settle([settlement(token!, outcomes.retry())]);
    const stats = createStats();
    expect(await stats.get()).toMatchObject({ pending: 6, retrying: 1, completed: LARGE, total: LARGE + 6, countedAt });
    const [mail, push, sms] = await stats.byTopic();
    expect(mail).toMatchObject({ topic: TOPIC, pending: 3, completed: LARGE, countedAt });
    expect([push, sms]).toMatchObject([{ pending: 1, retrying: 1 }, { pending: 2 }]);
    expect(sms!.countedAt.getTime()).toBeGreaterThanOrEqual(countedAt.getTime());
    expect(await stats.get(['sms'])).toMatchObject({ pending: 2, completed: 0 });
    expect(await stats.get([TOPIC])).toMatchObject({ pending: 3, completed: LARGE, countedAt });
  });

  it.each([
    ['of a table of fewer than 100,000 jobs', { jobs: 99_000 }],
    ['that were fast', { tookMs: 5 }],
    ['that workers should have replaced long ago', { ageMs: 81_000 }],
    ['of a future time, since the clock was moved back', { ageMs: -3_600_000 }],
  ])('are not used: counts %s', async (_what, members) => {
    await record(members);
    await insertMany(fixture.store, 1);
    expect(await createStats().get()).toMatchObject({ pending: 1, total: 1 });
  });

  it('are not used when the jobs of a large count have moved to a small one', async () => {
    const { reports } = fixture.store;
    const { now } = await reports.recordedCounts();
    await insertMany(fixture.store, 4_000);
    const counts = [
      { ...NO_JOBS, topic: TOPIC, pending: LARGE },
      { ...NO_JOBS, topic: 'sms', completed: LARGE },
    ];
    await reports.recordCounts({ countedAt: now, tookMs: 3_600_000, counts });
    const stats = createStats();
    expect(await stats.get()).toMatchObject({ pending: LARGE, completed: LARGE, total: 2 * LARGE, countedAt: now });
    await fixture.sql(
      "UPDATE _jobs SET status = 'completed', attempt = 1, started = created, finished = created WHERE status = 'pending'",
    );
    const later = createStats();
    expect(await later.get()).toMatchObject({ pending: 0, completed: 4_000, total: 4_000 });
    expect(await later.get([TOPIC])).toMatchObject({ pending: 0, completed: 4_000, total: 4_000 });
    later.counter.stop();
    stats.counter.stop();
  });

  it('are renewed in the background when a call reads old ones', async () => {
    const countedAt = await record({ ageMs: 30_000 });
    const stats = createStats();
    expect(await stats.get()).toMatchObject({ completed: LARGE, countedAt });
    await until(async () => (await stats.get()).total === 0, { message: 'the new count' });
    expect((await stats.get()).countedAt.getTime()).toBeGreaterThan(countedAt.getTime());
    // A call that read the old record during the count asks for another one.
    stats.counter.stop();
  });

  it('are renewed 100 ms after a call that reads old ones', async () => {
    const clock = new VirtualClock();
    let claimed = 0;
    const claimCount = async (): Promise<null> => ((claimed += 1), null);
    const store = overrideStore(fixture.store, { reports: overrideReports(fixture.store.reports, { claimCount }) });
    const counter = new JobCounter({ store, ...logParts(clock) });
    await record({ ageMs: 30_000 });
    await Promise.all([counter.count(null), counter.count([TOPIC])]);
    expect(claimed).toBe(0);
    await clock.advance(100);
    expect(claimed).toBe(1);
    await counter.count(null);
    counter.stop();
    await clock.advance(1_000);
    expect(claimed).toBe(1);
  });

  it('are renewed by one process at a time, after a rest', async () => {
    const { reports } = fixture.store;
    expect(await reports.claimCount(100)).toBeInstanceOf(Date);
    expect(await reports.claimCount(0)).toBeNull();
    await record({ tookMs: 3_600_000 });
    expect(await reports.claimCount(100)).toBeNull();
    expect(await reports.claimCount(0)).toBeInstanceOf(Date);
  });

  it('are not replaced by a count that began earlier', async () => {
    await record({ jobs: 170_000 });
    await record({ ageMs: 1_000 });
    const { recorded } = await fixture.store.reports.recordedCounts();
    expect(recorded).toMatchObject({ tookMs: 200, counts: [{ completed: 170_000 }] });
  });

  it('are replaced after the clock was set back', async () => {
    const { reports } = fixture.store;
    await record({ ageMs: -86_400_000, jobs: 70_000 });
    expect(await isDue()).toBe(true);
    expect(await reports.claimCount(100)).toBeInstanceOf(Date);
    expect(await reports.claimCount(100)).toBeNull();
    await record();
    expect((await reports.recordedCounts()).recorded).toMatchObject({ counts: [{ completed: LARGE }] });
    const claimedAt = kind.locksRows ? "now() + interval '1 day'" : "datetime('now', '+1 day')";
    await fixture.sql(`UPDATE _jobs_counts SET claimed_until = ${claimedAt}`);
    expect(await reports.claimCount(0)).toBeInstanceOf(Date);
  });

  it('are renewed soon after a count during which the process was suspended', async () => {
    const clock = new VirtualClock();
    const counts = async (): Promise<TopicCounts[]> => {
      await clock.advance(3_600_000);
      return [{ ...NO_JOBS, topic: TOPIC, completed: LARGE }];
    };
    const store = overrideStore(fixture.store, { reports: overrideReports(fixture.store.reports, { counts }) });
    await new JobCounter({ store, ...logParts(clock) }).count(null);
    expect((await fixture.store.reports.recordedCounts()).recorded).toMatchObject({ tookMs: 30_000 });
  });

  it('are due for workers after 100 times their duration, unless a process counts', async () => {
    expect(await isDue()).toBe(false);
    await record({ ageMs: 30_000, tookMs: 3_600_000 });
    expect(await isDue()).toBe(false);
    await fixture.sql('DELETE FROM _jobs_counts');
    await record({ ageMs: 30_000 });
    expect(await isDue()).toBe(true);
    await fixture.store.reports.claimCount(100);
    expect(await isDue()).toBe(false);
  });

  it('are optional: a role that may not write them counts all jobs', async () => {
    await record({ ageMs: 30_000 });
    const logger = new RecordingLogger();
    const refuse = (): Promise<never> => Promise.reject(new Error('permission denied for table _jobs_counts'));
    const reports = overrideReports(fixture.store.reports, { claimCount: refuse });
    const store = overrideStore(fixture.store, { reports });
    const counter = new JobCounter({ store, ...logParts(systemClock, logger) });
    const completed = async (): Promise<number> => (await counter.count([TOPIC])).counts[0]!.completed;
    expect(await completed()).toBe(LARGE);
    await until(() => logger.lines.length > 0, { message: 'the line in the log' });
    expect(await completed()).toBe(LARGE);
    expect(logger.of('error')).toEqual([expect.stringContaining('counting jobs: failed')]);
    counter.stop();
  });

  it('are renewed by an idle worker soon, and by a busy one later', async () => {
    const clock = new VirtualClock();
    const claims: number[] = [];
    const claimCount = async (): Promise<null> => (claims.push(clock.now()), null);
    const store = overrideStore(fixture.store, { reports: overrideReports(fixture.store.reports, { claimCount }) });
    const counter = new JobCounter({ store, ...logParts(clock) });
    let isIdle = true;
    const present = async (isDue: boolean, ms: number): Promise<number> => {
      const before = claims.length;
      counter.onPresence(isDue, () => isIdle);
      await clock.advance(ms);
      return claims.length - before;
    };
    expect(await present(false, 20_000)).toBe(0);
    expect(await present(true, 20_000)).toBe(1);
    expect(await present(false, 20_000)).toBe(0);
    isIdle = false;
    expect(await present(true, 20_000)).toBe(0);
    expect(await present(true, 1)).toBe(1);
    expect(await present(false, 1)).toBe(0);
    isIdle = true;
    counter.onPresence(true, () => isIdle);
    counter.stop();
    await clock.advance(20_000);
    expect(claims).toHaveLength(2);
  });

  it('are not renewed by a worker that has not stored the outcome of a job', async () => {
    const settling = signal();
    const mayStore = signal();
    const settle: JobStore['settle'] = async (settlements) => {
      settling.resolve();
      await mayStore.promise;
      return fixture.store.settle(settlements);
    };
    const recordWorker: JobStore['reports']['recordWorker'] = async (...args) => ({
      ...(await fixture.store.reports.recordWorker(...args)),
      isCountDue: true,
    });
    let claimed = 0;
    const claimCount = async (): Promise<null> => ((claimed += 1), null);
    const reports = overrideReports(fixture.store.reports, { recordWorker, claimCount });
    const engine = new JobsEngine({ store: overrideStore(fixture.store, { settle, reports }) });
    engine.register(TOPIC, () => 'done');
    await engine.enqueue(TOPIC, null);
    await engine.start();
    await settling.promise;
    engine.register('sms', () => 'done'); // records the worker again
    await sleep(1_000);
    expect(claimed).toBe(0);
    mayStore.resolve();
    await engine.whenIdle();
    engine.register('push', () => 'done');
    await until(() => claimed === 1, { message: 'the count of the idle worker' });
    await engine.close();
  });

  it('leave out the counts that the caller excludes', async () => {
    await insertMany(fixture.store, 3);
    await insertMany(fixture.store, 2, { topic: 'sms' });
    const count = (topics: readonly string[] | null): Promise<TopicCounts[]> =>
      fixture.store.reports.counts(topics, [{ topic: TOPIC, status: 'pending' }]);
    expect(await count(['sms'])).toEqual([{ ...NO_JOBS, topic: 'sms', pending: 2 }]);
    expect((await count(null)).filter(({ pending }) => pending > 0)).toEqual([
      { ...NO_JOBS, topic: 'sms', pending: 2 },
    ]);
    expect((await count([TOPIC])).filter(({ pending }) => pending > 0)).toEqual([]);
  });

  it('log nothing when the store closes during a count', async () => {
    await record({ ageMs: 30_000 });
    const logger = new RecordingLogger();
    let start!: () => void;
    let close!: () => void;
    const counting = new Promise<void>((resolve) => (start = resolve));
    const claimCount = (): Promise<null> => {
      start();
      return new Promise((_resolve, reject) => (close = () => reject(new Error('the queue is closed'))));
    };
    const store = overrideStore(fixture.store, { reports: overrideReports(fixture.store.reports, { claimCount }) });
    const counter = new JobCounter({ store, ...logParts(systemClock, logger) });
    await counter.count([TOPIC]);
    await counting;
    counter.stop();
    close();
    await turnOfTheEventLoop();
    expect(logger.lines).toEqual([]);
  });
});
