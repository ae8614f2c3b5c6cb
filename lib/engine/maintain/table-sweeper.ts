import { DatabaseRefusedError, StatementCancelledError } from '../../core/errors.js';
import type { SweptPage } from '../../store/jobs/job-records.js';
import { SWEPT_ROWS } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

interface TableSweeperOptions extends Pick<EngineParts, 'clock' | 'failureLog' | 'random'> {
  /** Names the loop in the log. */
  readonly name: string;
  /** How long to sleep before the first pass. Default 0. */
  readonly initialDelayMs?: number;
  /** Runs before each pass. Returns the time between two passes, or `null` when there is nothing to sweep. */
  readonly prepare: () => number | null | Promise<number | null>;
  /** Reads up to `rows` rows of the table after `after`, and deletes or repairs some of them. */
  readonly sweepPage: (after: string | null, rows: number) => Promise<SweptPage>;
}

/** The longest time between two passes. */
export const SWEEP_INTERVAL_MS = 60_000;
/** The shortest rest after pages without anything to do. */
const REST_MIN_MS = 1_000;
/** Between pages: other statements need the disk and the lock too. */
const PAUSE_MS = 50;
/** Rests after this many rows without one to delete. */
const IDLE_ROWS_MAX = 20 * SWEPT_ROWS;
/** Rests this many times as long as it read. Reading costs a worker 1 % of a core, however many rows are kept. */
const REST_FACTOR = 100;
/** The smallest page costs as much as this many rows. */
const PAGE_COST_ROWS = 100;

/**
 * Walks through a table in pages, and deletes or repairs what a page finds. While pages find something, the next one follows after a short
 * pause, so a sweep keeps up with any rate. Pages that find nothing take 1 % of the time. After the last page it starts again from the
 * front.
 *
 * A page that takes too long, or that the database refuses, is tried again with half as many rows.
 */
export class TableSweeper {
  private readonly loop: PollLoop;
  private after: string | null = null;
  private rows = SWEPT_ROWS;
  /** Read since the last page that found something, and how long that took. */
  private idleRows = 0;
  private idleMs = 0;

  constructor(private readonly options: TableSweeperOptions) {
    this.loop = new PollLoop({ ...options, intervalMs: SWEEP_INTERVAL_MS, work: () => this.sweep() });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Reads the whole table from the front, without a rest. Returns how much it has deleted. For a sweeper that was not started. */
  async sweepAll(): Promise<number> {
    this.after = null;
    for (let removed = 0; ;) {
      const page = await this.sweepPage();
      removed += page?.removed ?? 0;
      if (page?.next === null) {
        return removed;
      }
      this.after = page?.next ?? this.after;
    }
  }

  /** One pass of the loop. Returns how long to rest. */
  private async sweep(): Promise<number> {
    const { clock, random, prepare } = this.options;
    const intervalMs = await prepare();
    if (intervalMs === null) {
      return SWEEP_INTERVAL_MS;
    }
    while (this.idleRows < IDLE_ROWS_MAX) {
      const { rows } = this;
      const sinceMs = clock.now();
      const page = await this.sweepPage();
      this.idleMs += clock.now() - sinceMs;
      if (page === null) {
        return PAUSE_MS;
      }
      this.after = page.next;
      if (page.next === null || page.removed > 0) {
        this.resetIdle();
        return page.next === null ? intervalMs * (0.9 + random() / 5) : PAUSE_MS;
      }
      this.idleRows += Math.max(rows, PAGE_COST_ROWS);
    }
    const restMs = REST_FACTOR * this.idleMs * (0.9 + random() / 5);
    this.resetIdle();
    return Math.min(Math.max(restMs, REST_MIN_MS), intervalMs);
  }

  private resetIdle(): void {
    this.idleRows = 0;
    this.idleMs = 0;
  }

  /** Returns `null` when the page has failed and the next one is smaller. */
  private async sweepPage(): Promise<SweptPage | null> {
    const { after, rows } = this;
    try {
      const page = await this.options.sweepPage(after, rows);
      this.rows = Math.min(rows * 2, SWEPT_ROWS);
      return page;
    } catch (error) {
      const mayBeTooLarge = error instanceof DatabaseRefusedError || error instanceof StatementCancelledError;
      if (!mayBeTooLarge || rows === 1) {
        throw error;
      }
      this.rows = Math.ceil(rows / 2);
      return null;
    }
  }
}
