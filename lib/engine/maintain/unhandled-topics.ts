import type { JobsLogger } from '../../core/logger.js';
import type { JobStore } from '../../store/job-store.js';
import { everyPriority } from '../../store/lanes.js';

export interface OrphanWatchOptions {
  readonly store: JobStore;
  readonly logger: JobsLogger;
}

const NAMED_MAX = 10;

/**
 * Says when jobs are due of which no process that runs has the handler: a mistyped topic, or a handler that was taken away
 * too soon. They are left alone, since a process that knows them may come.
 *
 * In one look they may be those of a deployment under way, so that only what two looks in a row have found is named, once
 * until it has a handler or is gone. An idle queue costs one statement a look.
 */
export class UnhandledTopicsCheck {
  private found: ReadonlySet<string> = new Set();
  private named: ReadonlySet<string> = new Set();

  constructor(private readonly options: OrphanWatchOptions) {}

  /** Looks once, and warns of what is new. */
  async look(): Promise<void> {
    const orphans = await this.orphans();
    const lasting = orphans.filter((topic) => this.found.has(topic));
    const news = lasting.filter((topic) => !this.named.has(topic));
    this.found = new Set(orphans);
    this.named = new Set(lasting);
    if (news.length > 0) {
      this.options.logger.warn(
        `jobs of ${listed(news)} are due, and no process that runs has a handler for them: they wait`,
      );
    }
  }

  /** Topics with due jobs and without a handler anywhere. */
  private async orphans(): Promise<string[]> {
    const { store } = this.options;
    const waiting = await store.reports.waitingTopics();
    if (waiting.length === 0) {
      return [];
    }
    const served = new Set(await store.reports.servedTopics());
    const orphans = waiting.filter((topic) => !served.has(topic));
    if (orphans.length === 0) {
      return [];
    }
    const scan = await store.scan(orphans.map(everyPriority));
    const due = new Set(scan.waiting.filter(({ dueInMs }) => dueInMs <= 0).map(({ topic }) => topic));
    return orphans.filter((topic) => due.has(topic));
  }
}

function listed(topics: readonly string[]): string {
  const shown = topics.slice(0, NAMED_MAX).map((topic) => `'${topic}'`);
  const more = topics.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} other topics` : '');
}
