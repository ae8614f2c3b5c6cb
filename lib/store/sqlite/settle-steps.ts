import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { unanswered } from '../set-answers.js';
import { completionJson, tokenJson } from '../set-json.js';
import type { SettleSteps } from '../settlements.js';
import type { SqlQuery, SqlRow, SqlScript } from '../sql-runner.js';
import * as settling from './settle-statements.js';

/** So many jobs pay for a statement of their own, which is one more commit, and may wait for the disk. */
const OWN_STATEMENT_MIN = 100;

/** The queue's connection, as the ends of attempts need it. */
export interface SettleQueries {
  readonly read: SqlQuery;
  readonly write: SqlQuery;
  /** See `WriteLane`; `undefined` where the driver does not allow it. */
  readonly writeAndLook: <T>(script: () => SqlScript<T>) => Promise<T> | undefined;
}

/** Ends of attempts in a SQLite file. */
export class SqliteSettleSteps implements SettleSteps {
  constructor(private readonly queries: SettleQueries) {}

  async complete(
    completions: readonly Completion[],
    isRemoving: boolean,
    hasOthers: boolean,
  ): Promise<readonly Completion[]> {
    if (hasOthers && completions.length < OWN_STATEMENT_MIN) {
      return [];
    }
    if (isRemoving) {
      const tokens = tokenJson(completions.map(({ token }) => token));
      return answered(completions, await this.queries.write(settling.COMPLETE_AND_REMOVE, [tokens]));
    }
    const brief = completions.filter(isBrief);
    if (brief.length < OWN_STATEMENT_MIN) {
      return this.completeAny(completions);
    }
    const done = await this.completeBrief(brief);
    const rest = hasOthers ? [] : completions.filter((completion) => !isBrief(completion));
    return rest.length === 0 ? done : [...done, ...(await this.completeAny(rest))];
  }

  settle(outcomes: string): Promise<readonly SqlRow[]> {
    return this.queries.write(settling.SETTLE, [outcomes]);
  }

  stateOf(tokens: string): Promise<readonly SqlRow[]> {
    return this.queries.read(settling.SETTLED_STATE, [tokens]);
  }

  discard(tokens: string, statuses: readonly FinalStatus[]): Promise<unknown> {
    return this.queries.write(settling.DISCARD, [tokens, JSON.stringify(statuses)]);
  }

  private async completeAny(completions: readonly Completion[]): Promise<readonly Completion[]> {
    return answered(completions, await this.queries.write(settling.COMPLETE, [completionJson(completions)]));
  }

  private async completeBrief(brief: readonly Completion[]): Promise<readonly Completion[]> {
    const params = [JSON.stringify(brief.map(({ token }) => token.id))];
    const counted = this.queries.writeAndLook(() => completeCounted(brief, params));
    return counted ?? answered(brief, await this.queries.write(settling.COMPLETE_BRIEF, params));
  }
}

/** Most often it moves all, and their number is answer enough. */
function* completeCounted(brief: readonly Completion[], params: readonly unknown[]): SqlScript<readonly Completion[]> {
  yield { sql: settling.COMPLETE_BRIEF_UNANSWERED, params };
  const [moved] = yield { sql: settling.MOVED, params: [], isRead: true };
  const count = Number(moved!.count);
  if (count === brief.length) {
    return brief;
  }
  return count === 0 ? [] : answered(brief, yield { sql: settling.COMPLETED_BRIEF, params, isRead: true });
}

/** Those that a row answers. */
function answered(completions: readonly Completion[], rows: readonly SqlRow[]): readonly Completion[] {
  const tokens = completions.map(({ token }) => token);
  const left = new Set(unanswered(tokens, rows));
  return left.size === 0 ? completions : completions.filter(({ token }) => !left.has(token));
}

function isBrief({ token, ranMs, outcome }: Completion): boolean {
  return token.attempt === 1 && ranMs !== null && ranMs < settling.BRIEF_MS && outcome.result === null;
}
