import { toErrorMessage } from '../../core/error-text.js';
import { DatabaseRefusedError } from '../../core/errors.js';
import type { PrunedPage, SweptPage } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';
import { SWEEP_INTERVAL_MS, TableSweeper } from './table-sweeper.js';
import type { TablesInUse } from './table-sweepers.js';

type PrunerParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'registry' | 'retention'
> & {
  readonly declarer: Pick<DefinitionDeclarer, 'isPending' | 'write'>;
  /** Which tables may have rows of the jobs that are deleted. Default: none. */
  readonly tablesInUse?: () => TablesInUse;
};

const INTERVAL_MIN_MS = 1_000;

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
  private readonly sweeper: TableSweeper;
  /** Ids of jobs that the database refused to delete. */
  private readonly refused = new Set<string>();
  private refusedSinceMs = -Infinity;

  constructor(private readonly parts: PrunerParts) {
    this.sweeper = new TableSweeper({
      ...parts,
      name: 'pruning of finished jobs',
      prepare: () => this.prepare(),
      sweepPage: (after, rows) => this.prunePage(after, rows),
    });
  }

  start(): void {
    this.sweeper.start();
  }

  stop(): Promise<void> {
    return this.sweeper.stop();
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
      removed += await this.sweeper.sweepAll();
      // A page that was refused may still lock its rows while the next one reads them.
    } while (this.refused.size > known);
    return { removed, refused: known };
  }

  /** Returns the time between two passes: a quarter of the shortest age. */
  private async prepare(): Promise<number | null> {
    const { retention, registry } = this.parts;
    const ages = [retention, ...registry.retentions].flatMap((each) => Object.values(each));
    const shortestMs = Math.min(...ages.filter((age): age is number => age !== false));
    if (shortestMs === Infinity) {
      return null;
    }
    await this.declare();
    if (this.isRetryDue) {
      this.refused.clear();
    }
    return Math.min(Math.max(shortestMs / 4, INTERVAL_MIN_MS), SWEEP_INTERVAL_MS);
  }

  /** No page is pruned before the table has the retention of this process's topics. */
  private async declare(): Promise<void> {
    const { declarer } = this.parts;
    if (declarer.isPending) {
      await declarer.write();
    }
  }

  private async prunePage(after: string | null, rows: number): Promise<SweptPage> {
    const { store, retention } = this.parts;
    let page: PrunedPage;
    try {
      page = await store.prune(retention, { after, rows, except: [...this.refused] });
    } catch (error) {
      if (!(error instanceof DatabaseRefusedError) || rows > 1) {
        throw error;
      }
      const { next } = await store.prune(null, { after, rows, except: [] });
      this.skip(next, error);
      return { removed: 0, next };
    }
    if (page.ids.length > 0) {
      await this.deleteRowsOf(page.ids);
    }
    return page;
  }

  /** Deletes the log lines and links of deleted jobs. */
  private async deleteRowsOf(ids: readonly string[]): Promise<void> {
    const { store, logger, tablesInUse } = this.parts;
    const { hasLinks, hasLogs } = tablesInUse?.() ?? { hasLinks: false, hasLogs: false };
    try {
      if (hasLogs) {
        await store.logs.delete(ids);
      }
      if (hasLinks) {
        await store.links.deleteOf(ids);
      }
    } catch (error) {
      // The jobs are gone. The sweeps of the other tables find these rows, and report an error that stays.
      logger.debug(`rows of pruned jobs were not deleted: ${toErrorMessage(error)}`);
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
