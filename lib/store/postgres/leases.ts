import { RowLockedError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import type { ClaimState, ProgressEntry } from '../job-store.js';
import { answeredInOrder, claimStatesInOrder, unanswered } from '../batch-results.js';
import { byId, progressJson, tokenJson } from '../batch-json.js';
import type { SqlQuery, SqlRow } from '../sql-runner.js';
import { claimArrays } from './array-text.js';
import {
  BEGIN_ATTEMPTS,
  BEGIN_IN_PLACE,
  CANCEL_REQUESTS,
  MAY_BEGIN,
  RECORD_HELD_PROGRESS,
  RECORD_PROGRESS,
  RENEW,
  STILL_OWNED,
} from './sql/lease.js';

/** What workers write and read of the jobs that they own. */
export class LeaseWriter {
  constructor(private readonly query: SqlQuery) {}

  /** Answers in the order of `tokens`. */
  async begin(tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
    const begun = await this.beginInPlace(tokens);
    const others = unanswered(tokens, begun);
    const found = await this.ask(BEGIN_ATTEMPTS, others);
    const mayBegin = await this.ask(MAY_BEGIN, unanswered(others, found));
    return claimStatesInOrder(tokens, [...begun, ...found], mayBegin);
  }

  /** Answers in the order of `tokens`. */
  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]> {
    const renewed = await this.query(RENEW, [tokenJson(tokens), leaseMs]);
    return claimStatesInOrder(tokens, renewed, await this.ask(STILL_OWNED, unanswered(tokens, renewed)));
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.query(CANCEL_REQUESTS, [tokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  /** Answers which are still owned, in the order of `entries`. */
  async recordProgress(entries: readonly ProgressEntry[]): Promise<boolean[]> {
    const tokens = entries.map(({ token }) => token);
    const recorded = await this.query(RECORD_PROGRESS, [progressJson(entries)]);
    const owned = await this.ask(STILL_OWNED, unanswered(tokens, recorded));
    const isHeld = answeredInOrder(entries, owned);
    await this.recordHeld(entries.filter((_, index) => isHeld[index]));
    return answeredInOrder(entries, [...recorded, ...owned]);
  }

  /** Those that are where the claim left them, when nobody holds any of them. */
  private async beginInPlace(tokens: readonly ClaimToken[]): Promise<readonly SqlRow[]> {
    try {
      return await this.query(BEGIN_IN_PLACE, claimArrays([...tokens].sort(byId)));
    } catch (error) {
      if (error instanceof RowLockedError) {
        return [];
      }
      throw error;
    }
  }

  /** A renewal holds a row for a moment. Who holds it for longer, such as a transaction of the handler, is not waited for. */
  private async recordHeld(entries: readonly ProgressEntry[]): Promise<void> {
    if (entries.length > 0) {
      await this.query(RECORD_HELD_PROGRESS, [progressJson(entries)]).catch((error: unknown) => {
        if (!(error instanceof RowLockedError)) {
          throw error;
        }
      });
    }
  }

  private async ask(statement: string, tokens: readonly ClaimToken[]): Promise<readonly SqlRow[]> {
    return tokens.length === 0 ? [] : this.query(statement, [tokenJson(tokens)]);
  }
}
