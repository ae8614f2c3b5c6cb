import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { JobStats } from '../../../lib/core/job.js';
import { silentLogger } from '../../../lib/core/logger.js';
import { QueueStats } from '../../../lib/engine/admin/queue-stats.js';
import type { ChangeListener } from '../../../lib/engine/admin/change-feed.js';
import { ChangeFeed } from '../../../lib/engine/admin/change-feed.js';
import { claim, insertMany, insertOne, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const LOOK_MS = 1_120;

/** Somebody who writes down what he is told. */
class Diary implements ChangeListener {
  readonly changes: (readonly string[])[] = [];
  readonly figures: JobStats[] = [];

  constructor(readonly topics: readonly string[] | null = null) {}

  changed(topics: readonly string[]): void {
    this.changes.push(topics);
  }

  stats(stats: JobStats): void {
    this.figures.push(stats);
  }
}

describe.each(storeKinds())('watching on $label', (kind) => {
  const fixture = useStore(kind);
  let watch: ChangeFeed;
  let clock: VirtualClock;
  let scans = 0;
  let isAway = false;

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_workers');
    clock = new VirtualClock();
    const stats = new QueueStats({ store: fixture.store, clock });
    const topics = stats.byTopic.bind(stats);
    stats.byTopic = (asked) => {
      scans += 1;
      return isAway ? Promise.reject(new QueueUnavailableError('the database does not answer')) : topics(asked);
    };
    scans = 0;
    isAway = false;
    watch = new ChangeFeed({ stats, clock, logger: silentLogger, random: () => 0.5 });
  });

  afterEach(() => watch.close());

  /** Resolves when the look under way has ended: the loop sleeps. */
  const looked = (): Promise<unknown> => until(() => clock.waiting === 1, { message: 'the end of a look' });

  const nextLook = async (): Promise<void> => {
    await looked();
    await clock.advance(LOOK_MS);
    await looked();
  };

  it('tells how things stand at once, and that nothing has changed', async () => {
    await insertMany(fixture.store, 2);
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    expect(diary.figures).toMatchObject([{ pending: 2, total: 2 }]);
    expect(diary.changes).toEqual([]);
  });

  it('tells of topics that another process has paused or resumed', async () => {
    await insertOne(fixture.store, { topic: 'sms' });
    await insertOne(fixture.store);
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    await fixture.store.pauses.pause(['sms']);
    await nextLook();
    await nextLook();
    await fixture.store.pauses.resume(['sms']);
    await nextLook();
    expect(diary.changes).toEqual([['sms'], ['sms']]);
  });

  it('tells which topics have changed, however that came about', async () => {
    await insertOne(fixture.store, { topic: 'sms' });
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    const id = await insertOne(fixture.store);
    await nextLook();
    const [token] = await claim(fixture.store);
    await nextLook();
    await fixture.store.settle([settlement(token!, outcomes.completed())]);
    await nextLook();
    await nextLook();
    await fixture.store.delete([id]);
    await fixture.store.reports.recordWorker('a', ['sms']);
    await nextLook();
    expect(diary.changes.map((topics) => topics.toSorted())).toEqual([[TOPIC], [TOPIC], [TOPIC], [TOPIC, 'sms']]);
    expect(diary.figures.map(({ total }) => total)).toEqual([1, 2, 2, 2, 2, 1]);
  });

  it('tells of the first job of a table that was empty', async () => {
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    await insertOne(fixture.store);
    await nextLook();
    expect(diary.changes).toEqual([[TOPIC]]);
  });

  it('tells of what this process did though the counts are the same', async () => {
    await insertOne(fixture.store);
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    watch.touch(TOPIC);
    watch.touch(TOPIC);
    await nextLook();
    await nextLook();
    expect(diary.changes).toEqual([[TOPIC]]);
  });

  it('tells after an outage what this process did before it', async () => {
    await insertOne(fixture.store);
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    watch.touch(TOPIC);
    isAway = true;
    await nextLook();
    expect(diary.changes).toEqual([]);
    isAway = false;
    await nextLook();
    expect(diary.changes).toEqual([[TOPIC]]);
  });

  it('tells nobody of topics that he may not see', async () => {
    const [mail, sms, none] = [new Diary([TOPIC]), new Diary(['sms']), new Diary([])];
    [mail, sms, none].forEach((diary) => watch.watch(diary));
    await looked();
    await until(() => [mail, sms, none].every((diary) => diary.figures.length === 1));
    await insertMany(fixture.store, 2);
    watch.touch('sms');
    await nextLook();
    expect([mail.changes, sms.changes, none.changes]).toEqual([[[TOPIC]], [['sms']], []]);
    expect(mail.figures.at(-1)).toMatchObject({ total: 2 });
    expect(sms.figures.at(-1)).toMatchObject({ total: 0 });
    expect(none.figures.at(-1)).toMatchObject({ total: 0 });
  });

  it('looks once for all who watch', async () => {
    const diaries = Array.from({ length: 50 }, () => new Diary());
    diaries.forEach((diary) => watch.watch(diary));
    await until(() => diaries.every(({ figures }) => figures.length === 1));
    await nextLook();
    await nextLook();
    expect(scans).toBe(3);
    expect(clock.waiting).toBe(1);
    expect(diaries.every(({ figures }) => figures.length === 3)).toBe(true);
  });

  it('tells nobody more than once a second, whenever he came', async () => {
    watch.watch(new Diary());
    await looked();
    await clock.advance(LOOK_MS - 200);
    const late = new Diary();
    const toldAtMs: number[] = [];
    late.stats = () => void toldAtMs.push(clock.now());
    watch.watch(late);
    await until(() => toldAtMs.length === 1);
    for (let look = 0; look < 5; look += 1) {
      await clock.advance(200);
      await looked();
      await clock.advance(LOOK_MS - 200);
      await looked();
    }
    const gaps = toldAtMs.slice(1).map((ms, index) => ms - toldAtMs[index]!);
    expect(gaps.length).toBeGreaterThanOrEqual(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
  });

  it('ends when the last one has gone, and begins again with the next', async () => {
    const [one, other] = [new Diary(), new Diary()];
    const [leaveOne, leaveOther] = [watch.watch(one), watch.watch(other)];
    await looked();
    leaveOne();
    leaveOne();
    await nextLook();
    leaveOther();
    await until(() => clock.waiting === 0);
    const told = [one.figures.length, other.figures.length];
    await clock.advance(10 * LOOK_MS);
    expect([one.figures.length, other.figures.length]).toEqual(told);
    watch.touch(TOPIC);

    const next = new Diary();
    watch.watch(next);
    await looked();
    expect(next.figures).toHaveLength(1);
    expect(next.changes).toEqual([]);
    expect([one.figures.length, other.figures.length]).toEqual(told);
  });

  it('begins no more when it is closed', async () => {
    await watch.close();
    const diary = new Diary();
    watch.watch(diary)();
    await clock.settle();
    expect(clock.waiting).toBe(0);
    expect(diary.figures).toEqual([]);
  });

  it('ends for all when it is closed', async () => {
    const diary = new Diary();
    watch.watch(diary);
    await looked();
    await watch.close();
    expect(clock.waiting).toBe(0);
    expect(diary.figures).toHaveLength(1);
  });

  it('goes on for the others when one of them fails', async () => {
    const logger = new RecordingLogger();
    const stats = new QueueStats({ store: fixture.store, clock });
    watch = new ChangeFeed({ stats, clock, logger, random: () => 0.5 });
    const [broken, fine] = [new Diary(), new Diary()];
    broken.stats = broken.changed = () => {
      throw new Error('connection reset');
    };
    watch.watch(broken);
    watch.watch(fine);
    await looked();
    await insertOne(fixture.store);
    await nextLook();
    expect(fine.changes).toEqual([[TOPIC]]);
    expect(logger.of('error')).toContain('change listener threw: connection reset');
  });

  if (kind.canHaveTwoConnections) {
    it('tells of what an engine of another process does', async () => {
      const { store } = await fixture.openAnother();
      const elsewhere = new JobsEngine({ store });
      elsewhere.register(TOPIC, () => 'done');
      const diary = new Diary();
      watch.watch(diary);
      await looked();
      await elsewhere.start();
      await elsewhere.enqueue(TOPIC, null);
      await elsewhere.whenIdle();
      await nextLook();
      expect(diary.changes).toEqual([[TOPIC]]);
      expect(diary.figures.at(-1)).toMatchObject({ completed: 1 });
      await elsewhere.close();
    });
  }
});
