import { RowLockedError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import type { ProgressEntry, Renewal } from '../job-store.js';
import { answeredInOrder, renewalsInOrder, unanswered } from '../set-answers.js';
import { progressJson, tokenJson } from '../set-json.js';
import type { SqlQuery, SqlRow } from '../sql-runner.js';
import { CANCEL_REQUESTS, RECORD_HELD_PROGRESS, RECORD_PROGRESS, RENEW, STILL_OWNED } from './lease-statements.js';

/** What workers write and read of the jobs that they own. */
export class Leases {
  constructor(private readonly query: SqlQuery) {}

  /** Answers in the order of `tokens`. */
  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<Renewal[]> {
    const renewed = await this.query(RENEW, [tokenJson(tokens), leaseMs]);
    return renewalsInOrder(tokens, renewed, await this.stillOwned(unanswered(tokens, renewed)));
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.query(CANCEL_REQUESTS, [tokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  /** Answers which are still owned, in the order of `entries`. */
  async recordProgress(entries: readonly ProgressEntry[]): Promise<boolean[]> {
    const tokens = entries.map(({ token }) => token);
    const recorded = await this.query(RECORD_PROGRESS, [progressJson(entries)]);
    const owned = await this.stillOwned(unanswered(tokens, recorded));
    const isHeld = answeredInOrder(entries, owned);
    await this.recordHeld(entries.filter((_, index) => isHeld[index]));
    return answeredInOrder(entries, [...recorded, ...owned]);
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

  /** Rows that somebody has locked are owned all the same. */
  private async stillOwned(tokens: readonly ClaimToken[]): Promise<readonly SqlRow[]> {
    return tokens.length === 0 ? [] : this.query(STILL_OWNED, [tokenJson(tokens)]);
  }
}
