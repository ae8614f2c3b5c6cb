import { LimitTable } from './limit-table.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import * as statements from './limit.postgres.js';

/** Creates the table of limits. Each change is one statement. */
export function createLimitTable(read: SqlQuery, write: SqlQuery): LimitTable {
  return new LimitTable({
    statements,
    read,
    set: (topic, json) => write(statements.SET_LIMITS, [topic, json]),
  });
}
