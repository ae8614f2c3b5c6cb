import { JobStateError, LeaseLostError, QueueUnavailableError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import { toActionResult, toInsertedJob, toSettled } from './row-mapper.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import type { ActionResult, ClaimState, InsertedJob, JobInsert, Settled } from './job-records.js';

/*
 * Statements return only the rows that they changed, in any order. These functions match the rows with the set that was sent.
 * A set may hold two attempts of one job, so a claim is identified by id and attempt.
 */

/** Returns the claims without a row. */
export function selectWithoutRow<T extends ClaimToken>(tokens: readonly T[], rows: readonly SqlRow[]): T[] {
  if (rows.length === tokens.length) {
    return [];
  }
  const found = new Set(rows.map(toKey));
  return tokens.filter((token) => !found.has(toKey(token)));
}

/**
 * Returns one result for each claim, in their order.
 *
 * @param states the current rows of the jobs that were not changed.
 */
export function toSettledInOrder(
  tokens: readonly ClaimToken[],
  changed: readonly SqlRow[],
  states: readonly SqlRow[],
): Settled[] {
  const applied = new Map(changed.map((row) => [toKey(row), toSettled(row)]));
  const current = new Map(states.map((row) => [row.id, toSettled(row)]));
  const gone: Settled = { applied: false, status: null, attempt: 0, retries: null, runAt: null };
  return tokens.map((token) => applied.get(toKey(token)) ?? current.get(token.id) ?? gone);
}

/** Returns the ids of the rows that owe a follow-up. */
export function selectOwing(rows: readonly SqlRow[]): string[] {
  return rows.filter(({ owes }) => owes).map(({ id }) => id as string);
}

/** The result of a completion that has changed its row. */
export function toCompleted({ attempt }: ClaimToken): Settled {
  return { applied: true, status: 'completed', attempt, retries: null, runAt: null };
}

/**
 * Returns why a transaction of the application did not complete a job.
 *
 * @param owned the row, if the attempt still owns it: then a cancel was requested.
 */
export function toCompletionError({ id, attempt }: ClaimToken, owned: SqlRow | undefined): Error {
  return owned ? new JobStateError(id, 'cannot be completed, a cancel was requested') : new LeaseLostError(id, attempt);
}

/**
 * Returns one state for each claim, in their order.
 *
 * @param owned the claims that are still owned although their rows were not written.
 */
export function toClaimStates(
  tokens: readonly ClaimToken[],
  written: readonly SqlRow[],
  owned: readonly SqlRow[],
): ClaimState[] {
  const toStates = (state: ClaimState['state'], rows: readonly SqlRow[]): [string, ClaimState][] =>
    rows.map((row) => [toKey(row), { state, cancelRequested: Boolean(row.cancel_requested), ...toRowRef(row) }]);
  const states = new Map([...toStates('locked', owned), ...toStates('held', written)]);
  return tokens.map((token) => states.get(toKey(token)) ?? { state: 'lost', cancelRequested: false });
}

function toRowRef({ row_ref: rowRef }: SqlRow): Pick<ClaimState, 'rowRef'> {
  return rowRef === undefined ? {} : { rowRef: rowRef as string };
}

/** Returns the ids without a row. */
export function selectUnchanged(ids: readonly string[], rows: readonly SqlRow[]): string[] {
  const changed = new Set(rows.map((row) => row.id));
  return ids.filter((id) => !changed.has(id));
}

/**
 * Returns one result for each id, in their order.
 *
 * @param states the current rows of the jobs that were not changed.
 */
export function toActionResults(
  ids: readonly string[],
  changed: readonly SqlRow[],
  states: readonly SqlRow[],
): ActionResult[] {
  const rows = new Map([...states, ...changed].map((row) => [row.id, row]));
  const changedRows = new Set(changed);
  return ids.map((id) => {
    const row = rows.get(id) ?? { status: null, topic: null, attempt: 0 };
    return toActionResult({ ...row, id, changed: changedRows.has(row) });
  });
}

/** Returns the row of a job that was not changed, for this reason. */
export function toUnchangedRow(id: string, reason: Error): SqlRow {
  return { id, changed: false, status: null, topic: null, attempt: 0, reason };
}

/**
 * How often an insert is tried when the holder of its key ends before it is read. With six callers and handlers of a millisecond
 * on the same three keys, one call in two thousand failed after three passes.
 */
export const INSERT_PASSES_MAX = 6;

/** Records inserted rows and holders of keys. Returns the jobs that have neither. */
export function recordInserted(
  inserted: Map<string, InsertedJob>,
  jobs: readonly JobInsert[],
  rows: readonly SqlRow[],
): JobInsert[] {
  rows.forEach((row) => inserted.set(row.asked_id as string, toInsertedJob(row)));
  return jobs.filter(({ id }) => !inserted.has(id));
}

/** Returns why a job is not in the table after the last pass. */
export function toNeverStoredError({ topic, uniqueKey, idempotency }: JobInsert): Error {
  const key = uniqueKey ?? idempotency?.key;
  return key === undefined
    ? new SqlError(
        'refused',
        `the database did not store a job of topic '${topic}', and returned no error; is there a trigger or a rule on _jobs?`,
        {},
      )
    : new QueueUnavailableError(`key '${key}' changed its holder ${INSERT_PASSES_MAX} times in a row; try again`);
}

function toKey({ id, attempt }: ClaimToken | SqlRow): string {
  return `${id as string} ${attempt as number}`;
}
