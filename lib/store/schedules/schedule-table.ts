import { readStoredDefinition } from '../../core/schedule.js';
import { toInsertJson } from '../jobs/batch-json.js';
import type { ScheduleStore } from '../job-store.js';
import { toInsertedJob } from '../jobs/row-mapper.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import type {
  FiredSchedule,
  ListedSchedules,
  ScheduleChange,
  ScheduleFiring,
  StoredSchedule,
} from './schedule-records.js';

/** The statements of a database. */
interface ScheduleStatements {
  readonly LIST_SCHEDULES: string;
  readonly ADD_SCHEDULE: string;
  readonly CHANGE_SCHEDULE: string;
  readonly REMOVE_SCHEDULE: string;
  readonly PAUSE_SCHEDULE: string;
  readonly RESUME_SCHEDULE: string;
}

interface ScheduleTableOptions {
  readonly statements: ScheduleStatements;
  readonly read: SqlQuery;
  readonly write: SqlQuery;
  /** Writes a time as the database stores it. */
  readonly timeText: (moment: Date) => string;
  /**
   * Moves the cursors and inserts the jobs, in one transaction. Returns a row with `name` for each moved schedule, and one with `id`
   * for each inserted job.
   */
  readonly fire: (firings: readonly FiringJson[]) => Promise<readonly SqlRow[]>;
}

/** A firing as the statements expect it. */
export interface FiringJson {
  readonly name: string;
  /** JSON, without the jobs. */
  readonly cursor: object;
  /** JSON text of the jobs, as for an insert. */
  readonly jobs: string;
}

/** Returns firings with their jobs as one JSON array. */
export function toFiringsText(firings: readonly FiringJson[]): string {
  return `[${firings.map(({ cursor, jobs }) => `${JSON.stringify(cursor).slice(0, -1)},"jobs":${jobs}}`).join(',')}]`;
}

/** Reads and writes the table of schedules. */
export class ScheduleTable implements ScheduleStore {
  constructor(private readonly options: ScheduleTableOptions) {}

  async list(name: string | null = null): Promise<ListedSchedules> {
    const [first, ...rows] = await this.options.read(this.options.statements.LIST_SCHEDULES, [name]);
    return { now: new Date(Number(first!.next_tick)), schedules: rows.map(toSchedule) };
  }

  async put({ name, definition, source, revision, cursor, nextTick }: ScheduleChange): Promise<boolean> {
    const { statements } = this.options;
    const params = [name, JSON.stringify(definition), source, this.toTime(nextTick ?? null)];
    return revision === null
      ? this.changes(statements.ADD_SCHEDULE, params)
      : this.changes(statements.CHANGE_SCHEDULE, [
          ...params,
          revision,
          nextTick === undefined ? 0 : 1,
          this.toTime(cursor ?? null),
        ]);
  }

  remove(name: string, revision: number): Promise<boolean> {
    return this.changes(this.options.statements.REMOVE_SCHEDULE, [name, revision]);
  }

  pause(name: string): Promise<boolean> {
    return this.changes(this.options.statements.PAUSE_SCHEDULE, [name]);
  }

  resume(name: string, revision: number, nextTick: Date | null): Promise<boolean> {
    return this.changes(this.options.statements.RESUME_SCHEDULE, [name, revision, this.toTime(nextTick)]);
  }

  async fire(firings: readonly ScheduleFiring[]): Promise<FiredSchedule[]> {
    const rows = await this.options.fire(firings.map((firing) => this.toFiringJson(firing)));
    const inserted = new Map(rows.filter(({ id }) => id !== null).map((row) => [row.id as string, toInsertedJob(row)]));
    const moved = new Set(rows.map(({ name }) => name));
    return firings
      .filter(({ name }) => moved.has(name))
      .map(({ name, jobs }) => ({ name, inserted: jobs.flatMap(({ id }) => inserted.get(id) ?? []) }));
  }

  private toFiringJson({ name, revision, cursor, next, tick, jobs }: ScheduleFiring): FiringJson {
    return {
      name,
      cursor: {
        name,
        revision,
        expected: this.options.timeText(cursor),
        next: this.toTime(next),
        tick: this.toTime(tick),
        last_id: jobs.at(-1)?.id ?? null,
      },
      jobs: toInsertJson(jobs, this.options.timeText),
    };
  }

  private async changes(statement: string, params: readonly unknown[]): Promise<boolean> {
    return (await this.options.write(statement, params)).length > 0;
  }

  private toTime(moment: Date | null): string | null {
    return moment && this.options.timeText(moment);
  }
}

function toSchedule(row: SqlRow): StoredSchedule {
  return {
    ...readStoredDefinition(row.definition as string),
    name: row.name as string,
    source: row.source as 'code' | 'api',
    revision: Number(row.revision),
    nextTick: timeOrNull(row.next_tick),
    lastTick: timeOrNull(row.last_tick),
    lastJobId: row.last_job_id as string | null,
    pausedSince: timeOrNull(row.paused_since),
    isDeclared: row.source === 'api' || Number(row.live) > 0,
    liveDefinitions: Number(row.live),
    created: new Date(Number(row.created)),
    updated: new Date(Number(row.updated)),
  };
}

function timeOrNull(value: unknown): Date | null {
  return value === null ? null : new Date(Number(value));
}
