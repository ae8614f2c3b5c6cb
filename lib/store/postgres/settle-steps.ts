import { RowLockedError } from '../../core/errors.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { byId } from '../set-json.js';
import type { SettleSteps } from '../settlements.js';
import type { SqlQuery, SqlRow } from '../sql-runner.js';
import { arrayText, claimArrays } from './array-text.js';
import * as settling from './settle-statements.js';

/** Ends of attempts in PostgreSQL. */
export class PostgresSettleSteps implements SettleSteps {
  constructor(private readonly query: SqlQuery) {}

  async complete(completions: readonly Completion[], isRemoving: boolean): Promise<readonly Completion[]> {
    const sorted = [...completions].sort((a, b) => byId(a.token, b.token));
    try {
      const [answer] = await this.query(...completionQuery(sorted, isRemoving));
      return movedOf(sorted, answer);
    } catch (error) {
      if (error instanceof RowLockedError) {
        return [];
      }
      throw error;
    }
  }

  settle(outcomes: string): Promise<readonly SqlRow[]> {
    return this.query(settling.SETTLE, [outcomes]);
  }

  stateOf(tokens: string): Promise<readonly SqlRow[]> {
    return this.query(settling.SETTLED_STATE, [tokens]);
  }

  discard(tokens: string, statuses: readonly FinalStatus[]): Promise<unknown> {
    return this.query(settling.DISCARD, [tokens, statuses]);
  }
}

function completionQuery(completions: readonly Completion[], isRemoving: boolean): Parameters<SqlQuery> {
  return completions.length === 1
    ? [isRemoving ? settling.COMPLETE_AND_REMOVE_ONE : settling.COMPLETE_ONE, valuesOf(completions[0]!)]
    : [isRemoving ? settling.COMPLETE_AND_REMOVE : settling.COMPLETE, arraysOf(completions)];
}

/** The parameters of the statements for one job. */
function valuesOf({ token: { id, attempt, place }, ranMs, outcome }: Completion): unknown[] {
  return [id, attempt, ranMs, outcome.result, place];
}

/** The parameters of those for several. */
function arraysOf(completions: readonly Completion[]): (string | null)[] {
  const hasResults = completions.some(({ outcome }) => outcome.result !== null);
  const [ids, attempts, places] = claimArrays(completions.map(({ token }) => token));
  const ranMs = arrayText(completions.map((completion) => completion.ranMs ?? 'NULL'));
  const results = hasResults ? `[${completions.map(({ outcome }) => outcome.result ?? 'null').join(',')}]` : null;
  return [ids, attempts, ranMs, results, places];
}

/** Those that the statement moved; it says which only when it did not move all. */
function movedOf(completions: readonly Completion[], answer: SqlRow | undefined): readonly Completion[] {
  if (Number(answer?.count) === completions.length) {
    return completions;
  }
  const members = JSON.parse((answer?.members as string | null | undefined) ?? '[]') as number[];
  return members.map((member) => completions[member - 1]!);
}
