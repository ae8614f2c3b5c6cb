import type { ParentJob } from '../../core/dependencies.js';
import { toErrorMessage, toFailure } from '../../core/error-text.js';
import type { AbortReason } from '../../core/errors.js';
import { InvalidOptionsError, JobAbortedError, LeaseLostError } from '../../core/errors.js';
import type { JobEvent } from '../../core/job-events.js';
import type { LogText } from '../../core/job-log.js';
import { toLogText } from '../../core/job-log.js';
import type { Claim, Outcome } from '../../core/job.js';
import { encodeProgress, recordResult } from '../../core/payload.js';
import { warnOnce } from '../../core/warn-once.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import { identifyTransaction, isJobsTransaction } from '../../store/transactions/adapted-transactions.js';
import type { ClaimState, CountedStart, Settled } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { CountedClaim } from './hand-overs.js';
import type { AttemptLog } from '../logs/log-writer.js';
import type { StepWriter } from './job-steps.js';
import { JobSteps } from './job-steps.js';
import type { BatchPlace } from './transactional-completion.js';
import { TransactionalCompletion } from './transactional-completion.js';

/** What all attempts of a process share. */
export type AttemptParts = Pick<EngineParts, 'store' | 'clock' | 'logger'> & {
  readonly progressWriter: { add(attempt: Attempt): void };
  readonly logWriter: { add(attempt: Attempt, text: LogText): void };
  readonly stepWriter: Pick<StepWriter, 'read' | 'write'>;
};

/** One attempt of a job in this process, from the claim until its outcome is in the row. All times are of the process's clock. */
export class Attempt {
  hasStarted = false;
  /** When the call of the handler began, with guards and pipes. */
  startedAtMs = NaN;
  /** When the handler itself was called; `undefined`: not yet. */
  calledAtMs: number | undefined;
  /** The last check of the buffer before this attempt was pushed. */
  bufferedAtCheck = 0;
  /** Index among the attempts that the heartbeat tracks; `undefined`: not tracked. */
  trackedAt: number | undefined;
  hasSlot = false;
  slotSinceMs = NaN;
  /** When the slot became free; `undefined` before. */
  slotUntilMs: number | undefined;
  /** The handler's promise while an interceptor is around it; `undefined` once it has settled. */
  handlerPromise: Promise<unknown> | undefined;
  /** JSON text of the last progress value, until the row has it. */
  unsavedProgress: string | undefined;
  /** Lines of `log`; `undefined` before the first one. */
  lines: AttemptLog | undefined;
  private hasLoggedLate = false;
  /** Set when this process lacks the key of the payload: how long the released job waits. */
  releaseMs: number | undefined;
  /** Whether the outcome is being written. */
  isSettling = false;

  /** Created when the handler reads `signal`: two objects per job cost a fifth of the time of a backlog. */
  private controller: AbortController | undefined;
  private aborted: JobAbortedError | LeaseLostError | undefined;
  private isTerminated = false;
  private listener: AttemptListener | undefined;
  private tx: StoreTransaction | undefined;
  private completion: TransactionalCompletion | undefined;
  private steps: JobSteps | undefined;

  constructor(
    private claimed: Claim,
    private readonly parts: AttemptParts,
    readonly claimedAtMs: number,
    /** When the lease ends at the earliest: counted from before the claim or the renewal was sent. */
    public leaseEndsMs: number,
    /** Set if a rate has counted the start. */
    private readonly countedClaim?: CountedClaim,
  ) {}

  get claim(): Claim {
    return this.claimed;
  }

  get id(): string {
    return this.claimed.id;
  }

  get topic(): string {
    return this.claimed.topic;
  }

  /** @param rowRef `undefined`: unknown. */
  setRowRef(rowRef: string | undefined): void {
    this.claimed = { ...this.claimed, rowRef };
  }

