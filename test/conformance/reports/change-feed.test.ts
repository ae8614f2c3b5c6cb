import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { JobStats } from '../../../lib/core/job.js';
import { QueueStats } from '../../../lib/engine/reports/queue-stats.js';
import type { ChangeListener } from '../../../lib/engine/changes/change-feed.js';
import { ChangeFeed } from '../../../lib/engine/changes/change-feed.js';
import { claim, insertMany, insertOne, outcomes, settlement, TOPIC, WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';
import { until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const INTERVAL_MS = 1_120;

/** A listener that records its calls. */
class RecordingListener implements ChangeListener {
  readonly changes: (readonly string[])[] = [];
  readonly received: JobStats[] = [];

  constructor(readonly topics: readonly string[] | null = null) {}

  changed(topics: readonly string[]): void {
    this.changes.push(topics);
  }

  stats(stats: JobStats): void {
    this.received.push(stats);
  }
}

describe.each(storeKinds())('ChangeFeed on $label', (kind) => {
  const fixture = useStore(kind);
  let feed: ChangeFeed;
  let clock: VirtualClock;
  let scans = 0;
  let isAway = false;

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_workers');
    clock = new VirtualClock();
    const stats = new QueueStats({ store: fixture.store, ...logParts(clock) });
    const topics = stats.byTopic.bind(stats);
    stats.byTopic = (asked) => {
      scans += 1;
      return isAway ? Promise.reject(new QueueUnavailableError('the database does not answer')) : topics(asked);
    };
    scans = 0;
    isAway = false;
    feed = new ChangeFeed({ store: fixture.store, stats, ...logParts(clock), random: () => 0.5 });
  });

  afterEach(() => feed.close());

  /** Resolves when the current read has ended and the loop sleeps. */
  const untilRead = (): Promise<unknown> => until(() => clock.waiting === 1, { message: 'the end of a read' });

  const readAgain = async (): Promise<void> => {
    await untilRead();
    await clock.advance(INTERVAL_MS);
    await untilRead();
  };

  it('sends statistics at once, without changes', async () => {
    await insertMany(fixture.store, 2);
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    expect(listener.received).toMatchObject([{ pending: 2, total: 2 }]);
    expect(listener.changes).toEqual([]);
  });

  it('reports topics that another process paused or resumed', async () => {
    await insertOne(fixture.store, { topic: 'sms' });
    await insertOne(fixture.store);
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    await fixture.store.pauses.pause(['sms']);
    await readAgain();
    await readAgain();
    await fixture.store.pauses.resume(['sms']);
    await readAgain();
    expect(listener.changes).toEqual([['sms'], ['sms']]);
  });

  it('reports changed topics after any kind of change', async () => {
    await insertOne(fixture.store, { topic: 'sms' });
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    const id = await insertOne(fixture.store);
    await readAgain();
    const [token] = await claim(fixture.store);
    await readAgain();
    await fixture.store.settle([settlement(token!, outcomes.completed())]);
    await readAgain();
    await readAgain();
    await fixture.store.delete([id]);
    await fixture.store.reports.recordWorker('a', ['sms'], WORKER_DETAILS);
    await readAgain();
    expect(listener.changes.map((topics) => topics.toSorted())).toEqual([[TOPIC], [TOPIC], [TOPIC], [TOPIC, 'sms']]);
    expect(listener.received.map(({ total }) => total)).toEqual([1, 2, 2, 2, 2, 1]);
  });

  it('reports the first job of an empty table', async () => {
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    await insertOne(fixture.store);
    await readAgain();
    expect(listener.changes).toEqual([[TOPIC]]);
  });

  it('reports changes of this process even if the counts are the same', async () => {
    await insertOne(fixture.store);
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    feed.markChanged(TOPIC);
    feed.markChanged(TOPIC);
    await readAgain();
    await readAgain();
    expect(listener.changes).toEqual([[TOPIC]]);
  });

  it('reports changes of this process after an outage', async () => {
    await insertOne(fixture.store);
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    feed.markChanged(TOPIC);
    isAway = true;
    await readAgain();
    expect(listener.changes).toEqual([]);
    isAway = false;
    await readAgain();
    expect(listener.changes).toEqual([[TOPIC]]);
  });

  it('reports to each listener only its topics', async () => {
    const [mail, sms, none] = [
      new RecordingListener([TOPIC]),
      new RecordingListener(['sms']),
      new RecordingListener([]),
    ];
    [mail, sms, none].forEach((listener) => feed.watch(listener));
    await untilRead();
    await until(() => [mail, sms, none].every((listener) => listener.received.length === 1));
    await insertMany(fixture.store, 2);
    feed.markChanged('sms');
    await readAgain();
    expect([mail.changes, sms.changes, none.changes]).toEqual([[[TOPIC]], [['sms']], []]);
    expect(mail.received.at(-1)).toMatchObject({ total: 2 });
    expect(sms.received.at(-1)).toMatchObject({ total: 0 });
    expect(none.received.at(-1)).toMatchObject({ total: 0 });
  });

  it('reads once for all listeners', async () => {
    const listeners = Array.from({ length: 50 }, () => new RecordingListener());
    listeners.forEach((listener) => feed.watch(listener));
    await until(() => listeners.every(({ received }) => received.length === 1));
    await readAgain();
    await readAgain();
    expect(scans).toBe(3);
    expect(clock.waiting).toBe(1);
    expect(listeners.every(({ received }) => received.length === 3)).toBe(true);
  });

  it('reports to each listener at most once a second', async () => {
    feed.watch(new RecordingListener());
    await untilRead();
    await clock.advance(INTERVAL_MS - 200);
    const late = new RecordingListener();
    const reportedAtMs: number[] = [];
    late.stats = () => void reportedAtMs.push(clock.now());
    feed.watch(late);
    await until(() => reportedAtMs.length === 1);
    for (let read = 0; read < 5; read += 1) {
      await clock.advance(200);
      await untilRead();
      await clock.advance(INTERVAL_MS - 200);
      await untilRead();
    }
    const gaps = reportedAtMs.slice(1).map((ms, index) => ms - reportedAtMs[index]!);
    expect(gaps.length).toBeGreaterThanOrEqual(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
  });

  it('stops with the last listener and starts again with the next', async () => {
    const [one, other] = [new RecordingListener(), new RecordingListener()];
    const [leaveOne, leaveOther] = [feed.watch(one), feed.watch(other)];
    await untilRead();
    leaveOne();
    leaveOne();
    await readAgain();
    leaveOther();
    await until(() => clock.waiting === 0);
    const counts = [one.received.length, other.received.length];
    await clock.advance(10 * INTERVAL_MS);
    expect([one.received.length, other.received.length]).toEqual(counts);
    feed.markChanged(TOPIC);

    const next = new RecordingListener();
    feed.watch(next);
    await untilRead();
    expect(next.received).toHaveLength(1);
    expect(next.changes).toEqual([]);
    expect([one.received.length, other.received.length]).toEqual(counts);
  });

  it('does not start after it is closed', async () => {
    await feed.close();
    const listener = new RecordingListener();
    feed.watch(listener)();
    await clock.settle();
    expect(clock.waiting).toBe(0);
    expect(listener.received).toEqual([]);
  });

  it('stops for all listeners when it is closed', async () => {
    const listener = new RecordingListener();
    feed.watch(listener);
    await untilRead();
    await feed.close();
    expect(clock.waiting).toBe(0);
    expect(listener.received).toHaveLength(1);
  });

  it('continues for other listeners when one throws', async () => {
    const logger = new RecordingLogger();
    const stats = new QueueStats({ store: fixture.store, ...logParts(clock) });
    feed = new ChangeFeed({ store: fixture.store, stats, ...logParts(clock, logger), random: () => 0.5 });
    const [broken, fine] = [new RecordingListener(), new RecordingListener()];
    broken.stats = broken.changed = () => {
      throw new Error('connection reset');
    };
    feed.watch(broken);
    feed.watch(fine);
    await untilRead();
    await insertOne(fixture.store);
    await readAgain();
    expect(fine.changes).toEqual([[TOPIC]]);
    expect(logger.of('error')).toContain('change listener threw: connection reset');
  });

  if (kind.canHaveTwoConnections) {
    it('reports changes of an engine in another process', async () => {
      const { store } = await fixture.openAnother();
      const elsewhere = new JobsEngine({ store });
      elsewhere.register(TOPIC, () => 'done');
      const listener = new RecordingListener();
      feed.watch(listener);
      await untilRead();
      await elsewhere.start();
      await elsewhere.enqueue(TOPIC, null);
      await elsewhere.whenIdle();
      await readAgain();
      expect(listener.changes).toEqual([[TOPIC]]);
      expect(listener.received.at(-1)).toMatchObject({ completed: 1 });
      await elsewhere.close();
    });
  }
});
