import type { ClaimToken } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import { isFinal } from '../../core/job-state.js';
import { toCompletionJson, toProgressBox, toSettlementJson, toTokenJson } from './batch-json.js';
import { toSettledInOrder, toCompleted, toCompletionError, selectOwing, selectWithoutRow } from './batch-results.js';
import { WATCHED } from './job-row.js';
import type { Completion, Settled, Settlement } from './job-records.js';
import type { LinkChanges } from '../links/link-store.js';
import { NO_CHANGES } from '../links/link-table.js';
import { isCompletion } from './job-records.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { IS_HERE } from '../migrate/schema.sqlite.js';
import { assertQueueIsHere } from '../transactions/adapted-transactions.js';
import type { Caller } from './sqlite-insert-script.js';
import * as sql from './settle.sqlite.js';

/** A cheaper statement for a part of the set pays from this many jobs on: it may be one more commit. */
const OWN_STATEMENT_JOBS_MIN = 100;

/** Jobs whose handlers ran for less than this share one start, if they started within the same `BRIEF_SET_MS` milliseconds. */
const BRIEF_MS = 0.5;
const BRIEF_SET_MS = 20;

/**
 * Records the outcomes of attempts. Completions take a cheaper statement first; `SETTLE` records the rest. Then it deletes
 * jobs that ended in one of `discardStatuses`.
 *
 * @param canCountChanges whether `changes()` still belongs to the last statement: see `SqliteConnection.isSynchronous`.
 * @param owed receives the jobs that owe a follow-up, also when a later statement fails.
 */
export function* settleScript(
  settlements: readonly Settlement[],
  discardStatuses: readonly FinalStatus[],
  canCountChanges: boolean,
  owed: string[],
): SqlScript<Settled[]> {
  const done = yield* completeScript(selectCompletions(settlements), discardStatuses, canCountChanges, owed);
  if (done.length === settlements.length) {
    return settlements.map(({ token }) => toCompleted(token));
  }
  const results = new Map<Settlement, Settled>(done.map((completion) => [completion, toCompleted(completion.token)]));
  const others = settlements.filter((settlement) => !results.has(settlement));
  const settled = yield* settleOthersScript(others, owed);
  others.forEach((settlement, index) => results.set(settlement, settled[index]!));
  const ended = toTokens(others.filter((settlement) => isDiscarded(results.get(settlement)!, discardStatuses)));
  if (ended.length > 0) {
    // When it fails, the pruner deletes the jobs later. The outcomes are committed, so the set must not be written again.
    yield { sql: sql.DISCARD, params: [toTokenJson(ended), JSON.stringify(discardStatuses)], isOptional: true };
  }
  return settlements.map((settlement) => results.get(settlement)!);
}

/**
 * Completes a job in a transaction of the application.
 *
 * @throws LeaseLostError, JobStateError; UnknownDataSourceError for a transaction of another database.
 */
export function* completeInTransactionScript(
  { tx, queueId }: Caller,
  token: ClaimToken,
  result: string | null,
  progress?: string,
  startedMs?: number,
): SqlScript<LinkChanges> {
  const { id, attempt } = token;
  const params = [id, attempt, result, toProgressBox(progress), startedMs ?? null, queueId];
  const [completed] = yield { sql: sql.COMPLETE_IN_TX, params };
  if (completed) {
    return completed.watched === WATCHED.always ? { ...NO_CHANGES, owed: [id] } : NO_CHANGES;
  }
  if (queueId !== null) {
    assertQueueIsHere(tx, yield { sql: IS_HERE, params: [queueId] });
  }
  const [owned] = yield { sql: sql.OWNED_STATE, params: [id, attempt] };
  throw toCompletionError(token, owned);
}

function isDiscarded({ status }: Settled, discardStatuses: readonly FinalStatus[]): boolean {
  return status !== null && isFinal(status) && discardStatuses.includes(status);
}

function selectCompletions(settlements: readonly Settlement[]): readonly Completion[] {
  const completions = settlements.filter(isCompletion);
  const isAll = completions.length === settlements.length;
  return isAll || completions.length >= OWN_STATEMENT_JOBS_MIN ? completions : [];
}

/** Completes jobs, or deletes them when completed jobs are discarded. Returns the completions that it has recorded. */
function* completeScript(
  completions: readonly Completion[],
  discardStatuses: readonly FinalStatus[],
  canCountChanges: boolean,
  owed: string[],
): SqlScript<readonly Completion[]> {
  if (discardStatuses.includes('completed')) {
    return yield* completeWithScript(sql.COMPLETE_AND_DELETE, completions, [toTokenJson(toTokens(completions))], owed);
  }
  const { sets, others } = splitBrief(completions);
  const done: Completion[] = [];
  for (const set of sets) {
    done.push(
      ...(yield* canCountChanges
        ? completeCountedScript(set)
        : completeWithScript(
            sql.COMPLETE_BRIEF,
            set.completions,
            [idJson(set.completions), set.startedMs, set.durationMs],
            owed,
          )),
    );
  }
  return [...done, ...(yield* completeWithScript(sql.COMPLETE, others, [toCompletionJson(others)], owed))];
}

