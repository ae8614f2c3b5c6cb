import type { ScheduledWake } from '../../core/clock.js';
import { backoffMs } from '../../core/backoff.js';
import { toErrorMessage, UNRECORDABLE_FAILURE } from '../../core/error-text.js';
import { DatabaseRefusedError, QueueUnavailableError } from '../../core/errors.js';
import type { ClaimToken, Outcome } from '../../core/job.js';
import type { FinalStatus, JobStatus } from '../../core/job-state.js';
import type { Retention } from '../../core/retention.js';
import type { CountedStart, Settled, Settlement } from '../../store/jobs/job-records.js';
import type { BatchedCall, BatcherOptions } from '../runtime/batcher.js';
import { Batcher } from '../runtime/batcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Attempt, CompletionResult } from './attempt.js';

/** Names the writer in the log. */
const NAME = 'storing outcomes';
/** How often a refused fixed text is sent again, over some seconds. */
const REFUSALS_MAX = 5;
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 5_000;
/** The longest pause during shutdown, which may wait less than `PAUSE_MAX_MS`. */
const SHUTDOWN_PAUSE_MAX_MS = 250;

/**
 * Writes outcomes, many in one statement, until the database has confirmed them. Never fails: it retries while the database
 * is unavailable, and replaces a refused result or error text with a fixed one. The fence makes retries safe.
 */
export class Completer {
  private readonly batcher: Batcher<PendingOutcome, Settled>;
  /** Of topics without a retention of their own. */
  private readonly discardStatuses: readonly FinalStatus[];
  private readonly pauses = new Map<PendingOutcome, ScheduledWake>();
  private pauseMaxMs = PAUSE_MAX_MS;
  private isAbandoned = false;

  constructor(
    private readonly parts: Pick<
      EngineParts,
      'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'registry' | 'retention'
    >,
  ) {
    const { retention, store } = parts;
    this.discardStatuses = selectDiscarded(retention);
    const batches: BatcherOptions<PendingOutcome, Settled> = {
      run: (outcomes) => this.write(outcomes),
      measureLength: ({ outcome, progress }) => textLength(outcome) + (progress?.length ?? 0),
    };
    this.batcher = new Batcher({ ...batches, concurrency: () => store.capabilities.pipelined });
  }

  /** Writes the outcome of an attempt. Takes a callback: a promise for each job would cost more. */
  settle(
    attempt: CompletedAttempt,
    outcome: Outcome,
    durationMs: number | null,
    onDone: (result: CompletionResult) => void,
  ): void {
    this.send(new PendingOutcome(this, attempt, outcome, durationMs, onDone));
  }

  /** Undoes `flush` and `abandon`: outcomes are retried without a limit again. */
  start(): void {
    this.isAbandoned = false;
    this.pauseMaxMs = PAUSE_MAX_MS;
  }

  /** Shutdown: sends paused outcomes at once, and pauses only briefly from now on. */
  flush(): void {
    this.pauseMaxMs = SHUTDOWN_PAUSE_MAX_MS;
    for (const [pending, pause] of [...this.pauses]) {
      pause.cancel();
      this.send(pending);
    }
  }

  /** Stops retrying. Other processes rescue the jobs when their leases expire. */
  abandon(): void {
    this.isAbandoned = true;
    this.parts.failureLog.forget(NAME);
  }

  /** Receives the row that was written, or the row as it is. */
  onSettled(pending: PendingOutcome, row: Settled): void {
    this.parts.failureLog.recordSuccess(NAME);
    if (row.applied) {
      pending.onDone(row);
    } else if (row.status === 'processing' && row.attempt === pending.token.attempt) {
      // Still this attempt's row: a transaction has locked it, or changed it after the statement's snapshot.
      pending.wasLocked = true;
      this.sendLater(pending);
    } else {
      // While the lease lives only this attempt can have completed the job.
      const isSoleOwner = this.parts.clock.now() < pending.attempt.leaseEndsMs;
      const discardsCompleted = this.discardStatusesOf(pending).includes('completed');
      pending.onDone(reconcileOutcome(pending, row, isSoleOwner && discardsCompleted));
    }
  }

