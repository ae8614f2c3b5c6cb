import type { Clock } from '../core/clock.js';
import type { JobStats } from '../core/job.js';
import type { TopicStats } from '../core/job-reports.js';
import type { JobsLogger } from '../core/logger.js';
import { Periodic } from './periodic.js';
import type { ReportDesk } from './report-desk.js';

export interface ReportWatchOptions {
  readonly reports: ReportDesk;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
}

/** What somebody who watches is told. */
export interface ReportWatcher {
  /** Which topics he may see; `null` is all of them. */
  readonly topics: readonly string[] | null;
  /** Jobs of these topics were added, moved or removed, by whatever process. */
  changed(topics: readonly string[]): void;
  /** Counts and times as they are now. */
  stats(stats: JobStats): void;
}

const INTERVAL_MS = 1_000;

/** Looks at the table once a second while anybody watches, however many do, and tells what has changed. */
export class ReportWatch {
  private readonly watchers = new Set<ReportWatcher>();
  private readonly loop: Periodic;
  private readonly touched = new Set<string>();
  private seen = new Map<string, string>();

  constructor(private readonly options: ReportWatchOptions) {
    this.loop = new Periodic({
      ...options,
      name: 'watching for changes',
      intervalMs: INTERVAL_MS,
      work: () => this.look(),
    });
  }

  /** Begins to tell, with statistics at once. @returns what ends it; harmless when called twice. */
  watch(watcher: ReportWatcher): () => void {
    this.watchers.add(watcher);
    if (this.watchers.size === 1) {
      this.seen = new Map();
      this.touched.clear();
      this.loop.start();
    } else {
      void this.tell(watcher).catch(() => undefined);
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

  /** Ends all watching. */
  async stop(): Promise<void> {
    this.watchers.clear();
    await this.loop.stop();
  }

  private async look(): Promise<void> {
    const touched = [...this.touched];
    this.touched.clear();
    const isFirst = this.seen.size === 0;
    const now = new Map((await this.options.reports.topics()).map((each) => [each.topic, print(each)]));
    const names = [...new Set([...now.keys(), ...this.seen.keys()])];
    const moved = isFirst ? [] : names.filter((topic) => now.get(topic) !== this.seen.get(topic));
    this.seen = now;
    const changed = [...new Set([...touched, ...moved])];
    for (const watcher of [...this.watchers]) {
      const shown = changed.filter((topic) => watcher.topics?.includes(topic) ?? true);
      if (shown.length > 0) {
        watcher.changed(shown);
      }
      await this.tell(watcher);
    }
  }

  private async tell(watcher: ReportWatcher): Promise<void> {
    const stats = await this.options.reports.stats(watcher.topics);
    if (this.watchers.has(watcher)) {
      watcher.stats(stats);
    }
  }
}

/** Two of these differ when jobs came, moved or went. */
function print({ pending, processing, completed, failed, cancelled, hasHandler }: TopicStats): string {
  return [pending, processing, completed, failed, cancelled, hasHandler].join(' ');
}
