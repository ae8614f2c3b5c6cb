import { RowLockedError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import { isFinal } from '../../core/job-state.js';
import { byId, toProgressBox, toSettlementJson, toTokenJson } from './batch-json.js';
import { toSettledInOrder, toCompleted, toCompletionError, selectOwing, selectWithoutRow } from './batch-results.js';
import type { StoreTransaction } from '../transactions/application-transactions.js';
import type { LinkChanges } from '../links/link-store.js';
import type { LinkTable } from '../links/link-table.js';
import { NO_CHANGES } from '../links/link-table.js';
import type { Completion, Settled, Settlement } from './job-records.js';
import { WATCHED } from './job-row.js';
import { isCompletion } from './job-records.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { toArrayText, toClaimArrays } from '../postgres/array-parameters.js';
import { TAKE_BACK_STARTS } from '../limits/limited-claim.postgres.js';
import { IS_HERE } from '../migrate/schema.postgres.js';
import { assertQueueIsHere } from '../transactions/adapted-transactions.js';
import * as sql from './settle.postgres.js';
import { isUncalled, settleUncalledScript } from './uncalled-script.js';

/**
 * Writes the outcomes of attempts. Completions take a fast statement. Other outcomes, and completions that it did not write, take
 * `SETTLE`.
 */
export class OutcomeWriter {
  constructor(
    private readonly query: (
      text: string,
      params: readonly unknown[],
      tx?: StoreTransaction,
    ) => Promise<readonly SqlRow[]>,
    private readonly transact: <T>(script: () => SqlScript<T>) => Promise<T>,
    private readonly links: LinkTable,
    private readonly queueId: (tx: StoreTransaction) => string | null,
  ) {}

  async completeTx(
    tx: StoreTransaction,
    token: ClaimToken,
    result: string | null,
    progress?: string,
    startedMs?: number,
  ): Promise<LinkChanges> {
    const { id, attempt } = token;
    const queueId = this.queueId(tx);
    const params = [id, attempt, result, toProgressBox(progress), startedMs ?? null, queueId];
    const [completed] = await this.query(sql.COMPLETE_IN_TX, params, tx);
    if (completed) {
      return completed.watched === WATCHED.always ? { ...NO_CHANGES, owed: [id] } : NO_CHANGES;
    }
    if (queueId !== null) {
      assertQueueIsHere(tx, await this.query(IS_HERE, [queueId], tx));
    }
    const [owned] = await this.query(sql.OWNED_STATE, [id, attempt], tx);
    throw toCompletionError(token, owned);
  }

  /** Returns the results in the order of `settlements`. Deletes jobs that end in one of `discardStatuses`, except those with links. */
  async settle(settlements: readonly Settlement[], discardStatuses: readonly FinalStatus[]): Promise<Settled[]> {
    const isDeleting = discardStatuses.includes('completed');
    const done = await this.complete(settlements.filter(isCompletion), isDeleting);
    if (done.length === settlements.length) {
      // The common case: no result has to be matched to its settlement, and the statement has deleted what is not retained.
      return settlements.map(({ token }) => toCompleted(token));
    }
    const results = new Map<Settlement, Settled>(done.map((completion) => [completion, toCompleted(completion.token)]));
    const others = settlements.filter((settlement) => !results.has(settlement));
    if (others.length > 0) {
      const settled = await this.settleAny(others);
      others.forEach((settlement, index) => results.set(settlement, settled[index]!));
    }
    // The fast statement has deleted its own.
    await this.discardEnded(isDeleting ? others : settlements, results, discardStatuses);
    return settlements.map((settlement) => results.get(settlement)!);
  }

  /** Deletes jobs that have ended in one of the statuses. */
  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.query(sql.DISCARD, [toTokenJson(tokens), statuses]);
  }

  /** Returns the completions that were written. */
  private async complete(completions: Completion[], isDeleting: boolean): Promise<readonly Completion[]> {
    if (completions.length === 0) {
      return [];
    }
    completions.sort((a, b) => byId(a.token, b.token));
    try {
      const [result] = await this.query(...toCompletionQuery(completions, isDeleting));
      if (result?.owed) {
        const positions = JSON.parse(result.owed as string) as number[];
        this.links.follow(positions.map((position) => completions[position - 1]!.token.id));
      }
      return selectWritten(completions, result);
    } catch (error) {
      if (error instanceof RowLockedError) {
        return [];
      }
      throw error;
    }
  }

  private async settleAny(settlements: readonly Settlement[]): Promise<Settled[]> {
    const tokens = settlements.map(({ token }) => token);
    const uncalled = settlements.filter(isUncalled);
    const others = uncalled.length === 0 ? settlements : settlements.filter((each) => !isUncalled(each));
    const rows = [
      ...(others.length === 0 ? [] : await this.query(sql.SETTLE, [toSettlementJson(others)])),
      ...(uncalled.length === 0
        ? []
        : await this.transact(() => settleUncalledScript({ ...sql, TAKE_BACK_STARTS }, uncalled))),
    ];
    this.links.follow(selectOwing(rows));
    const unchanged = selectWithoutRow(tokens, rows);
    const states = unchanged.length === 0 ? [] : await this.query(sql.SETTLED_STATE, [toTokenJson(unchanged)]);
    return toSettledInOrder(tokens, rows, states);
  }

  /** When this fails, the pruner deletes the jobs later. */
  private async discardEnded(
    settlements: readonly Settlement[],
    results: ReadonlyMap<Settlement, Settled>,
    discardStatuses: readonly FinalStatus[],
  ): Promise<void> {
    const isDiscarded = ({ status }: Settled): boolean =>
      status !== null && isFinal(status) && discardStatuses.includes(status);
    const ended =
      discardStatuses.length === 0 ? [] : settlements.filter((settlement) => isDiscarded(results.get(settlement)!));
    if (ended.length > 0) {
      const tokens = ended.map(({ token }) => token);
      await this.discard(tokens, discardStatuses).catch(() => undefined);
    }
  }
}

function toCompletionQuery(completions: readonly Completion[], isDeleting: boolean): Parameters<SqlQuery> {
  return completions.length === 1
    ? [isDeleting ? sql.COMPLETE_AND_DELETE_ONE : sql.COMPLETE_ONE, toValues(completions[0]!)]
    : [isDeleting ? sql.COMPLETE_AND_DELETE : sql.COMPLETE, toArrays(completions)];
}

function toValues({ token: { id, attempt, rowRef }, startedMs, durationMs, outcome }: Completion): unknown[] {
  return [id, attempt, startedMs ?? null, durationMs, outcome.result, rowRef];
}

function toArrays(completions: readonly Completion[]): (string | null)[] {
  const hasResults = completions.some(({ outcome }) => outcome.result !== null);
  const [ids, attempts, rowRefs] = toClaimArrays(completions.map(({ token }) => token));
  const starts = toArrayText(completions.map(({ startedMs }) => startedMs ?? 'NULL'));
  const runTimes = toArrayText(completions.map(({ durationMs }) => durationMs ?? 'NULL'));
  const results = hasResults ? `[${completions.map(({ outcome }) => outcome.result ?? 'null').join(',')}]` : null;
  return [ids, attempts, starts, runTimes, results, rowRefs];
}

/** The statement returns positions only when it did not write all rows. */
function selectWritten(completions: readonly Completion[], result: SqlRow | undefined): readonly Completion[] {
  if (Number(result?.count) === completions.length) {
    return completions;
  }
  const positions = JSON.parse((result?.members as string | null | undefined) ?? '[]') as number[];
  return positions.map((position) => completions[position - 1]!);
}
