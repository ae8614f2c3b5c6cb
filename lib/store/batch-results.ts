import { QueueUnavailableError } from '../core/errors.js';
import type { ClaimToken } from '../core/job.js';
import type { ClaimState, InsertedJob, JobInsert, ActionResult, Settled } from './job-store.js';
import { insertedOf, toActionResult, settledOf } from './row-mapper.js';
import { SqlError } from './sql-error.js';
import type { SqlRow } from './sql-runner.js';

/*
 * Statements answer only the rows they moved, in any order. Here answers are put beside what was asked. Two attempts of
 * one job may stand in one set, so a claim is known by id and attempt.
 */

/** Which members of a set no row answers. */
export function unanswered<T extends ClaimToken>(tokens: readonly T[], rows: readonly SqlRow[]): T[] {
  if (rows.length === tokens.length) {
    // A row answers once, so every member has its own.
    return [];
  }
  const answered = new Set(rows.map(keyOf));
  return tokens.filter((token) => !answered.has(keyOf(token)));
}

/** For each entry, whether a row answers it. */
export function answeredInOrder(
  entries: readonly { readonly token: ClaimToken }[],
  rows: readonly SqlRow[],
): boolean[] {
  const answered = new Set(rows.map(keyOf));
  return entries.map(({ token }) => answered.has(keyOf(token)));
}

/** @param states the rows as they stand, for outcomes that moved nothing. */
export function settledInOrder(
  tokens: readonly ClaimToken[],
  moved: readonly SqlRow[],
  states: readonly SqlRow[],
): Settled[] {
  const applied = new Map(moved.map((row) => [keyOf(row), settledOf(row)]));
  const standing = new Map(states.map((row) => [row.id, settledOf(row)]));
  const gone: Settled = { applied: false, status: null, attempt: 0, retries: null, runAt: null };
  return tokens.map((token) => applied.get(keyOf(token)) ?? standing.get(token.id) ?? gone);
}

/** @param owned the claims that are still owned though their rows were not written. */
export function claimStatesInOrder(
  tokens: readonly ClaimToken[],
  written: readonly SqlRow[],
  owned: readonly SqlRow[],
): ClaimState[] {
  const answer = (state: ClaimState['state'], rows: readonly SqlRow[]): [string, ClaimState][] =>
    rows.map((row) => [keyOf(row), { state, cancelRequested: Boolean(row.cancel_requested), ...toRowRef(row) }]);
  const answers = new Map([...answer('busy', owned), ...answer('held', written)]);
  return tokens.map((token) => answers.get(keyOf(token)) ?? { state: 'lost', cancelRequested: false });
}

function toRowRef({ row_ref: rowRef }: SqlRow): Pick<ClaimState, 'rowRef'> {
  return rowRef === undefined ? {} : { rowRef: rowRef as string };
}

/** Which of these jobs no row answers. */
export function unmovedOf(ids: readonly string[], rows: readonly SqlRow[]): string[] {
  const moved = new Set(rows.map((row) => row.id));
  return ids.filter((id) => !moved.has(id));
}

/** @param states the rows as they stand, for jobs that did not move. */
export function movedInOrder(
  ids: readonly string[],
  moved: readonly SqlRow[],
  states: readonly SqlRow[],
): ActionResult[] {
  const answers = new Map([...states, ...moved].map((row) => [row.id, row]));
  const moves = new Set(moved);
  return ids.map((id) => {
    const row = answers.get(id) ?? { status: null, topic: null, attempt: 0 };
    return toActionResult({ ...row, id, moved: moves.has(row) });
  });
}

/**
 * A key whose holder ended between the insert and the look for it is asked for this often. With six callers and handlers of a
 * millisecond on the same three keys, one call in two thousand was refused after three rounds.
 */
export const INSERT_ROUNDS_MAX = 6;

/** Why a job is neither in the table after so many rounds, nor known by a key. */
export function neverStored({ topic, uniqueKey, idempotency }: JobInsert): Error {
  const key = uniqueKey ?? idempotency?.key;
  return key === undefined
    ? new SqlError(
        'refused',
        `the database stores no job of topic '${topic}', and says no error: a trigger or a rule?`,
        {},
      )
    : new QueueUnavailableError(`key '${key}' kept changing hands; try again`);
}

/** The row of a job that was not moved, and of which there is nothing else to say. */
export function leftAlone(id: string, reason: Error): SqlRow {
  return { id, moved: false, status: null, topic: null, attempt: 0, reason };
}

/** Takes note of inserted rows and of holders; answers the jobs that neither stands for. */
export function noteInserted(
  inserted: Map<string, InsertedJob>,
  jobs: readonly JobInsert[],
  rows: readonly SqlRow[],
): JobInsert[] {
  rows.forEach((row) => inserted.set(row.asked_id as string, insertedOf(row)));
  return jobs.filter(({ id }) => !inserted.has(id));
}

function keyOf({ id, attempt }: ClaimToken | SqlRow): string {
  return `${id as string} ${attempt as number}`;
}