  /** Applies what the database says of the row: its new reference, a requested cancel, or that the lease is lost. */
  applyState({ state, cancelRequested, rowRef }: ClaimState): void {
    if (state === 'held') {
      this.setRowRef(rowRef);
    }
    if (state === 'lost' && this.mustBeProcessing) {
      this.loseLease();
    }
    if (cancelRequested) {
      this.cancel();
    }
  }

  /** Records that the handler is called now. */
  markStarted(nowMs: number): void {
    this.startedAtMs = nowMs;
    this.hasStarted = true;
  }

  /** Where a rate has counted the start. */
  get counted(): CountedStart | undefined {
    return this.countedClaim?.start;
  }

  /** When the job expires again if it is released now. Before the call the row was marked as started. */
  get expiresMs(): number | undefined {
    return this.isUncalled ? (this.claimed.expiresMs ?? undefined) : undefined;
  }

  /** Whether the handler was not called. */
  get isUncalled(): boolean {
    return this.calledAtMs === undefined;
  }

  /**
   * When the handler was called, by the database's clock: its time of the claim, plus the time since the result came. So it is at most
   * the hand-over after the claim, and a rate holds for these times too.
   */
  get startedMs(): number | undefined {
    const { runAt, waitedMs } = this.claimed;
    return this.hasStarted
      ? Math.floor(runAt.getTime() + waitedMs + (this.calledAtMs ?? this.startedAtMs) - this.claimedAtMs)
      : undefined;
  }

  /** Whether a call of the handler would exceed the rate of the topic. */
  isLate(nowMs: number): boolean {
    const { countedClaim } = this;
    const isLate = countedClaim !== undefined && this.calledAtMs === undefined && nowMs > countedClaim.callByMs;
    if (isLate) {
      countedClaim.onLate();
    }
    return isLate;
  }

  /** Checks before the handler is called that it may be. */
  checkCall(): Error | undefined {
    if (this.countedClaim && this.isLate(this.parts.clock.now())) {
      this.abort('late', `the handler of '${this.topic}' could not be called in time: its rate would be exceeded`);
    }
    return this.checkAborted();
  }

  /** The handler is called now. @throws the abort error if it must not be. */
  recordCall(): void {
    const error = this.checkCall();
    if (error) {
      throw error;
    }
    this.calledAtMs ??= this.parts.clock.now();
  }

  /** Guards and pipes come first, and may prevent the call. */
  announceCall(): void {
    this.calledAtMs = undefined;
  }

  /** Records that the outcome is being written. Frees what only the handler needed: thousands of attempts may wait here. */
  markSettling(): void {
    this.isSettling = true;
    this.listener = undefined;
  }

