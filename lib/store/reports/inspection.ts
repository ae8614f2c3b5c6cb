import type { FinalStatus } from '../../core/job-state.js';
import type { Retention } from '../../core/retention.js';
import { toRetentionAges } from '../jobs/batch-json.js';
import type { MigrationPlan } from '../migrate/migrator.js';
import { planMigration } from '../migrate/migrator.js';
import * as postgres from './inspection.postgres.js';
import * as postgresSchema from '../migrate/schema.postgres.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import * as sqlite from './inspection.sqlite.js';
import * as sqliteSchema from '../migrate/schema.sqlite.js';

/** What an operator needs to know about the database beneath the queue. */
export interface DatabaseState {
  readonly now: Date;
  /** `null`: the database has no autovacuum. */
  readonly autovacuum: { readonly isOn: boolean; readonly tablesWithout: readonly string[] } | null;
  /** Used and wasted space: live and dead rows of `_jobs` on PostgreSQL, used and free pages of the file on SQLite. */
  readonly space: { readonly used: number; readonly wasted: number };
  /** Who keeps the database from removing old rows, longest first. */
  readonly heldSnapshots: readonly HeldSnapshot[];
  /** Ended jobs whose follow-up has been owed for more than a minute, longest first; `LONG_OWED_MAX` at most. */
  readonly longOwed: readonly OwedJob[];
}

interface OwedJob {
  readonly id: string;
  readonly topic: string;
  readonly owedMs: number;
}

/** A follow-up takes milliseconds, and a crash delays it by seconds. That of a hundred thousand children takes longer. */
const LONG_OWED_MS = 60_000;
export const LONG_OWED_MAX = 1_000;

interface HeldSnapshot {
  /** What holds it, for people. */
  readonly holder: string;
  /** `null`: unknown. */
  readonly heldMs: number | null;
}

/** Pages in the -wal file of SQLite that a reader keeps there: 20 MB. Less is usual while the application works. */
const HELD_PAGES_MIN = 5_000;

/**
 * Questions of operators about the application's database. Reads on the application's connection, without the limits that the
 * queue's own connections have, and also when the tables are missing or old.
 */
export class DatabaseInspector {
  /** @param query runs a statement on a connection of the application. */
  constructor(
    private readonly kind: 'postgres' | 'sqlite',
    private readonly query: SqlQuery,
  ) {}

  /** Returns what a start with `migrate: true` would do to the tables. */
  planMigration(): Promise<MigrationPlan> {
    const statements = this.kind === 'postgres' ? postgresSchema : sqliteSchema;
    const read = (sql: string) => this.query(sql, []);
    return planMigration({ databaseType: this.kind, statements, read });
  }

  /** @param heldMs ignores snapshots that are held for a shorter time. SQLite does not know the time, and counts pages. */
  readState(heldMs: number): Promise<DatabaseState> {
    return this.kind === 'postgres' ? this.readPostgresState(heldMs) : this.readSqliteState();
  }

  /** Counts the jobs that are over their age, by status. Reads the whole table. */
  async countPrunable(retention: Retention): Promise<Partial<Record<FinalStatus, number>>> {
    const statement = this.kind === 'postgres' ? postgres.COUNT_PRUNABLE : sqlite.COUNT_PRUNABLE;
    const rows = await this.query(statement, [toRetentionAges(retention).json]);
    return Object.fromEntries(rows.map(({ status, jobs }) => [status as FinalStatus, Number(jobs)]));
  }

  private async readPostgresState(heldMs: number): Promise<DatabaseState> {
    const [state] = await this.query(postgres.DATABASE_STATE, []);
    const held = await this.query(postgres.HELD_SNAPSHOTS, [heldMs]);
    const owed = await this.query(postgres.LONG_OWED, [LONG_OWED_MS, LONG_OWED_MAX]);
    return {
      now: new Date(Number(state!.now)),
      autovacuum: {
        isOn: state!.autovacuum as boolean,
        tablesWithout: JSON.parse(state!.tables_without_autovacuum as string) as string[],
      },
      space: { used: Number(state!.used), wasted: Number(state!.wasted) },
      heldSnapshots: held.map((row) => ({
        holder: row.holder as string,
        heldMs: row.held_ms === null ? null : Number(row.held_ms),
      })),
      longOwed: owed.map(toOwedJob),
    };
  }

  private async readSqliteState(): Promise<DatabaseState> {
    const [state] = await this.query(sqlite.DATABASE_STATE, []);
    const [checkpoint] = await this.query(sqlite.CHECKPOINT, []);
    const owed = await this.query(sqlite.LONG_OWED, [LONG_OWED_MS, LONG_OWED_MAX]);
    const held = Number(checkpoint!.log) - Number(checkpoint!.checkpointed);
    const wasted = Number(state!.wasted);
    return {
      now: new Date(Number(state!.now)),
      autovacuum: null,
      space: { used: Number(state!.pages) - wasted, wasted },
      heldSnapshots:
        held < HELD_PAGES_MIN
          ? []
          : [{ holder: `a transaction that reads, which keeps ${held} pages in the -wal file`, heldMs: null }],
      longOwed: owed.map(toOwedJob),
    };
  }
}

function toOwedJob({ id, topic, owed_ms: owedMs }: SqlRow): OwedJob {
  return { id: id as string, topic: topic as string, owedMs: Number(owedMs) };
}
