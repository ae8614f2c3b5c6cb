import { LimitTable } from './limit-table.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import * as statements from './limit.sqlite.js';

/** @param transact runs the statements of a script in one transaction. */
export function createLimitTable(read: SqlQuery, transact: <T>(script: () => SqlScript<T>) => Promise<T>): LimitTable {
  return new LimitTable({
    statements,
    read,
    declare: async (json) => {
      const [found] = await read(statements.HAS_NEW_LIMITS, [json]);
      const topics = (JSON.parse(json) as { topic: string }[]).map(({ topic }) => topic);
      return found!.has_new ? transact(() => storeLimits(topics, statements.DECLARE_LIMITS, [json])) : [];
    },
    set: (topic, json) => transact(() => storeLimits([topic], statements.SET_LIMITS, [topic, json])),
  });
}

/** Writes limits, and forgets the starts of topics whose rate has another window now. Returns the topics that were written. */
function* storeLimits(
  topics: readonly string[],
  sql: string,
  params: readonly unknown[],
): SqlScript<readonly SqlRow[]> {
  const before = yield { sql: statements.RATE_WINDOWS, params: [JSON.stringify(topics)] };
  const windows = new Map(before.map(({ topic, rate_ms }) => [topic, rate_ms]));
  const stored = yield { sql, params };
  const changed = stored.filter(({ topic, rate_ms }) => (windows.get(topic) ?? null) !== rate_ms);
  if (changed.length > 0) {
    yield { sql: statements.CLEAR_STARTS, params: [JSON.stringify(changed.map(({ topic }) => topic))] };
  }
  return stored;
}
