import { JobStateError, LeaseLostError } from '../../../lib/core/errors.js';
import type { Claim, ClaimToken } from '../../../lib/core/job.js';
import { Job } from '../../../lib/core/job.js';
import type { FinalStatus, JobStatus, TransitionVerb } from '../../../lib/core/job-state.js';
import { isFinal } from '../../../lib/core/job-state.js';
import type { Retention } from '../../../lib/core/retention.js';
import type {
  ActionResult,
  LaneClaimRequest,
  ClaimState,
  InsertedJob,
  JobInsert,
  LaneGap,
  LaneScan,
  LaneStart,
  PrunedPage,
  RequeueChanges,
  Rescue,
  Rescued,
  Settled,
  Settlement,
} from '../../../lib/store/jobs/job-records.js';
import type { WorkerSharing } from '../../../lib/store/reports/report-records.js';
import type { Row, Standing } from './simulated-rows.js';
import { claimOf, leaseLost, toSettled, standing } from './simulated-rows.js';

/** The effect of one statement on one job. */
export interface Move {
  readonly verb: TransitionVerb | 'settle' | 'discard';
  readonly id: string;
  /** Of the row before the move. */
  readonly before: Standing | null;
  /** `null` after a deletion. */
  readonly after: Standing | null;
  /** The attempt that the statement names, if any. */
  readonly token: ClaimToken | null;
  readonly kind: string | null;
}

export interface TableOptions {
  /** The database's time, in milliseconds since 1970. */
  readonly now: () => number;
  readonly onMove?: (move: Move) => void;
}

/** The table `_jobs` in memory, with the verbs of a store. simulated-store.test.ts compares it with the model of the real stores. */
export class SimulatedTable {
  readonly rows = new Map<string, Row>();
  /** When each paused topic was paused. */
  readonly paused = new Map<string, Date>();
  /** What each live process shares with the others; `null`: nothing. */
  readonly workers = new Map<string, WorkerSharing | null>();

  constructor(readonly options: TableOptions) {}

  insert(jobs: readonly JobInsert[]): InsertedJob[] {
    return jobs.map((job) => {
      const holder = this.rows.get(job.id) ?? this.holderOf(job.topic, job.uniqueKey, isUntilStarted(job));
      const row = holder ?? this.create(job);
      return {
        id: row.id,
        deduplicated: row.id !== job.id,
        replaced: false,
        replayedBodyHash: null,
        runAt: row.runAt,
        created: row.created,
      };
    });
  }

  find(ids: readonly string[]): Job[] {
    return ids.flatMap((id) => this.rows.get(id) ?? []).map((row) => Object.assign(new Job(), row));
  }

  findHolder(topic: string, uniqueKey: string): Job | undefined {
    const row = this.holderOf(topic, uniqueKey, false) ?? this.holderOf(topic, uniqueKey, true);
    return row && Object.assign(new Job(), row);
  }

  /** @param isFree whether the rows of a topic are unlocked. */
  claim({ lanes, limit, worker, leaseMs }: LaneClaimRequest, isFree = (_topic: string): boolean => true): Claim[] {
    const now = this.options.now();
    const due = lanes.flatMap((lane) =>
      this.waiting(lane)
        .filter((row) => row.runAt.getTime() <= now && !this.paused.has(row.topic) && isFree(row.topic))
        .slice(0, lane.limit),
    );
    return due.slice(0, limit).map((row) => {
      this.change('claim', row, null, {
        status: 'processing',
        attempt: row.attempt + 1,
        unstartedAttempt: row.retries >= row.maxRetries ? row.attempt + 1 : null,
        lockedBy: worker,
        lockedUntil: this.fromNow(leaseMs),
        started: this.fromNow(0),
      });
      return claimOf(row, now);
    });
  }

  scan(gaps: readonly LaneGap[], lanes: readonly LaneStart[]): LaneScan {
    const now = this.options.now();
    const found = gaps.flatMap(({ topic, after, before }) => this.prioritiesBetween(topic, after, before));
    const all = [...found.map((lane) => ({ ...lane, lowerBound: null })), ...lanes];
    const waiting = all.flatMap((lane) => {
      const first = this.waiting(lane)[0];
      const { topic, priority } = lane;
      return first
        ? [
            {
              topic,
              priority,
              dueInMs: first.runAt.getTime() - now,
              isPaused: this.paused.has(topic),
              isLimited: false,
            },
          ]
        : [];
    });
    return { waiting, keyed: [], at: new Date(now), tookMs: 0 };
  }

