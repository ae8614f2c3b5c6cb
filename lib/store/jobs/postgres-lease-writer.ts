import { RowLockedError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import { byId, toLossJson, toProgressJson, toTokenJson } from './batch-json.js';
import { toClaimStates, selectWithoutRow } from './batch-results.js';
import type { ClaimState, LostLease, ProgressEntry } from './job-records.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import { toClaimArrays } from '../postgres/array-parameters.js';
import {
  MARK_STARTED,
  MARK_STARTED_BY_ROW_REF,
  CANCEL_REQUESTS,
  EXPLAIN_LOST_LEASES,
  MAY_START,
  RECORD_PROGRESS,
  RENEW,
  STILL_OWNED,
} from './lease.postgres.js';

/** Writes and reads the jobs that a worker owns, while they run. */
export class LeaseWriter {
  constructor(private readonly query: SqlQuery) {}

  /** Returns the states in the order of `tokens`. */
  async markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
    const marked = await this.markStartedByRowRef(tokens);
    const others = selectWithoutRow(tokens, marked);
    const found = await this.queryTokens(MARK_STARTED, others);
    const mayStart = await this.queryTokens(MAY_START, selectWithoutRow(others, found));
    return toClaimStates(tokens, [...marked, ...found], mayStart);
  }

  /** Returns the states in the order of `tokens`. */
  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]> {
    const renewed = await this.query(RENEW, [toTokenJson(tokens), leaseMs]);
    return toClaimStates(tokens, renewed, await this.queryTokens(STILL_OWNED, selectWithoutRow(tokens, renewed)));
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.query(CANCEL_REQUESTS, [toTokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  /** Returns the states in the order of `entries`. */
  async recordProgress(entries: readonly ProgressEntry[]): Promise<ClaimState[]> {
    const tokens = entries.map(({ token }) => token);
    const recorded = await this.query(RECORD_PROGRESS, [toProgressJson(entries)]);
    return toClaimStates(tokens, recorded, await this.queryTokens(STILL_OWNED, selectWithoutRow(tokens, recorded)));
  }

  async explainLostLeases(losses: readonly LostLease[]): Promise<string[]> {
    const rows = await this.query(EXPLAIN_LOST_LEASES, [toLossJson(losses)]);
    return rows.map(({ id }) => id as string);
  }

  /** Marks attempts whose rows are where the claim left them, none when one of the rows is locked. */
  private async markStartedByRowRef(tokens: readonly ClaimToken[]): Promise<readonly SqlRow[]> {
    try {
      return await this.query(MARK_STARTED_BY_ROW_REF, toClaimArrays([...tokens].sort(byId)));
    } catch (error) {
      if (error instanceof RowLockedError) {
        return [];
      }
      throw error;
    }
  }

  private async queryTokens(statement: string, tokens: readonly ClaimToken[]): Promise<readonly SqlRow[]> {
    return tokens.length === 0 ? [] : this.query(statement, [toTokenJson(tokens)]);
  }
}
