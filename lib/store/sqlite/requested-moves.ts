import type { ActionResult, RequeueChanges, Statuses } from '../job-store.js';
import { toActionResult } from '../row-mapper.js';
import { leftAlone } from '../batch-results.js';
import { SqlError } from '../sql-error.js';
import type { SqlScript } from '../sql-runner.js';
import type { MoveStatements } from './sql/admin.js';
import { REQUEUE } from './sql/admin.js';
import { moveScript, sqliteTime } from './scripts.js';

/** Moves jobs by request. */
export class RequestedActions {
  constructor(private readonly write: <T>(script: () => SqlScript<T>) => Promise<T>) {}

  requeue(ids: readonly string[], changes: RequeueChanges = {}, from?: Statuses): Promise<ActionResult[]> {
    const { payload = null, runAt, maxRetries = null } = changes;
    return this.move(REQUEUE, ids, from, [payload, runAt ? sqliteTime(runAt) : null, maxRetries]);
  }

  /**
   * In one script, or where the database refuses one of several, in halves, until those that it refuses stand alone.
   *
   * @param from see `JobStore`.
   * @param others what else the statements take.
   */
  move(
    statements: MoveStatements,
    ids: readonly string[],
    from: Statuses = null,
    others: readonly unknown[] = [],
  ): Promise<ActionResult[]> {
    return this.moveAll(statements, ids, [from && JSON.stringify(from), ...others]);
  }

  private async moveAll(
    statements: MoveStatements,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<ActionResult[]> {
    try {
      return await this.write(() => moveScript(statements, ids, params));
    } catch (error) {
      if (!(error instanceof SqlError)) {
        throw error;
      }
      return ids.length === 1 ? [toActionResult(leftAlone(ids[0]!, error))] : this.moveHalves(statements, ids, params);
    }
  }

  private async moveHalves(
    statements: MoveStatements,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<ActionResult[]> {
    const middle = Math.ceil(ids.length / 2);
    const moved = [
      ...(await this.moveAll(statements, ids.slice(0, middle), params)),
      ...(await this.moveAll(statements, ids.slice(middle), params)),
    ];
    // Alone a job is answered whole; of several none is, whichever way they went.
    return moved.map((each) => ({ ...each, job: null }));
  }
}
