import type { ClaimToken } from '../core/job.js';
import type { FinalStatus } from '../core/job-state.js';
import { isFinal } from '../core/job-state.js';
import type { Completion } from './completion.js';
import { completed, isCompletion } from './completion.js';
import type { Settled, Settlement } from './job-store.js';
import { settledInOrder, unanswered } from './set-answers.js';
import { settlementJson, tokenJson } from './set-json.js';
import type { SqlRow } from './sql-runner.js';

/** What a database is asked to write the ends of attempts; each step stands alone. Sets travel as JSON arrays. */
export interface SettleSteps {
  /**
   * processing → completed, the quick way; answers those of which it knows that. `settle` is asked for the others.
   *
   * @param isRemoving whether they are deleted instead. Those with an idempotency key are left.
   * @param hasOthers whether `settle` is to be asked in any case.
   */
  complete(completions: readonly Completion[], isRemoving: boolean, hasOthers: boolean): Promise<readonly Completion[]>;
  /** processing → as each outcome says; answers the rows it moved. */
  settle(outcomes: string): Promise<readonly SqlRow[]>;
  /** Jobs as they stand. */
  stateOf(tokens: string): Promise<readonly SqlRow[]>;
  /** Deletes those of the jobs that have ended so. */
  discard(tokens: string, statuses: readonly FinalStatus[]): Promise<unknown>;
}

/** Writes how attempts end: the completed ones the quick way, and all others, and whatever the quick way left, with care. */
export class Settlements {
  constructor(private readonly steps: SettleSteps) {}

  /** Answers in the order of `settlements`; jobs that end in one of the `unkept` statuses are deleted. */
  async settle(settlements: readonly Settlement[], unkept: readonly FinalStatus[]): Promise<Settled[]> {
    const isRemoving = unkept.includes('completed');
    const completions = settlements.filter(isCompletion);
    const hasOthers = completions.length < settlements.length;
    const done = completions.length === 0 ? [] : await this.steps.complete(completions, isRemoving, hasOthers);
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
    await this.discardUnkept(isRemoving ? others : settlements, answers, unkept);
    return settlements.map((settlement) => answers.get(settlement)!);
  }

  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.steps.discard(tokenJson(tokens), statuses);
  }

  private async settleWithCare(settlements: readonly Settlement[]): Promise<Settled[]> {
    const tokens = settlements.map(({ token }) => token);
    const rows = await this.steps.settle(settlementJson(settlements));
    const others = unanswered(tokens, rows);
    const states = others.length === 0 ? [] : await this.steps.stateOf(tokenJson(others));
    return settledInOrder(tokens, rows, states);
  }

  /** Deletes what is not to be kept; left to the pruner when that fails. */
  private async discardUnkept(
    settlements: readonly Settlement[],
    answers: ReadonlyMap<Settlement, Settled>,
    unkept: readonly FinalStatus[],
  ): Promise<void> {
    const isUnkept = ({ status }: Settled): boolean => status !== null && isFinal(status) && unkept.includes(status);
    const ended = unkept.length === 0 ? [] : settlements.filter((settlement) => isUnkept(answers.get(settlement)!));
    if (ended.length > 0) {
      const tokens = ended.map(({ token }) => token);
      await this.discard(tokens, unkept).catch(() => undefined);
    }
  }
}
