import type { FinalStatus } from '../../core/job-state.js';
import type { Completion } from '../completion.js';
import { unanswered } from '../set-answers.js';
import { completionJson, tokenJson } from '../set-json.js';
import type { SettleSteps } from '../settlements.js';
import type { SqlQuery, SqlRow } from '../sql-runner.js';
import * as settling from './settle-statements.js';

/** So many brief jobs pay for a statement of their own, which is one more commit. */
const BRIEF_JOBS_MIN = 100;

export interface SettleQueries {
  readonly read: SqlQuery;
  readonly write: SqlQuery;
  /** Runs a statement without an answer: how many rows it has moved; `undefined` where the driver cannot tell. */
  readonly count: (sql: string, params: readonly unknown[]) => Promise<number> | undefined;
}

/** Ends of attempts in a SQLite file. */
export class SqliteSettleSteps implements SettleSteps {
  constructor(private readonly queries: SettleQueries) {}

  async complete(completions: Completion[], isRemoving: boolean): Promise<readonly Completion[]> {
    if (isRemoving) {
      const tokens = tokenJson(completions.map(({ token }) => token));
      return answered(completions, await this.queries.write(settling.COMPLETE_AND_REMOVE, [tokens]));
    }
    const brief = completions.filter(isBrief);
    if (brief.length < BRIEF_JOBS_MIN) {
      return this.completeAny(completions);
    }
    const done = await this.completeBrief(brief);
    const others = completions.length - brief.length;
    return others === 0
      ? done
      : [...done, ...(await this.completeAny(completions.filter((completion) => !isBrief(completion))))];
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

  /** Most often it moves all, and their number is answer enough. */
  private async completeBrief(brief: readonly Completion[]): Promise<readonly Completion[]> {
    const { read, write, count } = this.queries;
    const params = [JSON.stringify(brief.map(({ token }) => token.id))];
    const moved = await count(settling.COMPLETE_BRIEF_UNANSWERED, params);
    if (moved === undefined) {
      return answered(brief, await write(settling.COMPLETE_BRIEF, params));
    }
    if (moved === 0 || moved === brief.length) {
      return moved === 0 ? [] : brief;
    }
    return answered(brief, await read(settling.COMPLETED_BRIEF, params));
  }
}

/** Those that a row answers. */
function answered(completions: readonly Completion[], rows: readonly SqlRow[]): readonly Completion[] {
  const left = new Set(
    unanswered(
      completions.map(({ token }) => token),
      rows,
    ),
  );
  return left.size === 0 ? completions : completions.filter(({ token }) => !left.has(token));
}

function isBrief({ token, ranMs, outcome }: Completion): boolean {
  return token.attempt === 1 && ranMs !== null && ranMs < settling.BRIEF_MS && outcome.result === null;
}
