import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type { Settled, Settlement } from '../job-store.js';
import { completionJson, tokenJson } from '../set-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import { answered, briefParams, completeCountedScript, settleScript, splitBrief } from './settle-script.js';
import * as settling from './settle-statements.js';

/** The queue's connection, as the ends of attempts need it; see `WriteLane`. */
export interface SettleQueries {
  readonly run: <T>(script: () => SqlScript<T>) => Promise<T>;
  readonly write: (sql: string, params: readonly unknown[]) => Promise<readonly SqlRow[]>;
  /** `undefined` where the driver does not allow it. */
  readonly writeAndLook: <T>(script: () => SqlScript<T>) => Promise<T> | undefined;
}

/**
 * Writes how attempts end. Completions alone are a statement or two, which are quicker on their own, and a script for those that
 * did not move. All other sets have one turn in the lane: what came of a job is told before a claim behind it begins the next
 * attempt.
 */
export class Settlements {
  constructor(private readonly queries: SettleQueries) {}

  /** Answers in the order of `settlements`; jobs that end in one of the `unkept` statuses are deleted. */
  settle(settlements: readonly Settlement[], unkept: readonly FinalStatus[]): Promise<Settled[]> {
    return settlements.every(isCompletion)
      ? this.settleCompletions(settlements, unkept)
      : this.queries.run(() => settleScript(settlements, unkept));
  }

  private async settleCompletions(
    completions: readonly Completion[],
    unkept: readonly FinalStatus[],
  ): Promise<Settled[]> {
    const done = await (unkept.includes('completed') ? this.remove(completions) : this.complete(completions));
    if (done.length === completions.length) {
      return completions.map(({ token }) => completed(token));
    }
    const known = new Set(done);
    const others = completions.filter((completion) => !known.has(completion));
    const settled = await this.queries.run(() => settleScript(others, unkept));
    const answers = new Map(others.map((completion, index) => [completion, settled[index]!]));
    return completions.map((completion) => answers.get(completion) ?? completed(completion.token));
  }

  /** Answers those of which it knows that they are completed, as the others do. */
  private async complete(completions: readonly Completion[]): Promise<readonly Completion[]> {
    const { brief, others } = splitBrief(completions);
    const done = brief.length === 0 ? [] : await this.completeBrief(brief);
    return others.length === 0 ? done : [...done, ...(await this.completeAny(others))];
  }

  private async completeBrief(brief: readonly Completion[]): Promise<readonly Completion[]> {
    const { write, writeAndLook } = this.queries;
    const counted = writeAndLook(() => completeCountedScript(brief));
    return counted ?? answered(brief, await write(settling.COMPLETE_BRIEF, briefParams(brief)));
  }

  private async completeAny(completions: readonly Completion[]): Promise<readonly Completion[]> {
    return answered(completions, await this.queries.write(settling.COMPLETE, [completionJson(completions)]));
  }

  private async remove(completions: readonly Completion[]): Promise<readonly Completion[]> {
    const tokens = tokenJson(completions.map(({ token }) => token));
    return answered(completions, await this.queries.write(settling.COMPLETE_AND_REMOVE, [tokens]));
  }
}
