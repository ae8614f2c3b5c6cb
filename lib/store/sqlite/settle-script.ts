import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type { Settled, Settlement } from '../job-store.js';
import { settledInOrder, unanswered } from '../set-answers.js';
import { completionJson, settlementJson, tokenJson } from '../set-json.js';
import type { SqlScript, SqlStatement } from '../sql-runner.js';
import * as sql from './settle-statements.js';

/** So many brief jobs pay for a statement of their own, which is one more commit where steps stand alone. */
const BRIEF_JOBS_MIN = 100;

/** Completes the quick way, settles what that left and all others, and deletes what is not to be kept. */
export function* settleScript(
  settlements: readonly Settlement[],
  unkept: readonly FinalStatus[],
): SqlScript<Settled[]> {
  const answers = new Map<Settlement, Settled>();
  for (const { statement, completions } of completionSteps(settlements.filter(isCompletion))) {
    const left = new Set(unanswered(tokensOf(completions), yield statement));
    const done = completions.filter(({ token }) => !left.has(token));
    done.forEach((completion) => answers.set(completion, completed(completion.token)));
  }
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

interface CompletionStep {
  readonly statement: SqlStatement;
  readonly completions: readonly Completion[];
}

function completionSteps(completions: readonly Completion[]): CompletionStep[] {
  const brief = completions.filter(isBrief);
  if (brief.length < BRIEF_JOBS_MIN) {
    return completions.length === 0 ? [] : [completionStep(completions)];
  }
  const ids = brief.map(({ token }) => token.id);
  const step = { statement: { sql: sql.COMPLETE_BRIEF, params: [JSON.stringify(ids)] }, completions: brief };
  const others = completions.filter((completion) => !isBrief(completion));
  return others.length === 0 ? [step] : [step, completionStep(others)];
}

function completionStep(completions: readonly Completion[]): CompletionStep {
  return { statement: { sql: sql.COMPLETE, params: [completionJson(completions)] }, completions };
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
