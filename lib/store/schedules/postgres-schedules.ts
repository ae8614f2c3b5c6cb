import { ScheduleTable, toFiringsText } from './schedule-table.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import * as statements from './schedule.postgres.js';

interface PostgresScheduleParts {
  readonly read: SqlQuery;
  readonly write: SqlQuery;
  /** Not limited: a tick must not wait for inserts. */
  readonly fire: SqlQuery;
}

/** The table of schedules on PostgreSQL. */
export function createPostgresSchedules({ read, write, fire }: PostgresScheduleParts): ScheduleTable {
  return new ScheduleTable({
    statements,
    read,
    write,
    timeText: (moment) => moment.toISOString(),
    fire: (firings) => fire(statements.FIRE_TICKS, [toFiringsText(firings)]),
  });
}
