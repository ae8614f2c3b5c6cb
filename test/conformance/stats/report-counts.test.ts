import type { ErrorGroups, TopicStats } from '../../../lib/core/job-reports.js';
import { JOB_STATUSES } from '../../../lib/core/job-state.js';
import { ErrorStats } from '../../../lib/engine/admin/error-stats.js';
import { QueueStats } from '../../../lib/engine/admin/queue-stats.js';
import { systemClock } from '../../../lib/engine/system-clock.js';
import { toErrorKey } from '../../../lib/store/row-mapper.js';
import type { TopicShare } from '../../../lib/store/store-records.js';
import {
  claimMany,
  claimOne,
  failure,
  insertMany,
  insertOne,
  outcomes,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('reports on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(() => fixture.sql('DELETE FROM _jobs_workers'));

  const desk = (): QueueStats => new QueueStats({ store: fixture.store, clock: systemClock });

  /** Jobs that failed with this message, oldest first. */
  const failed = async (message: string, count = 1, topic = TOPIC): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, { kind: 'failed', failure: failure(message) })));
    return claims.map(({ id }) => id);
  };

  const completed = async (count: number, topic: string): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
    return claims.map(({ id }) => id);
  };

  describe('counts', () => {
    it('are those of each topic and status, running jobs included', async () => {
      await completed(2, 'sms');
      await failed('x', 3, 'sms');
      await claimOne(fixture.store, { topic: 'push' });
      await insertMany(fixture.store, 4);
      const counts = await fixture.store.reports.counts(null);
      expect(counts.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))).toEqual([
        { topic: 'mail', pending: 4, processing: 0, completed: 0, failed: 0, cancelled: 0 },
        { topic: 'push', pending: 0, processing: 1, completed: 0, failed: 0, cancelled: 0 },
        { topic: 'sms', pending: 0, processing: 0, completed: 2, failed: 3, cancelled: 0 },
      ]);
    });

    it('keep to the topics that are asked for, and leave out those without jobs', async () => {
      await insertOne(fixture.store);
      await claimOne(fixture.store, { topic: 'sms' });
      expect(await fixture.store.reports.counts(['sms', 'none'])).toMatchObject([{ topic: 'sms', processing: 1 }]);
      expect(await fixture.store.reports.counts([])).toEqual([]);
    });

    it('are exact where one piece of an index ends and the next begins', async () => {
      for (let batch = 0; batch < 40; batch += 1) {
        await insertMany(fixture.store, 1_000);
      }
      expect(await fixture.store.reports.counts(null)).toMatchObject([{ topic: TOPIC, pending: 40_000 }]);
      await insertOne(fixture.store);
      expect(await fixture.store.reports.counts(null)).toMatchObject([{ topic: TOPIC, pending: 40_001 }]);
    }, 60_000);
  });

  describe('topics', () => {
    const topics = (asked: readonly string[] | null = null): Promise<TopicStats[]> => desk().byTopic(asked);

    it('are those with jobs and those with a handler somewhere, by name', async () => {
      await fixture.store.reports.recordWorker('a', ['push', TOPIC]);
      await completed(3, 'sms');
      await failed('x', 1, 'sms');
      const id = await insertOne(fixture.store);
      await fixture.set(id, { run_at: { msFromNow: -60_000 } });
      const [mail, push, sms, ...others] = await topics();
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

    it('keep to those that somebody may see', async () => {
      await fixture.store.reports.recordWorker('a', ['push', TOPIC]);
      await insertOne(fixture.store, { topic: 'sms' });
      expect(await topics(['sms', 'push'])).toMatchObject([{ topic: 'push' }, { topic: 'sms' }]);
      expect(await topics([])).toEqual([]);
    });

    it('know the longest wait among all priorities of a topic', async () => {
      const [low, high] = [
        await insertOne(fixture.store, { priority: 1_000 }),
        await insertOne(fixture.store, { priority: -1_000 }),
      ];
      await fixture.set(low, { run_at: { msFromNow: -90_000 } });
      await fixture.set(high, { run_at: { msFromNow: -30_000 } });
      expect((await topics())[0]!.oldestPendingMs).toBeGreaterThanOrEqual(90_000);
    });
  });

  describe('run times', () => {
    const timed = async (timesMs: readonly number[], topic: string): Promise<void> => {
      const started = new Date('2024-01-01T00:00:00.000Z');
      for (const [index, id] of (await completed(timesMs.length, topic)).entries()) {
        await fixture.set(id, { started, finished: new Date(started.getTime() + timesMs[index]!) });
      }
    };

    it('are those of the newest completed jobs of each lane', async () => {
      await timed([1, 2, 3, 4], TOPIC);
      await timed([50], 'sms');
      await failed('x');
      const lanes = [TOPIC, 'sms', 'none'].map((topic) => ({ topic, limit: 2 }));
      const times = await fixture.store.reports.runTimes(lanes);
      const of = (topic: string): readonly number[] | undefined => times.find((each) => each.topic === topic)?.timesMs;
      expect(of(TOPIC)?.toSorted()).toEqual([3, 4]);
      expect(of('sms')).toEqual([50]);
      expect(of('none')).toBeUndefined();
    });

    it('of a job that never started are none', async () => {
      const [id] = await completed(1, TOPIC);
      await fixture.set(id!, { started: null });
      expect(await fixture.store.reports.runTimes([{ topic: TOPIC, limit: 5 }])).toEqual([]);
      expect(await desk().get()).toMatchObject({ completed: 1, avgExecutionTime: 0, p99: 0 });
    });
  });

  describe('errors', () => {
    const errors = (topics: readonly string[] | null = null): Promise<ErrorGroups> =>
      new ErrorStats({ store: fixture.store, clock: systemClock }).list(topics);

    it('are grouped by topic and message, the most frequent first', async () => {
      await failed('no route', 2);
      const sms = await failed('no route', 3, 'sms');
      const last = await failed('mail box full');
      const { items, window } = await errors();
      expect(items.map(({ topic, message, count }) => [topic, message, count])).toEqual([
        ['sms', 'no route', 3],
        [TOPIC, 'no route', 2],
        [TOPIC, 'mail box full', 1],
      ]);
      expect(items[0]!.sampleId).toBe(sms.at(-1));
      expect(items[2]!.sampleId).toBe(last[0]);
      expect(window).toEqual({ jobs: 6, jobsMax: 10_000 });
      expect(items.map(({ key }) => key)).toEqual(items.map(({ topic, message }) => toErrorKey(topic, message)));
    });

    it('say when they were first and last seen', async () => {
      const [first, second] = await failed('no route', 2);
      const at = (text: string): Date => new Date(`2024-01-01T${text}.000Z`);
      await fixture.set(first!, { finished: at('10:00:00') });
      await fixture.set(second!, { finished: at('09:00:00') });
      expect((await errors()).items).toMatchObject([
        { firstSeen: at('09:00:00'), lastSeen: at('10:00:00'), sampleId: second },
      ]);
    });

    it('keep to failed jobs, and to the topics that are asked for', async () => {
      expect(await errors()).toEqual({ items: [], window: { jobs: 0, jobsMax: 10_000 } });
      await failed('no route');
      await failed('no route', 1, 'sms');
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.retry(60_000))]);
      expect((await errors(['sms', 'none'])).items).toMatchObject([{ topic: 'sms', count: 1 }]);
      expect((await errors([])).items).toEqual([]);
    });

    it('look at the newest jobs of each lane only', async () => {
      await failed('old', 3);
      await failed('new', 2);
      await failed('other', 1, 'sms');
      const lanes: TopicShare[] = [
        { topic: TOPIC, limit: 3 },
        { topic: 'sms', limit: 3 },
      ];
      const groups = await fixture.store.reports.errors(lanes, 10);
      expect(groups.map(({ message, count }) => [message, count])).toEqual([
        ['new', 2],
        expect.arrayContaining([1]),
        expect.arrayContaining([1]),
      ]);
      expect(await fixture.store.reports.errors(lanes, 1)).toMatchObject([{ message: 'new', count: 2 }]);
    });

    it('are looked at, all of them, however unevenly they fall on topics', async () => {
      await failed('rare', 1, 'sms');
      await failed('frequent', 40);
      expect(await errors()).toMatchObject({
        items: [{ message: 'frequent', count: 40 }, { message: 'rare' }],
        window: { jobs: 41 },
      });
    });

    it('without a text are a group of their own', async () => {
      const [id] = await failed('x');
      await fixture.set(id!, { last_error: null });
      expect((await errors()).items).toMatchObject([{ message: '', count: 1 }]);
    });
  });

  describe('how jobs stand', () => {
    it('is told of those that there are', async () => {
      const token = await claimOne(fixture.store);
      const [done] = await completed(1, 'sms');
      const standing = await fixture.store.reports.summarize([token.id, done!, '01890000-0000-7000-8000-000000000000']);
      expect(standing).toHaveLength(2);
      expect(standing).toContainEqual({ id: token.id, topic: TOPIC, status: 'processing', isDue: true });
      expect(standing).toContainEqual({ id: done, topic: 'sms', status: 'completed', isDue: true });
      expect(await fixture.store.reports.summarize([])).toEqual([]);
    });
  });

  it('see each status that there is', async () => {
    const ids = await insertMany(fixture.store, JOB_STATUSES.length);
    for (const [index, status] of JOB_STATUSES.entries()) {
      await fixture.set(ids[index]!, {
        status,
        locked_until: status === 'processing' ? { msFromNow: 60_000 } : null,
        finished: ['completed', 'failed', 'cancelled'].includes(status) ? { msFromNow: 0 } : null,
      });
    }
    expect(await desk().get()).toMatchObject({ pending: 1, processing: 1, completed: 1, failed: 1, cancelled: 1 });
  });
});
