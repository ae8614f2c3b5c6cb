import { toUnchangedRow, toActionResults, selectUnchanged } from '../batch-results.js';
import type { ActionResult, RequeueChanges, Statuses } from '../store-records.js';
import { toActionResult } from '../row-mapper.js';
import { SqlError } from '../sql-error.js';
import type { SqlScript } from '../sql-runner.js';
import { singleStatement } from '../sql-runner.js';
import type { ActionStatements } from './sql/admin.js';
import { CANCEL, DELETE, PROMOTE, REQUEUE } from './sql/admin.js';
import { RELEASE_KEYS_OF_JOBS } from './sql/insert.js';
import { toSqliteTime } from './sql/job-row.js';

/** Requeues, promotes, cancels and deletes jobs on request of a user. Results are in the order of `ids`. */
export class AdminWriter {
  constructor(private readonly run: <T>(script: () => SqlScript<T>) => Promise<T>) {}

  requeue(ids: readonly string[], changes?: RequeueChanges, from?: Statuses): Promise<ActionResult[]> {
    return this.apply(REQUEUE, ids, from, toRequeueParams(changes));
  }

  promote(ids: readonly string[], from?: Statuses): Promise<ActionResult[]> {
    return this.apply(PROMOTE, ids, from);
  }

  cancel(ids: readonly string[], from?: Statuses): Promise<ActionResult[]> {
    return this.apply(CANCEL, ids, from);
  }

  delete(ids: readonly string[], from?: Statuses): Promise<ActionResult[]> {
    return this.apply(DELETE, ids, from);
  }

  /** @param changes parameters after the ids and `from`. */
  private apply(
    statements: ActionStatements,
    ids: readonly string[],
    from: Statuses = null,
    changes: readonly unknown[] = [],
  ): Promise<ActionResult[]> {
    return this.applyToAll(statements, ids, [from && JSON.stringify(from), ...changes]);
  }

  /** Runs one script for all jobs. When the database refuses it, splits the set until the refused jobs are alone. */
  private async applyToAll(
    statements: ActionStatements,
    ids: readonly string[],
    params: readonly unknown[],
    canRelease = true,
  ): Promise<ActionResult[]> {
    try {
      return await this.run(() => actionScript(statements, ids, params));
    } catch (error) {
      if (!(error instanceof SqlError)) {
        throw error;
      }
      if (ids.length > 1) {
        return this.applyToHalves(statements, ids, params);
      }
      return error.kind === 'unique' && canRelease
        ? this.applyAfterRelease(statements, ids, params)
        : [toActionResult(toUnchangedRow(ids[0]!, error))];
    }
  }

  /** A finished job may keep a unique key although its `uniqueFor` has ended. */
  private async applyAfterRelease(
    statements: ActionStatements,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<ActionResult[]> {
    await this.run(() => singleStatement(RELEASE_KEYS_OF_JOBS, [JSON.stringify(ids)]));
    return this.applyToAll(statements, ids, params, false);
  }

  private async applyToHalves(
    statements: ActionStatements,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<ActionResult[]> {
    const middle = Math.ceil(ids.length / 2);
    const results = [
      ...(await this.applyToAll(statements, ids.slice(0, middle), params)),
      ...(await this.applyToAll(statements, ids.slice(middle), params)),
    ];
    // Only calls for a single job return the job.
    return results.map((result) => ({ ...result, job: null }));
  }
}

/** The parameters of `REQUEUE` after the ids. */
export function toRequeueParams(changes: RequeueChanges = {}): unknown[] {
  const { payload = null, runAt, maxRetries = null } = changes;
  return [payload, runAt ? toSqliteTime(runAt) : null, maxRetries];
}

/** Changes jobs, then reads the state of the unchanged ones. A single job is returned whole: it may be deleted soon. */
export function* actionScript(
  statements: ActionStatements,
  ids: readonly string[],
  params: readonly unknown[],
): SqlScript<ActionResult[]> {
  const statement = ids.length === 1 ? statements.one : statements.several;
  const rows = yield { sql: statement, params: [JSON.stringify(ids), ...params] };
  const unchanged = selectUnchanged(ids, rows);
  const states =
    unchanged.length === 0
      ? []
      : yield { sql: statements.unchanged, params: [JSON.stringify(unchanged)], isRead: true };
  return toActionResults(ids, rows, states);
}