  markStarted(tokens: readonly ClaimToken[]): ClaimState[] {
    const isLive = (row: Row): boolean => !this.isExpired(row, -Infinity);
    return this.write('markStarted', tokens, () => ({ unstartedAttempt: null, started: this.fromNow(0) }), isLive);
  }

  renew(tokens: readonly ClaimToken[], leaseMs: number): ClaimState[] {
    return this.write('renew', tokens, () => ({ lockedUntil: this.fromNow(leaseMs) }));
  }

  cancelRequests(tokens: readonly ClaimToken[]): ClaimToken[] {
    return tokens.filter((token) => this.owned(token)?.cancelRequested).map(({ id, attempt }) => ({ id, attempt }));
  }

  /** @param isSeen whether the statement sees the row; it does not while another transaction changes it. */
  settle(
    settlements: readonly Settlement[],
    discardStatuses: readonly FinalStatus[],
    isSeen = (): boolean => true,
  ): Settled[] {
    const changed = settlements.map((settlement) => (isSeen() ? this.settleOne(settlement) : null));
    const answers = changed.map((row, index) => toSettled(row, this.rows.get(settlements[index]!.token.id)));
    this.discard(
      settlements.map(({ token }) => token),
      discardStatuses,
    );
    return answers;
  }

  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): void {
    for (const { id, attempt } of tokens) {
      const row = this.rows.get(id);
      if (row?.attempt === attempt && (statuses as readonly JobStatus[]).includes(row.status)) {
        this.remove('discard', row);
      }
    }
  }

  recordProgress(token: ClaimToken, progress: string): ClaimState[] {
    const row = this.owned(token);
    Object.assign(row ?? {}, { progress });
    return [{ state: row ? 'held' : 'lost', cancelRequested: row?.cancelRequested ?? false }];
  }

  complete(token: ClaimToken, result: string | null): void {
    const row = this.owned(token);
    if (!row) {
      throw new LeaseLostError(token.id, token.attempt);
    }
    if (row.cancelRequested) {
      throw new JobStateError(token.id, 'cannot be completed, a cancel was requested');
    }
    this.change('complete', row, token, { status: 'completed', result, ...this.ended });
  }

  rescue(limit: number, lowerBound: string | null): Rescue {
    const from = lowerBound === null ? -Infinity : Date.parse(lowerBound);
    const expired = [...this.rows.values()].filter((row) => row.status === 'processing' && this.isExpired(row, from));
    const rescued = expired.slice(0, limit).map((row): Rescued => {
      const message = leaseLost(row.attempt);
      const isUnstarted = this.isUnstarted(row);
      const isFailed = row.retries >= row.maxRetries && !isUnstarted;
      const status = row.cancelRequested ? 'cancelled' : isFailed ? 'failed' : 'pending';
      const charged = isUnstarted ? {} : { retries: row.retries + 1, runAt: this.fromNow(0) };
      const again = { status: 'pending', ...charged, lockedBy: null, lockedUntil: null } as const;
      this.change('rescue', row, null, {
        ...(isUnstarted ? {} : { lastError: message, rescuedAttempt: row.attempt }),
        ...(status === 'pending' ? again : { status, ...this.ended }),
      });
      const { id, topic, attempt, retries } = row;
      return { id, topic, attempt, status, retries, failure: { message, stack: null } };
    });
    return { rescued, hasOverdue: false, hasOwed: false, at: new Date(this.options.now()), tookMs: 0 };
  }

  prune(retention: Retention | null): PrunedPage {
    const isOver = ({ status, finished }: Row): boolean => {
      const age = isFinal(status) && retention ? retention[status] : false;
      return age !== false && finished!.getTime() <= this.options.now() - age;
    };
    const over = [...this.rows.values()].filter(isOver);
    over.forEach((row) => this.remove('prune', row));
    return { ids: over.map(({ id }) => id), removed: over.length, next: null };
  }

  requeue(ids: readonly string[], { payload, runAt, maxRetries }: RequeueChanges): ActionResult[] {
    return this.moveEach(ids, (row) => {
      if (row.status !== 'failed' && row.status !== 'cancelled') {
        return false;
      }
      const hasFreedKey = row.isUntilStarted && row.attempt > 0;
      const holder = hasFreedKey ? undefined : this.holderOf(row.topic, row.uniqueKey, row.isUntilStarted);
      if (holder) {
        return holder.id;
      }
      const fresh = { retries: 0, cancelRequested: false, finished: null, result: null, progress: null };
      const changes = {
        payload: payload === undefined ? row.payload : (JSON.parse(payload) as unknown),
        maxRetries: maxRetries ?? row.maxRetries,
      };
      return this.change('requeue', row, null, {
        ...{ status: 'pending', ...fresh, ...changes, runAt: runAt ?? this.fromNow(0) },
      });
    });
  }

  promote(ids: readonly string[]): ActionResult[] {
    return this.moveEach(ids, (row) => {
      const runAt = new Date(Math.min(row.runAt.getTime(), this.options.now()));
      return row.status === 'pending' && this.change('promote', row, null, { runAt });
    });
  }

  cancel(ids: readonly string[]): ActionResult[] {
    return this.moveEach(ids, (row) => {
      if (row.status === 'pending') {
        return this.change('cancel', row, null, { status: 'cancelled', cancelRequested: true, ...this.ended });
      }
      const isRunning = row.status === 'processing';
      return isRunning && this.change('cancel', row, null, { cancelRequested: true });
    });
  }

  delete(ids: readonly string[]): ActionResult[] {
    return this.moveEach(ids, (row) => row.status !== 'processing' && this.remove('delete', row));
  }

  /** The fence: the row, when this attempt owns it. */
  owned({ id, attempt }: ClaimToken): Row | undefined {
    const row = this.rows.get(id);
    return row?.attempt === attempt && row.status === 'processing' ? row : undefined;
  }

  /** Whether its lease has ended, and not before `fromMs`. */
  isExpired({ lockedUntil }: Row, fromMs: number): boolean {
    const endMs = lockedUntil!.getTime();
    return endMs >= fromMs && endMs < this.options.now();
  }

  /** Whether a last attempt was claimed and is not marked as started. */
  isUnstarted({ attempt, unstartedAttempt }: Row): boolean {
    return unstartedAttempt === attempt;
  }

  private write(
    verb: 'markStarted' | 'renew',
    tokens: readonly ClaimToken[],
    changes: () => Partial<Row>,
    isMeant = (_row: Row): boolean => true,
  ): ClaimState[] {
    return tokens.map((token) => {
      const owned = this.owned(token);
      const row = owned && isMeant(owned) ? owned : undefined;
      if (row) {
        this.change(verb, row, token, changes());
      }
      return { state: row ? 'held' : 'lost', cancelRequested: row?.cancelRequested ?? false };
    });
  }

  private create(job: JobInsert): Row {
    const { id, topic, payload, maxRetries, priority, timeoutMs, backoff, uniqueKey } = job;
    const now = new Date(this.options.now());
    const row: Row = Object.assign(new Job(), {
      ...{ id, topic, maxRetries, priority, timeoutMs, backoff, uniqueKey, isUntilStarted: isUntilStarted(job) },
      payload: JSON.parse(payload) as unknown,
      metadata: job.metadata === null ? null : (JSON.parse(job.metadata) as Record<string, unknown>),
      ...{ status: 'pending' as const, attempt: 0, retries: 0, cancelRequested: false, errors: [] },
      ...{ lockedUntil: null, lockedBy: null, lastError: null, result: null, progress: null },
      ...{ unstartedAttempt: null, started: null, finished: null, created: now, updated: now },
      runAt: job.runAt ?? this.fromNow(job.delayMs),
    });
    this.rows.set(id, row);
    this.options.onMove?.({ verb: 'insert', id, before: null, after: standing(row), token: null, kind: null });
    return row;
  }

  private settleOne({ token, outcome, progress }: Settlement): Row | null {
    const row = this.owned(token);
    if (!row) {
      return null;
    }
    Object.assign(row, progress === undefined ? {} : { progress });
    const isSpent = row.retries >= row.maxRetries;
    const { kind } = outcome;
    const isBack = kind === 'snooze' || kind === 'release' || (kind === 'retry' && !isSpent);
    if (row.cancelRequested || !isBack) {
      const status = row.cancelRequested ? 'cancelled' : kind === 'retry' ? 'failed' : (kind as FinalStatus);
      const result = kind === 'completed' ? outcome.result : row.result;
      this.change('settle', row, token, { status, result, ...this.ended }, kind);
    } else {
      const retries = row.retries + (kind === 'retry' ? 1 : 0);
      const back = {
        status: 'pending',
        retries,
        runAt: outcome.delayMs === null ? row.runAt : this.fromNow(outcome.delayMs),
      } as const;
      this.change('settle', row, token, { ...back, lockedBy: null, lockedUntil: null }, kind);
    }
    return row;
  }

  /** Pending jobs of a lane in the order of `runAt`. */
  private waiting({ topic, priority, lowerBound }: LaneStart): Row[] {
    const from = lowerBound === null ? -Infinity : Date.parse(lowerBound);
    const rows = [...this.rows.values()].filter(
      (row) => row.status === 'pending' && row.topic === topic && row.priority === priority,
    );
    return rows.filter(({ runAt }) => runAt.getTime() >= from).sort((a, b) => a.runAt.getTime() - b.runAt.getTime());
  }

  private prioritiesBetween(topic: string, after: number, before: number): { topic: string; priority: number }[] {
    const rows = [...this.rows.values()].filter((row) => row.status === 'pending' && row.topic === topic);
    const priorities = rows.map(({ priority }) => priority).filter((priority) => priority > after && priority < before);
    return [...new Set(priorities)].map((priority) => ({ topic, priority }));
  }

  private holderOf(topic: string, key: string | null, isOfStart: boolean): Row | undefined {
    const isHeld = (row: Row): boolean =>
      isOfStart ? row.status === 'pending' && row.attempt === 0 : !isFinal(row.status);
    const holds = (row: Row): boolean =>
      row.topic === topic && row.uniqueKey === key && row.isUntilStarted === isOfStart && isHeld(row);
    return key === null ? undefined : [...this.rows.values()].find(holds);
  }

  /** @param move returns whether it changed the row, or the id of the job that holds its key. */
  private moveEach(ids: readonly string[], move: (row: Row) => boolean | string): ActionResult[] {
    return ids.map((id) => {
      const row = this.rows.get(id);
      if (!row) {
        return { id, changed: false, status: null, topic: null, attempt: 0, holderId: null, reason: null, job: null };
      }
      const changed = move(row);
      const { status, topic, attempt } = row;
      const holderId = typeof changed === 'string' ? changed : null;
      const job = changed === true && ids.length === 1 ? (this.find([id])[0] ?? null) : null;
      return { id, changed: changed === true, status, topic, attempt, holderId, reason: null, job };
    });
  }

  private change(
    verb: Move['verb'],
    row: Row,
    token: ClaimToken | null,
    changes: Partial<Row>,
    kind: string | null = null,
  ): true {
    const before = standing(row);
    Object.assign(row, changes, { updated: this.fromNow(0) });
    this.options.onMove?.({ verb, id: row.id, before, after: standing(row), token, kind });
    return true;
  }

  private remove(verb: Move['verb'], row: Row): true {
    this.rows.delete(row.id);
    this.options.onMove?.({ verb, id: row.id, before: standing(row), after: null, token: null, kind: null });
    return true;
  }

  private get ended(): Pick<Job, 'lockedBy' | 'lockedUntil' | 'finished'> {
    return { lockedBy: null, lockedUntil: null, finished: this.fromNow(0) };
  }

  private fromNow(ms: number): Date {
    return new Date(this.options.now() + ms);
  }
}

function isUntilStarted({ uniqueMode }: JobInsert): boolean {
  return uniqueMode?.untilStarted === true;
}
