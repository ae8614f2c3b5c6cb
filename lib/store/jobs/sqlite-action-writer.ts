import { toUnchangedRow, toActionResults, selectUnchanged } from './batch-results.js';
import type { ActionGuard, ActionRequest, ActionResult, RequeueChanges } from './job-records.js';
import { toActionResult } from './row-mapper.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlScript } from '../runtime/sql-runner.js';
import { singleStatement } from '../runtime/sql-runner.js';
import type { ActionStatements } from './actions.sqlite.js';
import { CANCEL, DELETE, PROMOTE, REQUEUE, REQUEUE_PACED } from './actions.sqlite.js';
import { RELEASE_KEYS_OF_JOBS } from './insert.sqlite.js';
import { toSqliteMoment, toSqliteTime } from './job-row.sqlite.js';

type ToValues = (changed: number) => readonly unknown[];

/** Requeues, promotes, cancels and deletes jobs on request of a user. Results are in the order of `ids`. */
export class AdminWriter {
  constructor(private readonly run: <T>(script: () => SqlScript<T>) => Promise<T>) {}

  requeue(ids: readonly string[], changes: RequeueChanges = {}, request?: ActionRequest): Promise<ActionResult[]> {
    const { pace } = changes;
    return pace
      ? this.apply(REQUEUE_PACED, ids, request, (changed) => [
          ...toRequeueParams(changes, request),
          pace.firstSlot + changed,
          pace.intervalMs,
        ])
      : this.apply(REQUEUE, ids, request, () => toRequeueParams(changes, request));
  }

  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.apply(PROMOTE, ids, request, () => toEntryParams(request));
  }

  cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.apply(CANCEL, ids, request, () => toEntryParams(request));
  }

  delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.apply(DELETE, ids, request);
  }

  /** @param toValues returns the parameters after those of the request, for a statement that runs after this number of jobs has changed. */
  private apply(
    statements: ActionStatements,
    ids: readonly string[],
    request: ActionRequest = {},
    toValues: ToValues = () => [],
  ): Promise<ActionResult[]> {
    return this.applyToAll(statements, ids, (changed) => [...toGuardParams(request), ...toValues(changed)]);
  }

  /** Runs one script for all jobs. When the database refuses it, splits the set until the refused jobs are alone. */
  private async applyToAll(
    statements: ActionStatements,
    ids: readonly string[],
    toParams: ToValues,
    canRelease = true,
  ): Promise<ActionResult[]> {
    try {
      return await this.run(() => actionScript(statements, ids, toParams(0)));
    } catch (error) {
      if (!(error instanceof SqlError)) {
        throw error;
      }
      if (ids.length > 1) {
        return this.applyToHalves(statements, ids, toParams);
      }
      return error.kind === 'unique' && canRelease
        ? this.applyAfterRelease(statements, ids, toParams)
        : [toActionResult(toUnchangedRow(ids[0]!, error))];
    }
  }

  /** A finished job may keep a unique key although its `uniqueFor` has ended. */
  private async applyAfterRelease(
    statements: ActionStatements,
    ids: readonly string[],
    toParams: ToValues,
  ): Promise<ActionResult[]> {
    await this.run(() => singleStatement(RELEASE_KEYS_OF_JOBS, [JSON.stringify(ids)]));
    return this.applyToAll(statements, ids, toParams, false);
  }

  private async applyToHalves(
    statements: ActionStatements,
    ids: readonly string[],
    toParams: ToValues,
  ): Promise<ActionResult[]> {
    const middle = Math.ceil(ids.length / 2);
    const first = await this.applyToAll(statements, ids.slice(0, middle), toParams);
    const changedBefore = first.filter(({ changed }) => changed).length;
    const second = await this.applyToAll(statements, ids.slice(middle), (changed) => toParams(changedBefore + changed));
    // Only calls for a single job return the job.
    return [...first, ...second].map((result) => ({ ...result, job: null }));
  }
}

/** The parameters of all actions after the ids. */
export function toGuardParams({ from = null, asOf = null }: ActionGuard): unknown[] {
  return [from && JSON.stringify(from), toSqliteMoment(asOf)];
}

/** The parameter of statements that record the action. */
export function toEntryParams({ entry = null }: ActionRequest = {}): unknown[] {
  return [entry];
}

/** The parameters of `REQUEUE` after those of the guard. */
export function toRequeueParams(changes: RequeueChanges = {}, request?: ActionRequest): unknown[] {
  const { payload = null, runAt, maxRetries = null } = changes;
  return [payload, runAt ? toSqliteTime(runAt) : null, maxRetries, ...toEntryParams(request)];
}

/** Changes jobs, then reads the state of the unchanged ones. A single job is returned whole: it may be deleted soon. */
export function* actionScript(
  statements: ActionStatements,
  ids: readonly string[],
  params: readonly unknown[],
): SqlScript<ActionResult[]> {
  const statement = ids.length === 1 ? statements.one : statements.several;
  const given = [JSON.stringify(ids), ...params];
  const first = statements.before === undefined ? [] : yield { sql: statements.before, params: given };
  const rows = [...first, ...(first.length === ids.length ? [] : yield { sql: statement, params: given })];
  const unchanged = selectUnchanged(ids, rows);
  const states =
    unchanged.length === 0
      ? []
      : yield { sql: statements.unchanged, params: [JSON.stringify(unchanged), params[1]], isRead: true };
  return toActionResults(ids, rows, states);
}
