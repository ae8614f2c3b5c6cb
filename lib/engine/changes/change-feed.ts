import { toErrorMessage } from '../../core/error-text.js';
import type { JobStats } from '../../core/job.js';
import type { TopicStats } from '../../core/job-reports.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { JobListener } from './job-watch.js';
import { JobWatch } from './job-watch.js';
import type { QueueStats } from '../reports/queue-stats.js';

type ChangeFeedParts = Pick<EngineParts, 'store' | 'clock' | 'logger' | 'failureLog' | 'random'> & {
  readonly stats: QueueStats;
};

/** Receives changes of the queue. A listener that throws is logged. */
export interface ChangeListener {
  /** The topics that it may see; `null` means all. */
  readonly topics: readonly string[] | null;
  /** Jobs of these topics were added, changed or removed, in any process. */
  changed(topics: readonly string[]): void;
  /** Current counts and times. Called at most once a second. */
  stats(stats: JobStats): void;
}

const STATS_INTERVAL_MS = 1_000;
/** Longer by the loop's jitter of 10 %, so that each run of the loop finds the statistics due. */
const INTERVAL_MS = 1_120;

/** Reads the counts once a second while there are listeners, and reports changes to them. Many listeners share one read. */
export class ChangeFeed {
  /** Each with the time at which it last received statistics. */
  private readonly listeners = new Map<ChangeListener, number>();
  private readonly loop: PollLoop;
  private readonly jobs: JobWatch;
  private readonly touched = new Set<string>();
  /** The fingerprint of each topic at the last read; `null` before the first one. */
  private seen: ReadonlyMap<string, string> | null = null;
  private isClosed = false;

  constructor(private readonly parts: ChangeFeedParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'change feed',
      intervalMs: INTERVAL_MS,
      work: () => this.read(),
    });
    this.jobs = new JobWatch(parts);
  }

  /**
   * Adds a listener. It receives statistics at once, then changes and statistics until it is removed or the engine closes.
   *
   * @returns a function that removes it, which may be called twice.
   */
  watch(listener: ChangeListener): () => void {
    if (this.isClosed) {
      return () => undefined;
    }
    const isFirst = this.listeners.size === 0;
    this.listeners.set(listener, -Infinity);
    if (isFirst) {
      this.seen = null;
      this.touched.clear();
      this.loop.start();
    } else {
      // The loop logs the error when its next read fails too.
      this.sendStats([listener]).catch(() => undefined);
    }
    return () => {
      if (this.listeners.delete(listener) && this.listeners.size === 0) {
        void this.loop.stop();
      }
    };
  }

  /**
   * Adds a listener for one job: it receives the job at once, and within a second after its status, its progress or its log has
   * changed in any process.
   *
   * @param id the job's own id, in lower case.
   * @returns a function that removes it, which may be called twice.
   */
  watchJob(id: string, listener: JobListener): () => void {
    return this.isClosed ? () => undefined : this.jobs.watch(id, listener);
  }

  /** Reports a topic as changed with the next read. Some changes do not show in the counts. */
  markChanged(topic: string): void {
    if (this.listeners.size > 0) {
      this.touched.add(topic);
    }
  }

  /** Removes all listeners, and adds none from now on. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.listeners.clear();
    await Promise.all([this.loop.stop(), this.jobs.close()]);
  }

  private async read(): Promise<void> {
    const now = new Map((await this.parts.stats.byTopic()).map((each) => [each.topic, toFingerprint(each)]));
    // Cleared after the read, so that a read that fails loses no topic.
    const touched = [...this.touched];
    this.touched.clear();
    const before = this.seen ?? now;
    const differing = [...now.keys(), ...before.keys()].filter((topic) => now.get(topic) !== before.get(topic));
    this.seen = now;
    const changed = [...new Set([...touched, ...differing])];
    for (const listener of [...this.listeners.keys()]) {
      const visible = changed.filter((topic) => listener.topics?.includes(topic) ?? true);
      if (visible.length > 0) {
        this.notify(listener, () => listener.changed(visible));
      }
    }
    await this.sendStats([...this.listeners.keys()]);
  }

  /** Sends statistics to listeners that are due. Listeners of the same topics share one query. */
  private async sendStats(listeners: readonly ChangeListener[]): Promise<void> {
    const { clock, stats: queueStats } = this.parts;
    const queries = new Map<string, Promise<JobStats>>();
    const isDue = (listener: ChangeListener): boolean =>
      clock.now() - (this.listeners.get(listener) ?? Infinity) >= STATS_INTERVAL_MS;
    for (const listener of listeners.filter(isDue)) {
      const key = JSON.stringify(listener.topics);
      const query = queries.get(key) ?? queueStats.get(listener.topics);
      queries.set(key, query);
      const stats = await query;
      if (isDue(listener)) {
        this.listeners.set(listener, clock.now());
        this.notify(listener, () => listener.stats(stats));
      }
    }
  }

  private notify(listener: ChangeListener, call: () => void): void {
    if (this.listeners.has(listener)) {
      try {
        call();
      } catch (error) {
        this.parts.logger.error(`change listener threw: ${toErrorMessage(error)}`);
      }
    }
  }
}

/** Returns a text that differs when jobs of the topic were added, changed or removed, or its handlers or its pause changed. */
function toFingerprint({
  pending,
  processing,
  completed,
  failed,
  cancelled,
  hasHandler,
  pausedSince,
}: TopicStats): string {
  return [pending, processing, completed, failed, cancelled, hasHandler, pausedSince?.getTime()].join(' ');
}