/** Runs one statement for all completions. It returns a row for each that it has recorded. */
function* completeWithScript(
  statement: string,
  completions: readonly Completion[],
  params: readonly unknown[],
  owed: string[],
): SqlScript<readonly Completion[]> {
  const rows = completions.length === 0 ? [] : yield { sql: statement, params };
  owed.push(...selectOwing(rows));
  return selectRecorded(completions, rows);
}

/** Completes brief jobs without a row for each. The number of changes shows whether all of them were recorded. */
function* completeCountedScript({
  completions: brief,
  startedMs,
  durationMs,
}: BriefSet): SqlScript<readonly Completion[]> {
  const params = [idJson(brief)];
  yield { sql: sql.COMPLETE_BRIEF_WITHOUT_ROWS, params: [...params, startedMs, durationMs] };
  const [changes] = yield { sql: sql.CHANGES, params: [], isRead: true };
  const count = Number(changes!.count);
  if (count === brief.length) {
    return brief;
  }
  return count === 0 ? [] : selectRecorded(brief, yield { sql: sql.COMPLETED_BRIEF, params, isRead: true });
}

/** Completions for one `COMPLETE_BRIEF`. Their handlers were called within `BRIEF_SET_MS` milliseconds of the first. */
interface BriefSet {
  readonly completions: Completion[];
  readonly firstMs: number;
  /** The last of their starts. */
  startedMs: number;
  /** The longest of their run times. */
  durationMs: number;
}

/**
 * Separates the completions for `COMPLETE_BRIEF`, when there are enough of them. The jobs of a set get the last of their starts: an
 * earlier one might be before the due time of another job.
 */
function splitBrief(completions: readonly Completion[]): {
  readonly sets: readonly BriefSet[];
  readonly others: readonly Completion[];
} {
  const sets: BriefSet[] = [];
  const others: Completion[] = [];
  let set: BriefSet | undefined;
  for (const completion of completions) {
    if (!isBrief(completion)) {
      others.push(completion);
      continue;
    }
    const { startedMs, durationMs } = completion;
    if (!set || Math.abs(startedMs - set.firstMs) >= BRIEF_SET_MS) {
      set = { completions: [], firstMs: startedMs, startedMs, durationMs };
      sets.push(set);
    }
    set.completions.push(completion);
    set.startedMs = Math.max(set.startedMs, startedMs);
    set.durationMs = Math.max(set.durationMs, durationMs);
  }
  const small = sets.filter((each) => !isLarge(each));
  return { sets: sets.filter(isLarge), others: others.concat(...small.map((each) => each.completions)) };
}

function isLarge({ completions }: BriefSet): boolean {
  return completions.length >= OWN_STATEMENT_JOBS_MIN;
}

/** A rate is audited by the exact starts. */
function isBrief(completion: Completion): completion is Completion & { startedMs: number; durationMs: number } {
  const { token, durationMs, startedMs, counted, outcome } = completion;
  const isShort = durationMs !== null && durationMs < BRIEF_MS && startedMs !== undefined;
  return isShort && token.attempt === 1 && outcome.result === null && counted === undefined;
}

/** Records outcomes of all kinds, and reads the rows that `SETTLE` did not change. */
function* settleOthersScript(settlements: readonly Settlement[], owed: string[]): SqlScript<Settled[]> {
  const tokens = toTokens(settlements);
  const rows = yield { sql: sql.SETTLE, params: [toSettlementJson(settlements)] };
  owed.push(...selectOwing(rows));
  const unchanged = selectWithoutRow(tokens, rows);
  const states =
    unchanged.length === 0 ? [] : yield { sql: sql.SETTLED_STATE, params: [toTokenJson(unchanged)], isRead: true };
  return toSettledInOrder(tokens, rows, states);
}

/** The completions that have a row. */
function selectRecorded(completions: readonly Completion[], rows: readonly SqlRow[]): readonly Completion[] {
  const left = new Set(selectWithoutRow(toTokens(completions), rows));
  return left.size === 0 ? completions : completions.filter(({ token }) => !left.has(token));
}

function idJson(completions: readonly Completion[]): string {
  return JSON.stringify(completions.map(({ token }) => token.id));
}

function toTokens(settlements: readonly Settlement[]): ClaimToken[] {
  return settlements.map(({ token }) => token);
}
