import { LimitTable } from '../limit-table.js';
import type { SqlQuery } from '../sql-runner.js';
import * as statements from './sql/limit.js';

/** Creates the table of limits. Each change is one statement. */
export function createLimitTable(read: SqlQuery, write: SqlQuery): LimitTable {
  return new LimitTable({
    statements,
    read,
    declare: async (json) => {
      const [found] = await read(statements.HAS_NEW_LIMITS, [json]);
      return found!.has_new ? write(statements.DECLARE_LIMITS, [json]) : [];
    },
    set: (topic, json) => write(statements.SET_LIMITS, [topic, json]),
  });
}