  // What handlers and interceptors use.

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.aborted) {
        this.controller.abort(this.aborted);
      }
    }
    return this.controller.signal;
  }

  get manager(): StoreTransaction {
    const tx = this.requireTransaction('manager');
    if (isJobsTransaction(tx)) {
      throw new InvalidOptionsError('manager', 'the transaction is not one of TypeORM; read job.tx');
    }
    return tx;
  }

  /** The transaction object of the ORM. */
  get ormTransaction(): object {
    return identifyTransaction(this.requireTransaction('tx'));
  }

  private requireTransaction(member: 'manager' | 'tx'): StoreTransaction {
    if (!this.tx) {
      throw new InvalidOptionsError(
        member,
        `only transactional handlers have one; give the handler of '${this.topic}' { transactional: true }`,
      );
    }
    return this.tx;
  }

  progress(value: unknown): Promise<void> {
    return this.logRejection('progress', this.keepProgress(value));
  }

  /** @throws InvalidPayloadError, InvalidOptionsError. */
  log(message: unknown, data: unknown, level: unknown): void {
    const text = toLogText(message, data, level);
    if (this.isOver) {
      this.warnLateLine();
    } else {
      this.parts.logWriter.add(this, text);
    }
  }

  step(name: unknown, work: () => unknown): Promise<unknown> {
    this.steps ??= new JobSteps(this, this.parts.stepWriter);
    return this.logRejection('step', this.steps.run(name, work));
  }

  completeTx(tx: StoreTransaction, result?: unknown): Promise<void> {
    return this.logRejection('completeTx', this.completeIn(tx, result));
  }

  /**
   * Completes the job with others, unless it was completed in this transaction.
   *
   * @param turn the statement is sent after it has resolved; the transaction waits from now on.
   */
  completeWithBatch(tx: StoreTransaction, turn?: Promise<unknown>): Promise<void> {
    return this.logRejection('completeTx', this.completeIn(tx, undefined, { turn }));
  }

  parents(): Promise<ParentJob[]> {
    return this.parts.store.links.parents(this.id);
  }

  trackHandlerPromise(work: Promise<unknown>): void {
    this.handlerPromise = work;
    const onSettled = (): void => {
      this.handlerPromise = this.handlerPromise === work ? undefined : this.handlerPromise;
    };
    work.then(onSettled, onSettled);
  }

  /** Returns the JSON text of a result. Logs what of it JSON cannot hold, once for each place in the results of a topic. */
  toResultText(result: unknown): string | null {
    const { text, loss } = recordResult(result);
    if (loss !== undefined) {
      const warning = `handler of '${this.topic}': ${loss}. Return JSON values`;
      warnOnce(this.parts.logger, 'results', warning, `${warning} (job ${this.id})`);
    }
    return text;
  }

  /** Runs a transactional handler. The last statement completes the job, unless the handler has done so. */
  runInTransaction(work: () => Promise<unknown>): Promise<unknown> {
    return this.parts.store.transaction(async (tx) => {
      this.throwIfAborted();
      this.tx = tx;
      const value = await work();
      await this.useCompletion().completeLast(tx, value);
      return value;
    });
  }

  // Aborting the attempt.

  /** Aborts the handler's signal. The first reason stays. */
  abort(reason: AbortReason, message: string): void {
    this.abortWith(new JobAbortedError(reason, message));
  }

  cancel(): void {
    this.abort('cancelled', 'a cancel of the job was requested');
  }

  /** Another attempt may own the job. */
  loseLease(): void {
    this.abortWith(new LeaseLostError(this.id, this.claim.attempt));
  }

  /** Aborts the attempt when its lease has ended without a renewal. */
  loseExpiredLease(): void {
    if (this.leaseEndsMs <= this.parts.clock.now() && this.mustBeProcessing) {
      this.loseLease();
    }
  }

  /** Aborts the handler, and ends the attempt after a moment, whether the handler returns or not. */
  terminate(reason: AbortReason, message: string): void {
    this.abort(reason, message);
    this.isTerminated = true;
    this.listener?.onTerminated();
  }

  /** Calls the listener when the attempt is terminated, or at once when it has been. */
  listenTermination(listener: AttemptListener): void {
    if (this.isTerminated) {
      listener.onTerminated();
    } else {
      this.listener = listener;
    }
  }

  /** Call this after each wait before the handler runs: another attempt may own the job. @throws the abort error. */
  throwIfAborted(): void {
    const error = this.checkAborted();
    if (error) {
      throw error;
    }
  }

  /** Checks the lease too: no timer has run while the event loop was blocked. */
  checkAborted(): Error | undefined {
    this.loseExpiredLease();
    return this.aborted;
  }

  get abortError(): JobAbortedError | LeaseLostError | undefined {
    return this.aborted;
  }

  get abortedFor(): AbortReason | 'lease_lost' | undefined {
    return this.aborted instanceof JobAbortedError ? this.aborted.reason : this.aborted && 'lease_lost';
  }

  // What this process knows of the row.

  /** Whether the row is `processing`, unless the lease is lost: this process has not tried to end the attempt. */
  get mustBeProcessing(): boolean {
    return !this.isSettling && !this.mayBeCompleted;
  }

  /** Whether a transaction of the handler may have completed the row. */
  get mayBeCompleted(): boolean {
    return this.completion?.mayBeCommitted ?? false;
  }

  /** Whether a transaction of the handler has completed the row, as far as this process knows. */
  get isCompleted(): boolean {
    return this.completion?.isCommitted ?? false;
  }

  /** Whether the handler has tried to complete the job in a transaction: then a returned value does not complete it. */
  get hasTriedCompleteTx(): boolean {
    return this.completion?.decidesOutcome ?? false;
  }

  private useCompletion(): TransactionalCompletion {
    return (this.completion ??= new TransactionalCompletion(this.parts.store, this));
  }

  private async completeIn(tx: StoreTransaction, result: unknown, batch?: BatchPlace): Promise<void> {
    if (this.tx && identifyTransaction(tx) !== identifyTransaction(this.tx)) {
      throw new InvalidOptionsError('tx', 'a transactional handler must pass its own transaction, got another one');
    }
    await this.useCompletion().call(tx, result, batch);
  }

  /** Does not wait for the database. @throws InvalidPayloadError; LeaseLostError when nothing of this attempt counts any more. */
  private async keepProgress(value: unknown): Promise<void> {
    const text = encodeProgress(value);
    if (this.isOver) {
      throw new LeaseLostError(this.id, this.claim.attempt);
    }
    this.unsavedProgress = text;
    this.parts.progressWriter.add(this);
  }

  /** Whether the attempt has ended or has lost its lease: it may write nothing more. */
  get isOver(): boolean {
    return this.isSettling || this.abortedFor === 'lease_lost';
  }

  private warnLateLine(): void {
    if (!this.hasLoggedLate) {
      this.hasLoggedLate = true;
      this.parts.logger.warn(
        `job.log was called after the end of attempt ${this.claim.attempt} of job ${this.id} ('${this.topic}'); the line is ignored`,
      );
    }
  }

  /** Handles the rejection, since a handler that does not await the call must not end the process. */
  private logRejection<T>(call: string, promise: Promise<T>): Promise<T> {
    promise.catch((error: unknown) =>
      this.parts.logger.debug(`${call} of job ${this.id} failed: ${toErrorMessage(error)}`),
    );
    return promise;
  }

  private abortWith(error: JobAbortedError | LeaseLostError): void {
    this.aborted ??= error;
    this.controller?.abort(this.aborted);
    this.listener?.onAborted?.();
  }
}

