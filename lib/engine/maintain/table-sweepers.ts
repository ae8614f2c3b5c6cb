import type { PresenceReply } from '../../store/reports/report-records.js';
import type { SweptPage } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { SWEEP_INTERVAL_MS, TableSweeper } from './table-sweeper.js';

type TableSweepersParts = Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random'>;

/** What the queue uses besides jobs. */
export type TablesInUse = Pick<PresenceReply, 'hasLinks' | 'hasLogs'>;

const REPORTS_INTERVAL_MS = 600_000;

/**
 * Sweeps the tables beside `_jobs`. Without links, groups or log lines, no statement runs for them.
 *
 * - Links: releases or cancels children whose parent a statement of the application has deleted, and deletes the links of children that
 *   it has deleted. Parents that it has ended owe a follow-up, which the rescuer finds.
 * - Groups without jobs, log lines of jobs that are gone, old metrics, and rows of dead processes: deletes them.
 */
export class TableSweepers {
  private readonly sweepers: readonly TableSweeper[];
  private tables: TablesInUse = { hasLinks: false, hasLogs: false };

  constructor(parts: TableSweepersParts) {
    const { links, groups, logs, reports } = parts.store;
    const create = (name: string, isInUse: () => boolean, sweepPage: TableSweeperPage): TableSweeper =>
      new TableSweeper({
        ...parts,
        name,
        initialDelayMs: SWEEP_INTERVAL_MS,
        prepare: () => (isInUse() ? SWEEP_INTERVAL_MS : null),
        sweepPage,
      });
    const hasLinks = (): boolean => this.tables.hasLinks;
    this.sweepers = [
      create('repair of dependencies', hasLinks, (after, rows) => links.repair(after, rows)),
      create('pruning of groups', hasLinks, (after, rows) => groups.prune(after, rows)),
      create(
        'pruning of log lines',
        () => this.tables.hasLogs,
        (after, rows) => logs.prune(after, rows),
      ),
      new TableSweeper({
        ...parts,
        name: 'pruning of metrics',
        // Processes that start together do not prune together.
        initialDelayMs: REPORTS_INTERVAL_MS * (1 - parts.random()),
        prepare: () => REPORTS_INTERVAL_MS,
        sweepPage: (_after, rows) => reports.pruneReports(rows),
      }),
    ];
  }

  start(): void {
    this.sweepers.forEach((sweeper) => sweeper.start());
  }

  async stop(): Promise<void> {
    await Promise.all(this.sweepers.map((sweeper) => sweeper.stop()));
  }

  get inUse(): TablesInUse {
    return this.tables;
  }

  /** Receives which tables have rows. */
  onPresence(tables: TablesInUse): void {
    this.tables = tables;
  }
}

type TableSweeperPage = (after: string | null, rows: number) => Promise<SweptPage>;
