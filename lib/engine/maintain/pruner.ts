import { DatabaseRefusedError } from '../../core/errors.js';
import type { PrunedPage } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';

type PrunerParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'registry' | 'retention'
> & { readonly declarer: Pick<DefinitionDeclarer, 'isPending' | 'write'> };

const INTERVAL_MIN_MS = 1_000;
const INTERVAL_MAX_MS = 60_000;
const PAGE_ROWS = 1_000;
/** Between pages: other statements need the disk and the lock too. */
const PAUSE_MS = 50;
/** Rests after this many rows without one to delete. */
const IDLE_ROWS_MAX = 20 * PAGE_ROWS;
/** Rests this many times as long as it read. Reading costs a worker 1 % of a core, however many rows are kept. */
const REST_FACTOR = 100;
/** The smallest page costs as much as this many rows. */
const PAGE_COST_ROWS = 100;

/** Rows that the database refused to delete are tried again after this time. */
const REFUSED_MS = 3_600_000;
const REFUSED_MAX = 1_000;

/** Result of {@link Pruner.pruneAll}. */
export interface PruneResult {
  /** Number of deleted jobs. */
  readonly removed: number;
  /** Number of jobs, at most 1,000, that the database refuses to delete, because a row of the application refers to them. */
  readonly refused: number;
}

/**
 * Deletes finished jobs over their age, oldest first, in small pages, so that no lock is held for long.
 *
 * When the database refuses a page, because a row of the application refers to a job, smaller pages find that job. It is
 * skipped for an hour.
 */
export class Pruner {
  private readonly loop: PollLoop;
  private after: string | null = null;
  /** Size of the next page: half of one that the database refused. */
  private rows = PAGE_ROWS;
  /** Read since the last deletion, and how long that took. */
  private idleRows = 0;
  private idleMs = 0;
  /** Ids of jobs that the database refused to delete. */
  private readonly refused = new Set<string>();
  private refusedSinceMs = -Infinity;

  constructor(private readonly parts: PrunerParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'pruning of finished jobs',
      intervalMs: INTERVAL_MAX_MS,
      work: () => this.pruneByAge(),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /**
   * Deletes all finished jobs that are over their age now, except those that a transaction locks. For a pruner that was not started.
   */
  async pruneAll(): Promise<PruneResult> {
    await this.declare();
    let removed = 0;
    let known: number;
    do {
      known = this.refused.size;
      removed += await this.pruneOnce();
      // A page that was refused may still lock its rows while the next one reads them.
    } while (this.refused.size > known);
    return { removed, refused: known };
  }

  /** Reads the table from the beginning. Returns the number of deleted jobs. */
  private async pruneOnce(): Promise<number> {
    this.after = null;
    for (let removed = 0; ;) {
      const page = await this.prunePage();
      removed += page?.removed ?? 0;
      if (page?.next === null) {
        return removed;
      }
      this.after = page?.next ?? this.after;
    }
  }

  /** One pass of the loop. */
  private async pruneByAge(): Promise<number> {
    const { retention, registry, random } = this.parts;
    const ages = [retention, ...registry.retentions].flatMap((each) => Object.values(each));
    const shortestMs = Math.min(...ages.filter((age): age is number => age !== false));
    if (shortestMs === Infinity) {
      return INTERVAL_MAX_MS;
    }
    await this.declare();
    const intervalMs = Math.min(Math.max(shortestMs / 4, INTERVAL_MIN_MS), INTERVAL_MAX_MS);
    return (await this.prune(intervalMs)) ?? intervalMs * (0.9 + random() / 5);
  }

  /** No page is pruned before the table has the retention of this process's topics. */
  private async declare(): Promise<void> {
    const { declarer } = this.parts;
    if (declarer.isPending) {
      await declarer.write();
    }
  }

  /** @returns how long to rest; `undefined` after the last page. */
  private async prune(intervalMs: number): Promise<number | undefined> {
    const { clock, random } = this.parts;
    let removed = 0;
    if (this.isRetryDue) {
      this.refused.clear();
    }
    while (this.idleRows < IDLE_ROWS_MAX) {
      const { rows } = this;
      const sinceMs = clock.now();
      const page = await this.prunePage();
      this.idleMs += clock.now() - sinceMs;
      if (page === null) {
        return PAUSE_MS;
      }
      removed += page.removed;
      this.idleRows += page.removed === 0 ? Math.max(rows, PAGE_COST_ROWS) : 0;
      this.after = page.next;
      if (page.next === null || removed >= PAGE_ROWS) {
        this.resetIdle();
        return page.next === null ? undefined : PAUSE_MS;
      }
    }
    const restMs = REST_FACTOR * this.idleMs * (0.9 + random() / 5);
    this.resetIdle();
    return Math.min(Math.max(restMs, INTERVAL_MIN_MS), intervalMs);
  }

  private resetIdle(): void {
    this.idleRows = 0;
    this.idleMs = 0;
  }

  /** Deletes the next page. Returns `null` when the database refused it and the next one is smaller. */
  private async prunePage(): Promise<PrunedPage | null> {
    const { store, retention } = this.parts;
    const { after, rows, refused } = this;
    try {
      const page = await store.prune(retention, { after, rows, except: [...refused] });
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
      const page = await store.prune(null, { after, rows, except: [] });
      this.skip(page.next, error);
      return page;
    }
  }

  private skip(id: string | null, { message }: DatabaseRefusedError): void {
    if (this.isRetryDue) {
      this.refusedSinceMs = this.parts.clock.now();
      this.parts.logger.warn(
        `the database refuses to delete finished jobs, which stay; remove the rows that refer to them: ${message}`,
      );
    }
    if (id !== null && this.refused.size < REFUSED_MAX) {
      this.refused.add(id);
    }
  }

  private get isRetryDue(): boolean {
    return this.parts.clock.now() - this.refusedSinceMs >= REFUSED_MS;
  }
}

const METRICS_INTERVAL_MS = 600_000;

/** Deletes old metrics and the rows of dead workers. */
export class MetricsPruner {
  private readonly loop: PollLoop;

  constructor(parts: Pick<EngineParts, 'store' | 'clock' | 'logger' | 'failureLog' | 'random'>) {
    this.loop = new PollLoop({
      ...parts,
      name: 'pruning of metrics',
      intervalMs: METRICS_INTERVAL_MS,
      // Processes that start together do not prune together.
      initialDelayMs: METRICS_INTERVAL_MS * (1 - parts.random()),
      work: () => parts.store.reports.pruneReports(),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }
}
