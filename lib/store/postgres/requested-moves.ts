import { RowLockedError } from '../../core/errors.js';
import type { ActionResult, RequeueChanges, Statuses } from '../job-store.js';
import { toActionResult } from '../row-mapper.js';
import { leftAlone } from '../batch-results.js';
import type { SqlQuery, SqlRow } from '../sql-runner.js';
import { SqlError } from '../sql-error.js';
import type { MoveStatement } from './sql/admin.js';
import { REQUEUE } from './sql/admin.js';

/** Each takes as long as the queue waits for a lock. */
const VAIN_WAITS_MAX = 2;

const HELD = 'an open transaction holds the row or its unique key';

/** Re-queues, cancels and deletes by request, which must never wait for a worker's settlement while they hold locks. */
export class RequestedActions {
  constructor(private readonly query: SqlQuery) {}

  requeue(ids: readonly string[], changes: RequeueChanges = {}, from?: Statuses): Promise<ActionResult[]> {
    const { payload = null, runAt, maxRetries = null } = changes;
    return this.move(REQUEUE, ids, from, [payload, runAt?.toISOString() ?? null, maxRetries]);
  }

  /**
   * Moves jobs in one statement where that is possible, and one by one where somebody is in the way. Answers in the order
   * of `ids`; those that stay locked, or that the database refuses to move, are left alone.
   *
   * @param from see `JobStore`.
   * @param others what else the statement takes.
   */
  async move(
    statement: MoveStatement,
    ids: readonly string[],
    from: Statuses = null,
    others: readonly unknown[] = [],
  ): Promise<ActionResult[]> {
    const params = [from, ...others];
    if (ids.length === 1) {
      return [toActionResult((await this.oneByOne(statement, ids, params)).get(ids[0]!)!)];
    }
    const rows = await this.several(statement, ids, params);
    const late = await this.oneByOne(
      statement,
      ids.filter((id) => !rows.has(id)),
      params,
    );
    // Alone a job is answered whole; of several none is, whichever way they went.
    return ids.map((id) => ({ ...toActionResult((rows.get(id) ?? late.get(id))!), job: null }));
  }

  /** What became of those that nobody was in the way of. */
  private async several(
    statement: MoveStatement,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Map<string, SqlRow>> {
    try {
      return await this.free(statement, ids, params);
    } catch (error) {
      if (error instanceof SqlError || error instanceof RowLockedError) {
        // Two of them share a unique key, somebody has one, or a row of the application's refers to one: only that one is to stay.
        return new Map();
      }
      throw error;
    }
  }

  /** Waits for who is in the way, but not for ever: after some waits in vain, for keys only. */
  private async oneByOne(
    statement: MoveStatement,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Map<string, SqlRow>> {
    const rows = new Map<string, SqlRow>();
    let waits = 0;
    for (const id of ids) {
      try {
        const row =
          waits < VAIN_WAITS_MAX
            ? await this.one(statement, id, params)
            : (await this.free(statement, [id], params)).get(id);
        rows.set(id, row ?? leftAlone(id, new RowLockedError(HELD)));
      } catch (error) {
        const obstacle = obstacleIn(error);
        rows.set(id, leftAlone(id, obstacle));
        waits += obstacle instanceof RowLockedError ? 1 : 0;
      }
    }
    return rows;
  }

  /** Waits for nobody's row. */
  private async free(
    statement: MoveStatement,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Map<string, SqlRow>> {
    const rows = await this.query(statement.several, [ids, ...params]);
    return new Map(rows.filter(({ busy }) => !busy).map((row) => [row.id as string, row]));
  }

  private async one(statement: MoveStatement, id: string, params: readonly unknown[]): Promise<SqlRow> {
    const ask = async (): Promise<SqlRow> => (await this.query(statement.one, [[id], ...params]))[0]!;
    try {
      return await ask();
    } catch (error) {
      if (isKeyTaken(error)) {
        // The key was taken after this statement looked: now it sees by whom.
        return ask();
      }
      throw error;
    }
  }
}

function obstacleIn(error: unknown): Error {
  if (isKeyTaken(error)) {
    return new RowLockedError(HELD, { cause: error });
  }
  if (error instanceof RowLockedError || error instanceof SqlError) {
    return error;
  }
  throw error;
}

function isKeyTaken(error: unknown): boolean {
  return error instanceof SqlError && error.kind === 'unique';
}