  /** The database is unavailable, or has refused the outcome. */
  onError(pending: PendingOutcome, error: unknown): void {
    const { logger } = this.parts;
    const { id } = pending.token;
    if (error instanceof QueueUnavailableError) {
      this.parts.failureLog.recordFailure(NAME, error);
      this.sendLater(pending);
    } else if (pending.progress !== undefined) {
      logger.warn(
        `progress of job ${id} could not be saved: the database refused the outcome with it: ${toErrorMessage(error)}`,
      );
      pending.progress = undefined;
      this.send(pending);
    } else if (!pending.isPlain) {
      logger.error(
        `the database refused the outcome of job ${id}; storing a fixed text instead (${toErrorMessage(error)})`,
      );
      pending.outcome = toPlainOutcome(pending.outcome);
      pending.isPlain = true;
      this.send(pending);
    } else if (pending.refusals < REFUSALS_MAX) {
      pending.refusals += 1;
      this.sendLater(pending);
    } else {
      logger.error(
        `the outcome of job ${id} was not stored; the job is rescued when its lease expires: ${toErrorMessage(error)}`,
      );
      pending.onDone('lease lost');
    }
  }

  private write(outcomes: readonly PendingOutcome[]): Promise<Settled[]> {
    return this.parts.registry.retentions.length > 0
      ? this.writeByRetention(outcomes)
      : this.writeTogether(outcomes, this.discardStatuses);
  }

  /** Jobs of topics that discard other statuses are written by statements of their own. */
  private async writeByRetention(outcomes: readonly PendingOutcome[]): Promise<Settled[]> {
    const groups = new Map<
      string,
      { readonly discarded: readonly FinalStatus[]; readonly outcomes: PendingOutcome[] }
    >();
    for (const pending of outcomes) {
      const discarded = this.discardStatusesOf(pending);
      const key = discarded.join();
      groups.set(key, groups.get(key) ?? { discarded, outcomes: [] });
      groups.get(key)!.outcomes.push(pending);
    }
    if (groups.size > 1) {
      // A later group may fail after an earlier one was written.
      outcomes.forEach((pending) => (pending.isUncertain = true));
    }
    const results = new Map<PendingOutcome, Settled>();
    for (const group of groups.values()) {
      const settled = await this.writeTogether(group.outcomes, group.discarded);
      group.outcomes.forEach((pending, index) => results.set(pending, settled[index]!));
    }
    return outcomes.map((pending) => results.get(pending)!);
  }

  private discardStatusesOf({ attempt }: PendingOutcome): readonly FinalStatus[] {
    const own = this.parts.registry.get(attempt.topic)?.settings.retention;
    return own ? selectDiscarded({ ...this.parts.retention, ...own }) : this.discardStatuses;
  }

  private async writeTogether(
    outcomes: readonly PendingOutcome[],
    discardStatuses: readonly FinalStatus[],
  ): Promise<Settled[]> {
    const { store } = this.parts;
    try {
      return await store.settle(outcomes, discardStatuses);
    } catch (error) {
      // The store may have written a part of them.
      outcomes.forEach((pending) => (pending.isUncertain = true));
      if (!(error instanceof DatabaseRefusedError) || discardStatuses.length === 0) {
        throw error;
      }
      // A foreign key may refer to one of the jobs: store without deleting. The pruner tries again.
      return store.settle(outcomes, []);
    }
  }

  private send(pending: PendingOutcome): void {
    this.pauses.delete(pending);
    if (this.isAbandoned) {
      pending.onDone('lease lost');
    } else {
      this.batcher.push(pending);
    }
  }

  private sendLater(pending: PendingOutcome): void {
    const { clock, random } = this.parts;
    const ms = backoffMs(pending.failures, { minMs: PAUSE_MIN_MS, maxMs: this.pauseMaxMs }, random());
    pending.failures += 1;
    this.pauses.set(
      pending,
      clock.schedule(ms, () => this.send(pending)),
    );
  }
}

/** The statuses whose jobs are deleted as they finish. */
function selectDiscarded(retention: Retention): FinalStatus[] {
  return (Object.keys(retention) as FinalStatus[]).filter((status) => retention[status] === 0);
}

/** What the completer reads of an attempt. */
type CompletedAttempt = Pick<
  Attempt,
  'topic' | 'leaseEndsMs' | 'abortedFor' | 'mayBeCompleted' | 'isCompleted' | 'unsavedProgress'
