import { setImmediate as turnOfTheEventLoop, setTimeout as sleep } from 'node:timers/promises';
import { JobsEngine } from 'nestjs-jobs';
import { JobCounter } from '../../../lib/engine/reports/job-counter.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { JobCounts } from '../../../lib/store/reports/report-records.js';
import { insertMany, TOPIC, WORKER, WORKER_DETAILS } from '../../support/job-rows.js';
import { overrideReports, overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { signal, until } from '../../support/wait.js';

const LARGE = 150_000;
const isSmall = (): Promise<boolean> => Promise.resolve(false);
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
      topics: [{ ...NO_JOBS, topic: TOPIC, completed: jobs, pending: 1 }],
      other: null,
    });
    return countedAt;
  };

  const isDue = async (): Promise<boolean> =>
    (await fixture.store.reports.recordWorker(WORKER, [], WORKER_DETAILS)).isCountDue;

  /** A store whose table is large, as the record says. */
  const largeStore = (): JobStore =>
    overrideStore(fixture.store, {
      reports: overrideReports(fixture.store.reports, { isSmall }),
    });

  const createLargeStats = (): QueueStats => new QueueStats({ store: largeStore(), ...logParts(systemClock) });

  it('give a new process the counts of one moment', async () => {
    const countedAt = await record({ tookMs: 3_600_000 });
    await insertMany(fixture.store, 3);
    await insertMany(fixture.store, 2, { topic: 'sms' });
    const stats = createStats();
    expect(await stats.get()).toMatchObject({ pending: 1, completed: LARGE, total: LARGE + 1, countedAt });
    expect(await stats.byTopic()).toMatchObject([{ topic: TOPIC, pending: 1, completed: LARGE, countedAt }]);
    expect(await stats.get(['sms'])).toMatchObject({ pending: 0 });
    expect(await stats.get([TOPIC])).toMatchObject({ pending: 1, completed: LARGE, countedAt });
  });

  it('give new counts of a topic that they hold in the sum of others', async () => {
    const { now } = await fixture.store.reports.recordedCounts();
    const other = { ...NO_JOBS, topics: 5, pending: LARGE };
    const topics = [{ ...NO_JOBS, topic: TOPIC, completed: 7 }];
    await fixture.store.reports.recordCounts({ countedAt: now, tookMs: 3_600_000, topics, other });
    await insertMany(fixture.store, 2, { topic: 'sms' });
    const stats = createLargeStats();
    expect(await stats.get(['sms', TOPIC])).toMatchObject({ pending: 2, completed: 7 });
    expect(await stats.get()).toMatchObject({ pending: LARGE, completed: 7 });
    expect(await stats.page()).toMatchObject({ items: [{ topic: TOPIC }], other });
  });

  it('serve a table that has become small for two seconds only', async () => {
    await record({ ageMs: 3_000, tookMs: 3_600_000 });
    await insertMany(fixture.store, 3);
    expect(await createStats().get()).toMatchObject({ pending: 3, completed: 0, total: 3 });
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

  it('are renewed in the background when a call reads old ones', async () => {
    const countedAt = await record({ ageMs: 30_000 });
    const stats = createLargeStats();
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
    const store = overrideStore(fixture.store, {
      reports: overrideReports(fixture.store.reports, { claimCount, isSmall }),
    });
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
    expect(recorded).toMatchObject({ tookMs: 200, topics: [{ completed: 170_000 }] });
  });

  it('are replaced after the clock was set back', async () => {
    const { reports } = fixture.store;
    await record({ ageMs: -86_400_000, jobs: 70_000 });
    expect(await isDue()).toBe(true);
    expect(await reports.claimCount(100)).toBeInstanceOf(Date);
    expect(await reports.claimCount(100)).toBeNull();
    await record();
    expect((await reports.recordedCounts()).recorded).toMatchObject({ topics: [{ completed: LARGE }] });
    const claimedAt = kind.locksRows ? "now() + interval '1 day'" : "datetime('now', '+1 day')";
    await fixture.sql(`UPDATE _jobs_counts SET claimed_until = ${claimedAt}`);
    expect(await reports.claimCount(0)).toBeInstanceOf(Date);
  });

  it('are renewed soon after a count during which the process was suspended', async () => {
    const clock = new VirtualClock();
    const counts = async (): Promise<JobCounts> => {
      await clock.advance(3_600_000);
      return { topics: [{ ...NO_JOBS, topic: TOPIC, completed: LARGE }], other: null };
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
    const reports = overrideReports(fixture.store.reports, { claimCount: refuse, isSmall });
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
    const store = overrideStore(fixture.store, {
      reports: overrideReports(fixture.store.reports, { claimCount, isSmall }),
    });
    const counter = new JobCounter({ store, ...logParts(systemClock, logger) });
    await counter.count([TOPIC]);
    await counting;
    counter.stop();
    close();
    await turnOfTheEventLoop();
    expect(logger.lines).toEqual([]);
  });
});
