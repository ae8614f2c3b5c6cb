import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type { Settled, Settlement } from '../job-store.js';
import { settledInOrder, unanswered } from '../batch-results.js';
import { completionJson, settlementJson, tokenJson } from '../batch-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import * as sql from './sql/complete.js';

/** A cheaper statement for a part of the set pays from this many jobs on: it may be one more commit. */
const OWN_STATEMENT_JOBS_MIN = 100;

/**
 * Completes the quick way, settles what that left and all others, and deletes what is not to be kept.
 *
 * @param mayCount whether a look right after a write comes before anybody else can use the connection: then it may ask how many
 * rows were moved.
 */
export function* settleScript(
  settlements: readonly Settlement[],
  discardStatuses: readonly FinalStatus[],
  mayCount: boolean,
): SqlScript<Settled[]> {
  const done = yield* completeScript(selectCompletions(settlements), discardStatuses, mayCount);
  if (done.length === settlements.length) {
    return settlements.map(({ token }) => completed(token));
  }
  const answers = new Map<Settlement, Settled>(done.map((completion) => [completion, completed(completion.token)]));
  const others = settlements.filter((settlement) => !answers.has(settlement));
  const settled = yield* settleWithCareScript(others);
  others.forEach((settlement, index) => answers.set(settlement, settled[index]!));
  if (discardStatuses.length > 0) {
    yield { sql: sql.DISCARD, params: [tokenJson(tokensOf(others)), JSON.stringify(discardStatuses)] };
  }
  return settlements.map((settlement) => answers.get(settlement)!);
}

function selectCompletions(settlements: readonly Settlement[]): readonly Completion[] {
  const completions = settlements.filter(isCompletion);
  const isAll = completions.length === settlements.length;
  return isAll || completions.length >= OWN_STATEMENT_JOBS_MIN ? completions : [];
}

/** Completes, and deletes what is not to be kept. Answers those of which it knows that. */
function* completeScript(
  completions: readonly Completion[],
  discardStatuses: readonly FinalStatus[],
  mayCount: boolean,
): SqlScript<readonly Completion[]> {
  if (discardStatuses.includes('completed')) {
    return yield* completeAnyScript(completions, sql.COMPLETE_AND_REMOVE, tokenJson(tokensOf(completions)));
  }
  const { brief, others } = splitBrief(completions);
  const done = yield* mayCount
    ? completeCountedScript(brief)
    : completeAnyScript(brief, sql.COMPLETE_BRIEF, idJson(brief));
  return [...done, ...(yield* completeAnyScript(others, sql.COMPLETE, completionJson(others)))];
}

/** One statement for all of them, which answers those that it moves. */
function* completeAnyScript(
  completions: readonly Completion[],
  statement: string,
  json: string,
): SqlScript<readonly Completion[]> {
  return completions.length === 0 ? [] : answered(completions, yield { sql: statement, params: [json] });
}

/** Completes brief jobs. Most often it moves all, and their number is answer enough. */
function* completeCountedScript(brief: readonly Completion[]): SqlScript<readonly Completion[]> {
  if (brief.length === 0) {
    return [];
  }
  const params = [idJson(brief)];
  yield { sql: sql.COMPLETE_BRIEF_UNANSWERED, params };
  const [moved] = yield { sql: sql.MOVED, params: [], isRead: true };
  const count = Number(moved!.count);
  if (count === brief.length) {
    return brief;
  }
  return count === 0 ? [] : answered(brief, yield { sql: sql.COMPLETED_BRIEF, params, isRead: true });
}

/** Those for `COMPLETE_BRIEF`, when they are enough, and the others. */
function splitBrief(completions: readonly Completion[]): Record<'brief' | 'others', readonly Completion[]> {
  const brief = completions.filter(isBrief);
  return brief.length < OWN_STATEMENT_JOBS_MIN
    ? { brief: [], others: completions }
    : { brief, others: completions.filter((completion) => !isBrief(completion)) };
}

function idJson(completions: readonly Completion[]): string {
  return JSON.stringify(completions.map(({ token }) => token.id));
}

/** Those that a row answers. */
function answered(completions: readonly Completion[], rows: readonly SqlRow[]): readonly Completion[] {
  const left = new Set(unanswered(tokensOf(completions), rows));
  return left.size === 0 ? completions : completions.filter(({ token }) => !left.has(token));
}

function isBrief({ token, durationMs, outcome }: Completion): boolean {
  return token.attempt === 1 && durationMs !== null && durationMs < sql.BRIEF_MS && outcome.result === null;
}

/** Settles, and reads how the rows stand that did not move. */
function* settleWithCareScript(settlements: readonly Settlement[]): SqlScript<Settled[]> {
  const tokens = tokensOf(settlements);
  const rows = yield { sql: sql.SETTLE, params: [settlementJson(settlements)] };
  const others = unanswered(tokens, rows);
  const states = others.length === 0 ? [] : yield { sql: sql.SETTLED_STATE, params: [tokenJson(others)], isRead: true };
  return settledInOrder(tokens, rows, states);
}

function tokensOf(settlements: readonly Settlement[]): Settlement['token'][] {
  return settlements.map(({ token }) => token);
}
