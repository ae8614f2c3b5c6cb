import { RowLockedError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import { isFinal } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type { Settled, Settlement } from '../job-store.js';
import { settledInOrder, unanswered } from '../batch-results.js';
import { byId, settlementJson, tokenJson } from '../batch-json.js';
import type { SqlQuery, SqlRow } from '../sql-runner.js';
import { arrayText, claimArrays } from './array-text.js';
import * as settling from './sql/complete.js';

/** Writes how attempts end: the completed ones the quick way, and all others, and whatever the quick way left, with care. */
export class OutcomeWriter {
  constructor(private readonly query: SqlQuery) {}

  /** Answers in the order of `settlements`; jobs that end in one of the `discardStatuses` statuses are deleted. */
  async settle(settlements: readonly Settlement[], discardStatuses: readonly FinalStatus[]): Promise<Settled[]> {
    const isRemoving = discardStatuses.includes('completed');
    const completions = settlements.filter(isCompletion);
    const done = await this.complete(completions, isRemoving);
    if (done.length === settlements.length) {
      // Most sets: there is nothing to look up, and what is not to be kept is deleted already.
      return settlements.map(({ token }) => completed(token));
    }
    const answers = new Map<Settlement, Settled>(done.map((completion) => [completion, completed(completion.token)]));
    const others = settlements.filter((settlement) => !answers.has(settlement));
    if (others.length > 0) {
      const settled = await this.settleWithCare(others);
      others.forEach((settlement, index) => answers.set(settlement, settled[index]!));
    }
    await this.discardUnkept(isRemoving ? others : settlements, answers, discardStatuses);
    return settlements.map((settlement) => answers.get(settlement)!);
  }

  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.query(settling.DISCARD, [tokenJson(tokens), statuses]);
  }

  /** Answers those that it could complete. */
  private async complete(completions: Completion[], isRemoving: boolean): Promise<readonly Completion[]> {
    if (completions.length === 0) {
      return [];
    }
    completions.sort((a, b) => byId(a.token, b.token));
    try {
      const [answer] = await this.query(...completionQuery(completions, isRemoving));
      return movedOf(completions, answer);
    } catch (error) {
      if (error instanceof RowLockedError) {
        return [];
      }
      throw error;
    }
  }

  private async settleWithCare(settlements: readonly Settlement[]): Promise<Settled[]> {
    const tokens = settlements.map(({ token }) => token);
    const rows = await this.query(settling.SETTLE, [settlementJson(settlements)]);
    const others = unanswered(tokens, rows);
    const states = others.length === 0 ? [] : await this.query(settling.SETTLED_STATE, [tokenJson(others)]);
    return settledInOrder(tokens, rows, states);
  }

  /** Deletes what is not to be kept; left to the pruner when that fails. */
  private async discardUnkept(
    settlements: readonly Settlement[],
    answers: ReadonlyMap<Settlement, Settled>,
    discardStatuses: readonly FinalStatus[],
  ): Promise<void> {
    const isUnkept = ({ status }: Settled): boolean =>
      status !== null && isFinal(status) && discardStatuses.includes(status);
    const ended =
      discardStatuses.length === 0 ? [] : settlements.filter((settlement) => isUnkept(answers.get(settlement)!));
    if (ended.length > 0) {
      const tokens = ended.map(({ token }) => token);
      await this.discard(tokens, discardStatuses).catch(() => undefined);
    }
  }
}

function completionQuery(completions: readonly Completion[], isRemoving: boolean): Parameters<SqlQuery> {
  return completions.length === 1
    ? [isRemoving ? settling.COMPLETE_AND_REMOVE_ONE : settling.COMPLETE_ONE, valuesOf(completions[0]!)]
    : [isRemoving ? settling.COMPLETE_AND_REMOVE : settling.COMPLETE, arraysOf(completions)];
}

/** The parameters of the statements for one job. */
function valuesOf({ token: { id, attempt, rowRef: place }, durationMs, outcome }: Completion): unknown[] {
  return [id, attempt, durationMs, outcome.result, place];
}

/** The parameters of those for several. */
function arraysOf(completions: readonly Completion[]): (string | null)[] {
  const hasResults = completions.some(({ outcome }) => outcome.result !== null);
  const [ids, attempts, places] = claimArrays(completions.map(({ token }) => token));
  const durationMs = arrayText(completions.map((completion) => completion.durationMs ?? 'NULL'));
  const results = hasResults ? `[${completions.map(({ outcome }) => outcome.result ?? 'null').join(',')}]` : null;
  return [ids, attempts, durationMs, results, places];
}

/** Those that the statement moved; it says which only when it did not move all. */
function movedOf(completions: readonly Completion[], answer: SqlRow | undefined): readonly Completion[] {
  if (Number(answer?.count) === completions.length) {
    return completions;
  }
  const members = JSON.parse((answer?.members as string | null | undefined) ?? '[]') as number[];
  return members.map((member) => completions[member - 1]!);
}
