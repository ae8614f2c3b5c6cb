import { randomUUID } from 'node:crypto';
import type { ErrorGroupPage } from '../../../lib/core/error-groups.js';
import { toErrorKey } from '../../support/error-key.js';
import { toFailure } from '../../../lib/core/error-text.js';
import type { ErrorGroups, TopicStats } from '../../../lib/core/job-reports.js';
import { JOB_STATUSES } from '../../../lib/core/job-state.js';
import { readListFilter } from '../../../lib/core/list-filter.js';
import { ErrorStats } from '../../../lib/engine/reports/error-stats.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { TopicShare } from '../../../lib/store/reports/report-records.js';
import {
  claim,
  claimMany,
  claimOne,
  createRetrying,
  failure,
  insertMany,
  insertOne,
  outcomes,
  settlement,
  TOPIC,
  WORKER_DETAILS,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';

describe.each(storeKinds())('reports on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(() => fixture.sql('DELETE FROM _jobs_workers'));

  const createStats = (): QueueStats => new QueueStats({ store: fixture.store, ...logParts(systemClock) });

  /** Creates jobs that failed with this message. Returns their ids, oldest first. */
  const createFailed = async (message: string, count = 1, topic = TOPIC): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, { kind: 'failed', failure: failure(message) })));
    return claims.map(({ id }) => id);
  };

  const createCompleted = async (count: number, topic: string): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
    return claims.map(({ id }) => id);
  };

  describe('counts', () => {
    it('count pending jobs that have used a retry, as a part of the pending ones', async () => {
      const [first] = await createRetrying(fixture.store, 3);
      await insertMany(fixture.store, 2);
      expect(await createStats().get()).toMatchObject({ pending: 5, retrying: 3, total: 5 });
      const [{ recent, nextDueMs, ...topic }] = (await createStats().byTopic()) as [TopicStats];
      expect(topic).toMatchObject({ pending: 5, retrying: 3 });
      expect([recent, nextDueMs]).toEqual([{ completed: 0, attemptsFailed: 0 }, 0]);
      await claim(fixture.store, { limit: 2 });
      expect((await createStats().byTopic())[0]!.nextDueMs).toBeGreaterThan(3_000_000);
      await fixture.store.cancel([first!]);
      expect(await createStats().get([TOPIC])).toMatchObject({ pending: 2, retrying: 2 });
    });

    it('are by topic and status and include running jobs', async () => {
      await createCompleted(2, 'sms');
      await createFailed('x', 3, 'sms');
      await claimOne(fixture.store, { topic: 'push' });
      await insertMany(fixture.store, 4);
      const { topics } = await fixture.store.reports.counts(null);
      expect(topics.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))).toEqual([
        { topic: 'mail', pending: 4, retrying: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 },
        { topic: 'push', pending: 0, retrying: 0, processing: 1, completed: 0, failed: 0, cancelled: 0 },
        { topic: 'sms', pending: 0, retrying: 0, processing: 0, completed: 2, failed: 3, cancelled: 0 },
      ]);
    });

    it('contain only requested topics that have jobs', async () => {
      await insertOne(fixture.store);
      await claimOne(fixture.store, { topic: 'sms' });
      expect((await fixture.store.reports.counts(['sms', 'none'])).topics).toMatchObject([
        { topic: 'sms', processing: 1 },
      ]);
      expect(await fixture.store.reports.counts([])).toEqual({ topics: [], other: null });
    });

    it('are exact at the boundaries of index ranges', async () => {
      for (let batch = 0; batch < 40; batch += 1) {
        await insertMany(fixture.store, 1_000);
      }
      expect((await fixture.store.reports.counts(null)).topics).toMatchObject([{ topic: TOPIC, pending: 40_000 }]);
      await insertOne(fixture.store);
      expect((await fixture.store.reports.counts(null)).topics).toMatchObject([{ topic: TOPIC, pending: 40_001 }]);
    }, 60_000);
  });

  describe('topics', () => {
    const readTopics = (asked: readonly string[] | null = null): Promise<readonly TopicStats[]> =>
      createStats().byTopic(asked);

    it('are those with jobs or a handler in any process, sorted by name', async () => {
      await fixture.store.reports.recordWorker('a', ['push', TOPIC], WORKER_DETAILS);
      await createCompleted(3, 'sms');
      await createFailed('x', 1, 'sms');
      const id = await insertOne(fixture.store);
      await fixture.set(id, { run_at: { msFromNow: -60_000 } });
      const [mail, push, sms, ...others] = await readTopics();
      expect(others).toEqual([]);
      expect(mail).toMatchObject({ topic: TOPIC, pending: 1, total: 1, successRate: 0, hasHandler: true });
      expect(mail!.oldestPendingMs).toBeGreaterThanOrEqual(60_000);
      expect(push).toMatchObject({ topic: 'push', total: 0, oldestPendingMs: null, hasHandler: true });
      expect(sms).toMatchObject({
        topic: 'sms',
        total: 4,
        successRate: 0.75,
        oldestPendingMs: null,
        hasHandler: false,
      });
    });

    it('contain only requested topics', async () => {
      await fixture.store.reports.recordWorker('a', ['push', TOPIC], WORKER_DETAILS);
      await insertOne(fixture.store, { topic: 'sms' });
      expect(await readTopics(['sms', 'push'])).toMatchObject([{ topic: 'push' }, { topic: 'sms' }]);
      expect(await readTopics([])).toEqual([]);
    });

    it('have the longest wait of all priorities of a topic', async () => {
      const [low, high] = [
        await insertOne(fixture.store, { priority: 1_000 }),
        await insertOne(fixture.store, { priority: -1_000 }),
      ];
      await fixture.set(low, { run_at: { msFromNow: -90_000 } });
      await fixture.set(high, { run_at: { msFromNow: -30_000 } });
      expect((await readTopics())[0]!.oldestPendingMs).toBeGreaterThanOrEqual(90_000);
    });
  });

  describe('run times', () => {
    const timed = async (timesMs: readonly number[], topic: string): Promise<void> => {
      const started = new Date('2024-01-01T00:00:00.000Z');
      for (const [index, id] of (await createCompleted(timesMs.length, topic)).entries()) {
        await fixture.set(id, { started, finished: new Date(started.getTime() + timesMs[index]!) });
      }
    };

    it('are those of the newest completed jobs of each topic', async () => {
      await timed([1, 2, 3, 4], TOPIC);
      await timed([50], 'sms');
      await createFailed('x');
      const lanes = [TOPIC, 'sms', 'none'].map((topic) => ({ topic, limit: 2 }));
      const times = await fixture.store.reports.runTimes(lanes);
      const of = (topic: string): readonly number[] | undefined => times.find((each) => each.topic === topic)?.timesMs;
      expect(of(TOPIC)?.toSorted()).toEqual([3, 4]);
      expect(of('sms')).toEqual([50]);
      expect(of('none')).toBeUndefined();
    });

    it('do not include a job that never started', async () => {
      const [id] = await createCompleted(1, TOPIC);
      await fixture.set(id!, { started: null });
      expect(await fixture.store.reports.runTimes([{ topic: TOPIC, limit: 5 }])).toEqual([]);
      expect(await createStats().get()).toMatchObject({ completed: 1, avgExecutionTime: 0, p99: 0 });
    });
  });

  describe('errors', () => {
    const readErrors = (topics: readonly string[] | null = null, page?: ErrorGroupPage): Promise<ErrorGroups> =>
      new ErrorStats({ store: fixture.store, clock: systemClock }).list(topics, page);

    it('are grouped by topic and message, the one that occurred last first', async () => {
      await createFailed('no route', 2);
      const sms = await createFailed('no route', 3, 'sms');
      const [last] = await createFailed('mail box full');
      await fixture.set(last!, { finished: { msFromNow: 1_000 } });
      const { items, groupsTotal, window } = await readErrors();
      expect(items[0]).toMatchObject({ topic: TOPIC, message: 'mail box full', count: 1, sampleId: last });
      expect(groupsTotal).toBe(3);
      expect(window).toEqual({ jobs: 6, retrying: 0, jobsMax: 10_000 });
      expect(items.map(({ key }) => key)).toEqual(items.map(({ topic, message }) => toErrorKey(topic, message)));

      const byCount = await readErrors(null, { sort: 'count' });
      expect(byCount.items.map(({ topic, message, count }) => [topic, message, count])).toEqual([
        ['sms', 'no route', 3],
        [TOPIC, 'no route', 2],
        [TOPIC, 'mail box full', 1],
      ]);
      expect(byCount.items[0]!.sampleId).toBe(sms.at(-1));
      expect(await readErrors(null, { sort: 'count', limit: 1, offset: 1 })).toEqual({
        items: [byCount.items[1]],
        groupsTotal: 3,
        window,
      });
    });

    it('are one group whatever their numbers and ids, and the filter finds exactly its jobs', async () => {
      const messages = [1, 20, 300].map((order) => `Order ${order} of ${randomUUID()}`);
      const failed: string[] = [];
      for (const message of messages) {
        // One after the other: two at once could claim each other's jobs.
        failed.push(...(await createFailed(message)));
      }
      await createFailed('Order of nobody');
      await createFailed(messages[0]!, 1, 'sms');
      const [retrying] = await createRetrying(fixture.store, 1, messages[2]);
      const { items } = await readErrors([TOPIC], { sort: 'count' });
      expect(items).toMatchObject([
        { pattern: 'Order # of #', count: 3, retrying: 1, sampleId: retrying, message: messages[2] },
        { pattern: 'Order of nobody', count: 1, retrying: 0 },
      ]);
      const filter = readListFilter({ errorKey: items[0]!.key, status: ['failed', 'retrying'] });
      const { ids } = await fixture.store.reports.listIds(filter);
      expect(ids.toSorted()).toEqual([...failed, retrying!].toSorted());
    });

    it('are told apart, and found, by the first 2,000 characters', async () => {
      const long = (end: string): string => `${'long 😀 '.repeat(150)}${end}${'x '.repeat(600)}`;
      await createFailed(long('one'));
      await createFailed(`${long('one')}!`);
      const { items } = await readErrors();
      expect(items).toMatchObject([{ count: 2, message: expect.stringContaining('😀') as string }]);
      expect(items[0]!.pattern).toHaveLength(1_000);
      const { ids } = await fixture.store.reports.listIds(readListFilter({ errorKey: items[0]!.key }));
      expect(ids).toHaveLength(2);
    });

    it('have the times of their first and last occurrence, and a line of the last hour', async () => {
      const [first, second, third] = await createFailed('no route', 3);
      const minutesAgo = (minutes: number): number => Date.now() - minutes * 60_000;
      const at = [92, 8, 57].map((minutes) => new Date(minutesAgo(minutes)));
      await fixture.set(first!, { finished: at[0]! });
      await fixture.set(second!, { finished: at[1]! });
      await fixture.set(third!, { finished: at[2]! });
      const [group] = (await readErrors()).items;
      expect(group).toMatchObject({ firstSeen: at[0], lastSeen: at[1], sampleId: third, count: 3 });
      expect(group!.lastHour).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    });

    it('have the class of the error of their newest job', async () => {
      const [token] = await claimMany(fixture.store, 1);
      const thrown = toFailure(new RangeError('no route', { cause: new Error('no cable') }));
      await fixture.store.settle([settlement(token!, { kind: 'failed', failure: thrown })]);
      expect((await readErrors()).items).toMatchObject([{ name: 'RangeError', message: 'no route: no cable' }]);
      await createFailed('no route: no cable');
      expect((await readErrors()).items).toMatchObject([{ name: null, count: 2 }]);
    });

    it('count the failed jobs of a group and those that wait for a retry', async () => {
      await createFailed('no route', 2);
      await createRetrying(fixture.store, 3, 'no route');
      await createRetrying(fixture.store, 1, 'timed out', 'sms');
      const { items, window } = await readErrors(null, { sort: 'count' });
      expect(items.map(({ topic, message, count, retrying }) => [topic, message, count, retrying])).toEqual([
        [TOPIC, 'no route', 2, 3],
        ['sms', 'timed out', 0, 1],
      ]);
      expect(window).toEqual({ jobs: 2, retrying: 4, jobsMax: 10_000 });
      expect(items.every(({ firstSeen, lastSeen }) => firstSeen <= lastSeen)).toBe(true);
    });

    it('contain only failed and retrying jobs of requested topics', async () => {
      const window = { jobs: 0, retrying: 0, jobsMax: 10_000 };
      expect(await readErrors()).toEqual({ items: [], groupsTotal: 0, window });
      await createFailed('no route');
      await createFailed('no route', 1, 'sms');
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.retry(60_000))]);
      expect((await readErrors(['sms', 'none'])).items).toMatchObject([{ topic: 'sms', count: 1 }]);
      expect((await readErrors([])).items).toEqual([]);
    });

    it('contain only the newest jobs of each topic', async () => {
      await createFailed('old', 3);
      await createFailed('new', 2);
      await createFailed('other', 1, 'sms');
      const lanes: TopicShare[] = [
        { topic: TOPIC, limit: 3 },
        { topic: 'sms', limit: 3 },
      ];
      const counts = await fixture.store.reports.errors({ failed: lanes, retrying: [], labels: null });
      expect(Object.fromEntries(counts.map(({ message, failed }) => [message, failed]))).toEqual({
        new: 2,
        old: 1,
        other: 1,
      });
    });

    it('are all read, even if they are unevenly distributed over topics', async () => {
      await createFailed('rare', 1, 'sms');
      await createFailed('frequent', 40);
      expect(await readErrors(null, { sort: 'count' })).toMatchObject({
        items: [{ message: 'frequent', count: 40 }, { message: 'rare' }],
        window: { jobs: 41 },
      });
    });

    it('show the pattern when the newest job has another error since it was counted', async () => {
      const [id] = await createFailed('order 7 is gone');
      const { reports } = fixture.store;
      const late: JobStore['reports'] = Object.assign(Object.create(reports) as typeof reports, {
        lastErrors: async (ids: readonly string[]) => {
          await fixture.set(id!, { last_error: 'another' });
          return reports.lastErrors(ids);
        },
      });
      const stats = new ErrorStats({ store: { ...fixture.store, reports: late }, clock: systemClock });
      expect((await stats.list()).items).toMatchObject([{ message: 'order # is gone', name: null }]);
    });

    it('without a message are a separate group', async () => {
      const [id] = await createFailed('x');
      await fixture.set(id!, { last_error: null });
      expect((await readErrors()).items).toMatchObject([{ message: '', count: 1 }]);
    });
  });

  describe('counts by status', () => {
    it('exist for the given jobs', async () => {
      const token = await claimOne(fixture.store);
      const [done] = await createCompleted(1, 'sms');
      const standing = await fixture.store.reports.summarize([token.id, done!, '01890000-0000-7000-8000-000000000000']);
      expect(standing).toHaveLength(2);
      expect(standing).toContainEqual({ id: token.id, topic: TOPIC, status: 'processing', isDue: true });
      expect(standing).toContainEqual({ id: done, topic: 'sms', status: 'completed', isDue: true });
      expect(await fixture.store.reports.summarize([])).toEqual([]);
    });
  });

  it('include each status', async () => {
    const ids = await insertMany(fixture.store, JOB_STATUSES.length);
    for (const [index, status] of JOB_STATUSES.entries()) {
      await fixture.set(ids[index]!, {
        status,
        locked_until: status === 'processing' ? { msFromNow: 60_000 } : null,
        finished: ['completed', 'failed', 'cancelled'].includes(status) ? { msFromNow: 0 } : null,
      });
    }
    expect(await createStats().get()).toMatchObject({
      pending: 1,
      processing: 1,
      completed: 1,
      failed: 1,
      cancelled: 1,
    });
  });
});