> &
  Partial<Pick<Attempt, 'startedMs' | 'counted' | 'isUncalled' | 'expiresMs'>> & {
    readonly claim: ClaimToken;
  };

/** An outcome that the database has not confirmed yet. */
class PendingOutcome implements Settlement, BatchedCall<PendingOutcome, Settled> {
  readonly token: ClaimToken;
  progress: string | undefined;
  failures = 0;
  /** How often the database has refused the fixed text. */
  refusals = 0;
  /** Its text was refused and replaced by a fixed one. */
  isPlain = false;
  /** A write has failed, or its response was lost: it may have changed the row. */
  isUncertain = false;
  wasLocked = false;

  constructor(
    private readonly completer: Completer,
    readonly attempt: CompletedAttempt,
    public outcome: Outcome,
    readonly durationMs: number | null,
    readonly onDone: (result: CompletionResult) => void,
  ) {
    this.token = attempt.claim;
    this.progress = attempt.unsavedProgress;
  }

  // Read when they are sent, and not stored: an attempt that has ended does not change them, and there are thousands of outcomes.
  get startedMs(): number | undefined {
    return this.attempt.startedMs;
  }

  get counted(): CountedStart | undefined {
    return this.attempt.counted;
  }

  get isUncalled(): boolean | undefined {
    return this.attempt.isUncalled;
  }

  get expiresMs(): number | undefined {
    return this.outcome.kind === 'release' ? this.attempt.expiresMs : undefined;
  }

  get item(): this {
    return this;
  }

  resolve(row: Settled): void {
    this.completer.onSettled(this, row);
  }

  reject(error: unknown): void {
    this.completer.onError(this, error);
  }
}

/**
 * The write changed nothing. Decides whether the row has the outcome from an earlier try or `completeTx`, or the lease is lost.
 *
 * @param mayHaveBeenDiscarded whether completed jobs are deleted at once, and only this attempt can have completed the job.
 */
function reconcileOutcome(pending: PendingOutcome, row: Settled, mayHaveBeenDiscarded: boolean): CompletionResult {
  const { attempt, outcome, isUncertain } = pending;
  if (row.status === null) {
    return reconcileDeleted(pending, row, mayHaveBeenDiscarded);
  }
  const isWritten = isUncertain && !row.wasRescued && possibleStatuses(outcome).includes(row.status);
  // Only the attempt itself can have completed it.
  return row.attempt === attempt.claim.attempt && (isWritten || row.status === 'completed') ? row : 'lease lost';
}

function reconcileDeleted(
  { attempt, outcome, isUncertain }: PendingOutcome,
  row: Settled,
  mayHaveBeenDiscarded: boolean,
): CompletionResult {
  const mayHaveCompleted = attempt.mayBeCompleted || (isUncertain && outcome.kind === 'completed');
  if (!attempt.isCompleted && !(mayHaveCompleted && mayHaveBeenDiscarded)) {
    return 'lease lost';
  }
  // A cancel request changes any outcome to `cancelled`, unless completeTx came first.
  const isCancelled = attempt.abortedFor === 'cancelled' && !attempt.mayBeCompleted;
  return { ...row, status: isCancelled ? 'cancelled' : 'completed' };
}

/** The statuses to which an outcome may move the row. */
function possibleStatuses(outcome: Outcome): readonly JobStatus[] {
  switch (outcome.kind) {
    case 'retry':
      return ['pending', 'failed', 'cancelled'];
    case 'snooze':
    case 'release':
      return ['pending', 'cancelled'];
    default:
      return [outcome.kind, 'cancelled'];
  }
}

/** Length of the texts in an outcome, for the bound of a batch. */
function textLength(outcome: Outcome): number {
  if (outcome.kind === 'completed') {
    return outcome.result?.length ?? 0;
  }
  return 'failure' in outcome ? outcome.failure.message.length + (outcome.failure.stack?.length ?? 0) : 0;
}

/** The same outcome with a fixed text, which every database accepts. */
function toPlainOutcome(outcome: Outcome): Outcome {
  if (outcome.kind === 'completed') {
    return { kind: 'completed', result: null };
  }
  return 'failure' in outcome ? { ...outcome, failure: UNRECORDABLE_FAILURE } : outcome;
}
