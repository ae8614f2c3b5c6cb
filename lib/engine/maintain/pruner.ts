import type { Clock } from '../../core/clock.js';
import { DatabaseRefusedError } from '../../core/errors.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import { PollLoop } from '../poll-loop.js';
import type { JobStore, PrunedPage } from '../../store/job-store.js';

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
/** Others want the disk and the lock too; and of a statement that was refused the locks may be there for a moment still. */
const PAUSE_MS = 50;
/** Rows without anything to delete, before others have their turn. */
const IDLE_ROWS_MAX = 20 * PAGE_ROWS;
/** So much longer than it took to look at those it rests: however many rows are kept, the looks of a worker cost a hundredth of a core. */
const IDLE_REST_FACTOR = 100;
/** However small it is, a page costs as much as so many rows. */
const PAGE_COST_ROWS = 100;

/** Rows that the database refused to delete are tried again after so long, and so are all beyond so many. */
const HELD_MS = 3_600_000;
const HELD_MAX = 1_000;

const KEEP_ALL: Retention = { completed: false, failed: false, cancelled: false };

/**
 * Deletes finished jobs over their age, in small pages from the oldest on, so that no lock is held for long. A row that the
 * database refuses to delete, since one of the application's refers to it, is found by smaller and smaller pages, and left
 * alone for an hour.
 */
export class Pruner {
  private readonly loop: PollLoop;
  private readonly intervalMs: number;
  private after: string | null = null;
  /** How many rows the next page has: half as many when the database refused one. */
  private rows = PAGE_ROWS;
  /** Looked at since something was deleted, and how long that took. */
  private idleRows = 0;
  private idleMs = 0;
  /** Jobs that the database refused to delete, and since when those are kept out of its way. */
  private readonly held = new Set<string>();
  private heldSinceMs = -Infinity;

  constructor(private readonly options: PrunerOptions) {
    const ages = Object.values(options.retention).filter((age): age is number => age !== false);
    this.intervalMs = Math.min(Math.max(Math.min(...ages) / 4, INTERVAL_MIN_MS), INTERVAL_MAX_MS);
    this.loop = new PollLoop({
      ...options,
      name: 'pruning of finished jobs',
      intervalMs: this.intervalMs,
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
    const { clock, random } = this.options;
    let removed = 0;
    if (this.isHoldOver) {
      this.held.clear();
    }
    while (this.idleRows < IDLE_ROWS_MAX) {
      const { rows } = this;
      const sinceMs = clock.now();
      const page = await this.page();
      this.idleMs += clock.now() - sinceMs;
      if (page === null) {
        return PAUSE_MS;
      }
      removed += page.removed;
      this.idleRows += page.removed === 0 ? Math.max(rows, PAGE_COST_ROWS) : 0;
      this.after = page.next;
      if (page.next === null || removed >= PAGE_ROWS) {
        this.forgetIdle();
        return page.next === null ? undefined : PAUSE_MS;
      }
    }
    const restMs = IDLE_REST_FACTOR * this.idleMs * (0.9 + random() / 5);
    this.forgetIdle();
    return Math.min(Math.max(restMs, INTERVAL_MIN_MS), this.intervalMs);
  }

  private forgetIdle(): void {
    this.idleRows = 0;
    this.idleMs = 0;
  }

  /** The next page; `null`: it is to be a smaller one. */
  private async page(): Promise<PrunedPage | null> {
    const { store, retention } = this.options;
    const { after, rows, held } = this;
    try {
      const page = await store.prune(retention, { after, rows, except: [...held] });
      this.rows = Math.min(rows * 2, PAGE_ROWS);
      return page;
    } catch (error) {
      if (!(error instanceof DatabaseRefusedError)) {
        throw error;
      }
      if (rows > 1) {
        this.rows = Math.ceil(rows / 2);
        return null;
      }
      const page = await store.prune(KEEP_ALL, { after, rows, except: [] });
      this.hold(page.next, error);
      return page;
    }
  }

  private hold(id: string | null, { message }: DatabaseRefusedError): void {
    if (this.isHoldOver) {
      this.heldSinceMs = this.options.clock.now();
      this.options.logger.warn(`the database refuses to delete finished jobs, which stay: ${message}`);
    }
    if (id !== null && this.held.size < HELD_MAX) {
      this.held.add(id);
    }
  }

  private get isHoldOver(): boolean {
    return this.options.clock.now() - this.heldSinceMs >= HELD_MS;
  }
}
