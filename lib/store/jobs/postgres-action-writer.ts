import { RowLockedError } from '../../core/errors.js';
import { toUnchangedRow } from './batch-results.js';
import type { ActionGuard, ActionRequest, ActionResult, RequeueChanges } from './job-records.js';
import { toActionResult } from './row-mapper.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import type { ActionStatement } from './actions.postgres.js';
import { CANCEL, DELETE, PROMOTE, REQUEUE, REQUEUE_PACED } from './actions.postgres.js';
import { RELEASE_KEYS_OF_JOBS } from './unique.postgres.js';

/** How many lock timeouts one call takes before it stops waiting for locked rows. */
const LOCK_TIMEOUTS_MAX = 2;

const LOCKED = 'an open transaction holds the row or its unique key';

type Rows = Map<string, SqlRow>;

/** Runs the actions that users request: requeue, promote, cancel, delete. It never waits for a worker while it holds locks. */
export class AdminWriter {
  constructor(private readonly query: SqlQuery) {}

  requeue(ids: readonly string[], changes: RequeueChanges = {}, request?: ActionRequest): Promise<ActionResult[]> {
    const { pace } = changes;
    return pace
      ? this.run(REQUEUE_PACED, ids, request, (changed) => [
          ...toRequeueParams(changes, request),
          pace.firstSlot + changed,
          pace.intervalMs,
        ])
      : this.run(REQUEUE, ids, request, () => toRequeueParams(changes, request));
  }

  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.run(PROMOTE, ids, request, () => toEntryParams(request));
  }

  cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.run(CANCEL, ids, request, () => toEntryParams(request));
  }

  delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.run(DELETE, ids, request);
  }

  /**
   * Runs an action in one statement, and again one by one for jobs that were locked or failed. Returns the results in the order of
   * `ids`. Jobs that stay locked, or that the database rejects, are left unchanged.
   *
   * @param toValues returns further parameters of a statement that runs after this number of jobs has changed.
   */
  private async run(
    statement: ActionStatement,
    ids: readonly string[],
    request: ActionRequest = {},
    toValues: (changed: number) => readonly unknown[] = () => [],
  ): Promise<ActionResult[]> {
    const params = (changed: number): unknown[] => [...toGuardParams(request), ...toValues(changed)];
    if (ids.length === 1) {
      return [toActionResult((await this.runOneByOne(statement, ids, params)).get(ids[0]!)!)];
    }
    const rows = await this.runTogether(statement, ids, params(0));
    const missing = ids.filter((id) => !rows.has(id));
    const late = await this.runOneByOne(statement, missing, params, countChanged(rows));
    // Only a call for one job returns the whole job.
    return ids.map((id) => ({ ...toActionResult((rows.get(id) ?? late.get(id))!), job: null }));
  }

  /** Returns no row at all when one job fails, because of its unique key or a foreign key of the application. */
  private async runTogether(
    statement: ActionStatement,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Rows> {
    try {
      return await this.runUnlocked(statement, ids, params);
    } catch (error) {
      if (error instanceof SqlError || error instanceof RowLockedError) {
        return new Map();
      }
      throw error;
    }
  }

  /** Waits for each locked row, but skips locked rows after {@link LOCK_TIMEOUTS_MAX}. */
  private async runOneByOne(
    statement: ActionStatement,
    ids: readonly string[],
    toParams: (changed: number) => readonly unknown[],
    changedBefore = 0,
  ): Promise<Rows> {
    const rows: Rows = new Map();
    let timeouts = 0;
    for (const id of ids) {
      const params = toParams(changedBefore + countChanged(rows));
      try {
        const row =
          timeouts < LOCK_TIMEOUTS_MAX
            ? await this.runOne(statement, id, params)
            : (await this.runUnlocked(statement, [id], params)).get(id);
        rows.set(id, row ?? toUnchangedRow(id, new RowLockedError(LOCKED)));
      } catch (error) {
        const reason = toReason(error);
        rows.set(id, toUnchangedRow(id, reason));
        timeouts += reason instanceof RowLockedError ? 1 : 0;
      }
    }
    return rows;
  }

  private async runUnlocked(
    statement: ActionStatement,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Rows> {
    const rows = await this.query(statement.several, [ids, ...params]);
    return new Map(rows.filter(({ busy }) => !busy).map((row) => [row.id as string, row]));
  }

  private async runOne(statement: ActionStatement, id: string, params: readonly unknown[]): Promise<SqlRow> {
    const run = async (): Promise<SqlRow> => (await this.query(statement.one, [[id], ...params]))[0]!;
    try {
      return await run();
    } catch (error) {
      if (isKeyTaken(error)) {
        // Another job took the key after this statement had read it: the second run finds the holder. Or a finished job keeps the key
        // although its `uniqueFor` has ended.
        await this.query(RELEASE_KEYS_OF_JOBS, [[id]]);
        return run();
      }
      throw error;
    }
  }
}

/** Runs an action in a transaction. Results are in the order of `ids`. */
export function* actionScript(
  statement: ActionStatement,
  ids: readonly string[],
  params: readonly unknown[],
): SqlScript<ActionResult[]> {
  const rows = yield { sql: ids.length === 1 ? statement.one : statement.several, params: [ids, ...params] };
  return rows.map((row) =>
    toActionResult(row.busy ? toUnchangedRow(row.id as string, new RowLockedError(LOCKED)) : row),
  );
}

function countChanged(rows: Rows): number {
  return [...rows.values()].filter(({ changed }) => changed).length;
}

/** The parameters of all actions after the ids. */
export function toGuardParams({ from = null, asOf = null }: ActionGuard): unknown[] {
  return [from, asOf];
}

/** The parameter of statements that record the action. */
export function toEntryParams({ entry = null }: ActionRequest = {}): unknown[] {
  return [entry];
}

/** The parameters of `REQUEUE` after those of the guard. */
export function toRequeueParams(changes: RequeueChanges = {}, request?: ActionRequest): unknown[] {
  const { payload = null, runAt, maxRetries = null } = changes;
  return [payload, runAt?.toISOString() ?? null, maxRetries, ...toEntryParams(request)];
}

/** Returns why one job was not changed. @throws the error when it concerns other jobs too. */
function toReason(error: unknown): Error {
  if (isKeyTaken(error)) {
    return new RowLockedError(LOCKED, { cause: error });
  }
  if (error instanceof RowLockedError || error instanceof SqlError) {
    return error;
  }
  throw error;
}

function isKeyTaken(error: unknown): boolean {
  return error instanceof SqlError && error.kind === 'unique';
}
