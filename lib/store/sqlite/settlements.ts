import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { completed, isCompletion } from '../completion.js';
import type { Settled, Settlement } from '../job-store.js';
import type { WriteLane } from './write-lane.js';
import { completeScript, settleRestScript, settleScript } from './settle-script.js';

/** The queue's connection, as the ends of attempts need it. */
interface SettleLane extends Pick<WriteLane, 'run' | 'runEach'> {
  /** Whether a script may ask how many rows its last statement has moved. */
  mayCount(): boolean;
}

/**
 * Writes how attempts end. Completions alone are a statement or two, which are quicker on their own, and a script for those that
 * did not move. All other sets have one turn in the lane: what came of a job is told before a claim behind it begins the next
 * attempt.
 */
export class Settlements {
  constructor(private readonly lane: SettleLane) {}

  /** Answers in the order of `settlements`; jobs that end in one of the `unkept` statuses are deleted. */
  settle(settlements: readonly Settlement[], unkept: readonly FinalStatus[]): Promise<Settled[]> {
    return settlements.every(isCompletion)
      ? this.settleCompletions(settlements, unkept)
      : this.lane.run(() => settleScript(settlements, unkept, this.lane.mayCount()));
  }

  private async settleCompletions(
    completions: readonly Completion[],
    unkept: readonly FinalStatus[],
  ): Promise<Settled[]> {
    const done = await this.lane.runEach(() => completeScript(completions, unkept, this.lane.mayCount()));
    return done.length === completions.length
      ? completions.map(({ token }) => completed(token))
      : this.lane.run(() => settleRestScript(completions, done, unkept));
  }
}
