import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type { Settled, Settlement } from '../job-store.js';
import { settledInOrder, unanswered } from '../set-answers.js';
import { completionJson, settlementJson, tokenJson } from '../set-json.js';
import type { SqlRow, SqlScript, SqlStatement } from '../sql-runner.js';
import * as sql from './settle-statements.js';

/** So many brief jobs pay for a statement of their own, which is one more commit where steps stand alone. */
const BRIEF_JOBS_MIN = 100;

/**
 * Completes the quick way, settles what that left and all others, and deletes what is not to be kept.
 *
 * @param isOneTick whether that is one transaction within one tick.
 */
export function* settleScript(
  settlements: readonly Settlement[],
  unkept: readonly FinalStatus[],
  isOneTick: boolean,
): SqlScript<Settled[]> {
  const done = yield* completeScript(settlements.filter(isCompletion), isOneTick);
  if (done.length === settlements.length && !unkept.includes('completed')) {
    // Most sets: there is nothing to look up, and nothing to delete.
    return settlements.map(({ token }) => completed(token));
  }
  const answers = new Map<Settlement, Settled>(done.map((completion) => [completion, completed(completion.token)]));
  const others = settlements.filter((settlement) => !answers.has(settlement));
  if (others.length > 0) {
    const settled = yield* settleWithCareScript(others);
    others.forEach((settlement, index) => answers.set(settlement, settled[index]!));
  }
  if (unkept.length > 0) {
    yield { sql: sql.DISCARD, params: [tokenJson(tokensOf(settlements)), JSON.stringify(unkept)] };
  }
  return settlements.map((settlement) => answers.get(settlement)!);
}

/** Answers those that it knows to be completed. */
function* completeScript(completions: readonly Completion[], isOneTick: boolean): SqlScript<readonly Completion[]> {
  const brief = completions.filter(isBrief);
  if (brief.length < BRIEF_JOBS_MIN) {
    return completions.length === 0 ? [] : answered(completions, yield completionOf(completions));
  }
  const params = [JSON.stringify(brief.map(({ token }) => token.id))];
  const done = isOneTick
    ? yield* completeCounted(brief, params)
    : answered(brief, yield { sql: sql.COMPLETE_BRIEF, params });
  if (brief.length === completions.length) {
    return done;
  }
  const others = completions.filter((completion) => !isBrief(completion));
  return [...done, ...answered(others, yield completionOf(others))];
}

/** Most often it moves all, and their number is answer enough. Otherwise it is undone, and the rows are asked for. */
function* completeCounted(brief: readonly Completion[], params: readonly unknown[]): SqlScript<readonly Completion[]> {
  yield { sql: sql.MARK_COMPLETIONS, params: [] };
  yield { sql: sql.COMPLETE_BRIEF_UNANSWERED, params };
  const [moved] = yield { sql: sql.MOVED, params: [], isRead: true };
  const isWhole = Number(moved!.count) === brief.length;
  if (!isWhole) {
    yield { sql: sql.UNDO_COMPLETIONS, params: [] };
  }
  yield { sql: sql.KEEP_COMPLETIONS, params: [] };
  return isWhole ? brief : answered(brief, yield { sql: sql.COMPLETE_BRIEF, params });
}

function completionOf(completions: readonly Completion[]): SqlStatement {
  return { sql: sql.COMPLETE, params: [completionJson(completions)] };
}

function answered(completions: readonly Completion[], rows: readonly SqlRow[]): readonly Completion[] {
  const left = new Set(unanswered(tokensOf(completions), rows));
  return left.size === 0 ? completions : completions.filter(({ token }) => !left.has(token));
}

function isBrief({ token, ranMs, outcome }: Completion): boolean {
  return token.attempt === 1 && ranMs !== null && ranMs < sql.BRIEF_MS && outcome.result === null;
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