interface AttemptListener {
  /** The attempt ends in a moment, whether the handler returns or not. */
  onTerminated(): void;
  /** The signal of the attempt has aborted. */
  onAborted?(): void;
}

/**
 * The row after an outcome was written. `lease lost`: another attempt owns the job, the job is gone, or its outcome could not be
 * stored or was abandoned.
 */
export type CompletionResult = Settled | 'lease lost';

/** The event for the end of an attempt. @param outcome `null`: nothing was recorded. */
export function toEndEvent(
  attempt: Attempt,
  outcome: Outcome | null,
  result: CompletionResult,
  durationMs: number | null,
): JobEvent {
  const { id, topic, claim } = attempt;
  if (result === 'lease lost' || !outcome) {
    return { type: 'lease_lost', id, topic, attempt: claim.attempt, durationMs };
  }
  if (result.status === 'completed' || result.status === 'cancelled') {
    return { type: result.status, id, topic, attempt: claim.attempt, durationMs };
  }
  const base = { id, topic, attempt: claim.attempt, durationMs };
  if (result.status === 'failed') {
    return { type: 'failed', ...base, error: 'failure' in outcome ? outcome.failure : toFailure(attempt.abortError) };
  }
  const runAt = result.runAt ?? claim.runAt;
  return outcome.kind === 'retry'
    ? { type: 'retrying', ...base, error: outcome.failure, retries: result.retries ?? claim.retries, runAt }
    : { type: outcome.kind === 'release' ? 'released' : 'snoozed', ...base, runAt };
}
