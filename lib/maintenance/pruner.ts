import type { Clock } from '../core/clock.js';
import type { JobsLogger } from '../core/logger.js';
import type { Retention } from '../core/options.js';
import { Periodic } from '../runtime/periodic.js';
import type { JobStore } from '../store/job-store.js';

export interface PrunerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly retention: Retention;
}

const INTERVAL_MIN_MS = 1_000;
const INTERVAL_MAX_MS = 60_000;
const PAGE_ROWS = 1_000;
/** Pages without anything to delete, before the rest is left to the next round. */
const IDLE_PAGES_MAX = 20;

/** Deletes finished jobs over their age, in small pages from the oldest on, so that no lock is held for long. */
export class Pruner {
  private readonly loop: Periodic;
  private after: string | null = null;

  constructor(private readonly options: PrunerOptions) {
    const ages = Object.values(options.retention).filter((age): age is number => age !== false);
    this.loop = new Periodic({
      ...options,
      name: 'pruning of finished jobs',
      intervalMs: Math.min(Math.max(Math.min(...ages) / 4, INTERVAL_MIN_MS), INTERVAL_MAX_MS),
      work: () => this.prune(),
    });
  }

  start(): void {
    if (Object.values(this.options.retention).some((age) => age !== false)) {
      this.loop.start();
    }
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async prune(): Promise<number | void> {
    let removed = 0;
    for (let idlePages = 0; idlePages < IDLE_PAGES_MAX;) {
      const page = await this.options.store.prune(this.options.retention, { after: this.after, rows: PAGE_ROWS });
      removed += page.removed;
      idlePages += page.removed === 0 ? 1 : 0;
      this.after = page.next;
      if (page.next === null) {
        break;
      }
      if (removed >= PAGE_ROWS) {
        // Others want the disk and the lock too.
        return 50;
      }
    }
    return undefined;
  }
}
