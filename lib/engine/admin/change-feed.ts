import { toErrorMessage } from '../../core/error-text.js';
import type { JobStats } from '../../core/job.js';
import type { TopicStats } from '../../core/job-reports.js';
import type { EngineParts } from '../engine-parts.js';
import { PollLoop } from '../poll-loop.js';
import type { QueueStats } from './queue-stats.js';

type ChangeFeedParts = Pick<EngineParts, 'clock' | 'logger' | 'random'> & { readonly stats: QueueStats };

/** What somebody who watches is told. */
export interface ChangeListener {
  /** Which topics may be seen; `null` is all of them. */
  readonly topics: readonly string[] | null;
  /** Jobs of these topics were added, moved or removed, by whatever process. */
  changed(topics: readonly string[]): void;
  /** Counts and times as they are now. */
  stats(stats: JobStats): void;
}

/** Statistics are told at most that often; the jitter of the loop must not bring it below. */
const TOLD_AGAIN_MS = 1_000;
const INTERVAL_MS = 1_120;

/** Looks at the table once a second while anybody watches, however many do, and tells what has changed. */
export class ChangeFeed {
  /** With the time at which each was last told the statistics. */
  private readonly watchers = new Map<ChangeListener, number>();
  private readonly loop: PollLoop;
  private readonly touched = new Set<string>();
  /** How each topic stood at the last look; `null` before the first one. */
  private seen: ReadonlyMap<string, string> | null = null;
  private isClosed = false;

  constructor(private readonly options: ChangeFeedParts) {
    this.loop = new PollLoop({
      ...options,
      name: 'watching for changes',
      intervalMs: INTERVAL_MS,
      work: () => this.look(),
    });
  }

  /**
   * Begins to tell, with statistics at once; tells nothing after `close`.
   *
   * @returns what ends it; harmless when called twice.
   */
  watch(watcher: ChangeListener): () => void {
    if (this.isClosed) {
      return () => undefined;
    }
    const isFirst = this.watchers.size === 0;
    this.watchers.set(watcher, -Infinity);
    if (isFirst) {
      this.seen = null;
      this.touched.clear();
      this.loop.start();
    } else {
      // When that fails, the next look says so.
      this.tell([watcher]).catch(() => undefined);
    }
    return () => {
      if (this.watchers.delete(watcher) && this.watchers.size === 0) {
        void this.loop.stop();
      }
    };
  }

  /** Something happened to a job of this topic in this process: counts may not show it. */
  touch(topic: string): void {
    if (this.watchers.size > 0) {
      this.touched.add(topic);
    }
  }

  /** Ends all watching for good. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.watchers.clear();
    await this.loop.stop();
  }

  private async look(): Promise<void> {
    const now = new Map((await this.options.stats.byTopic()).map((each) => [each.topic, print(each)]));
    // Not before that: a look that fails forgets nothing.
    const touched = [...this.touched];
    this.touched.clear();
    const before = this.seen ?? now;
    const moved = [...now.keys(), ...before.keys()].filter((topic) => now.get(topic) !== before.get(topic));
    this.seen = now;
    const changed = [...new Set([...touched, ...moved])];
    for (const watcher of [...this.watchers.keys()]) {
      const shown = changed.filter((topic) => watcher.topics?.includes(topic) ?? true);
      if (shown.length > 0) {
        this.guarded(watcher, () => watcher.changed(shown));
      }
    }
    await this.tell([...this.watchers.keys()]);
  }

  /** Tells those whose turn it is; what several may see is asked for once. */
  private async tell(watchers: readonly ChangeListener[]): Promise<void> {
    const { clock, stats: queueStats } = this.options;
    const answers = new Map<string, Promise<JobStats>>();
    const isDue = (watcher: ChangeListener): boolean =>
      clock.now() - (this.watchers.get(watcher) ?? Infinity) >= TOLD_AGAIN_MS;
    for (const watcher of watchers.filter(isDue)) {
      const key = JSON.stringify(watcher.topics);
      const answer = answers.get(key) ?? queueStats.get(watcher.topics);
      answers.set(key, answer);
      const stats = await answer;
      if (isDue(watcher)) {
        this.watchers.set(watcher, clock.now());
        this.guarded(watcher, () => watcher.stats(stats));
      }
    }
  }

  /** One that fails keeps nothing from the others. */
  private guarded(watcher: ChangeListener, tell: () => void): void {
    if (this.watchers.has(watcher)) {
      try {
        tell();
      } catch (error) {
        this.options.logger.error(`somebody who watches failed: ${toErrorMessage(error)}`);
      }
    }
  }
}

/** Two of these differ when jobs came, moved or went, or are claimed no more. */
function print({ pending, processing, completed, failed, cancelled, hasHandler, pausedSince }: TopicStats): string {
  return [pending, processing, completed, failed, cancelled, hasHandler, pausedSince?.getTime()].join(' ');
}
