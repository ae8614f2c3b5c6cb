import { toSettlementJson, toUncalledJson } from './batch-json.js';
import { selectWithoutRow } from './batch-results.js';
import type { Settlement } from './job-records.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** The statements of a database that take back counted starts. */
interface UncalledStatements {
  readonly SETTLE: string;
  readonly TAKE_BACK_STARTS: string;
}

/** Whether a rate has counted the start of a handler that was not called: the outcome and the count are one transaction. */
export function isUncalled({ counted, isUncalled }: Settlement): boolean {
  return counted !== undefined && isUncalled === true;
}

/** Records outcomes of handlers that were not called, and takes their starts back. Returns the rows that it has written. */
export function* settleUncalledScript(
  sql: UncalledStatements,
  settlements: readonly Settlement[],
): SqlScript<readonly SqlRow[]> {
  const rows = yield { sql: sql.SETTLE, params: [toSettlementJson(settlements)] };
  const tokens = settlements.map(({ token }) => token);
  const unchanged = selectWithoutRow(tokens, rows);
  const written = settlements.filter(({ token }) => !unchanged.includes(token));
  if (written.length > 0) {
    yield { sql: sql.TAKE_BACK_STARTS, params: [toUncalledJson(written)] };
  }
  return rows;
}
