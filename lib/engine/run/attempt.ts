import type { Clock } from '../../core/clock.js';
import type { AbortReason } from '../../core/errors.js';
import { InvalidOptionsError, JobAbortedError, LeaseLostError } from '../../core/errors.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { Claim } from '../../core/job.js';
import type { JobContext } from '../../core/job-handler.js';
import type { JobsLogger } from '../../core/logger.js';
import { toRecordedJson } from '../../core/payload.js';
import type { JobStore, StoreTransaction } from '../../store/job-store.js';
import type { ProgressEntry } from '../../store/store-records.js';
import type { AttemptHandle } from './handler-context.js';
import { HandlerContext } from './handler-context.js';
import type { Batcher } from '../batcher.js';
import { TransactionalCompletion } from './transactional-completion.js';

/** Who waits for the end of an attempt. */
export interface DismissObserver {
  dismissed(): void;
}

/** What all attempts share. */
export interface AttemptParts {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly progressBatcher: Batcher<ProgressEntry, boolean>;
  readonly logger: JobsLogger;
}

/**
 * One attempt of one job, running in this process: what the engine knows of it. The handler sees its {@link context}.
 */
export class Attempt implements AttemptHandle {
  /** When it began, by the process's clock; until then, when it was claimed. */
  sinceMs: number;
  hasBegun = false;
  /** Its place among those whose leases are renewed; `undefined`: it is not there. */
  heldAt: number | undefined;
  hasSlot = false;
  /** When it was given a slot, by the process's clock. */
  slotSinceMs = NaN;
  /** When it gave its slot back, by the process's clock: its handler has returned, or is not called. `undefined` until then. */
  slotUntilMs: number | undefined;
  /** The handler's own promise, where an interceptor may stop waiting for it; `undefined` once it has settled. */
  work: Promise<unknown> | undefined;
  /** The last progress that is on its way into the table; `undefined`: none is. Never rejects. */
  recording: Promise<void> | undefined;

  private hasOutcome = false;
  /** Made when somebody asks for the signal, which few handlers do: two for each job cost a fifth of the time of a drain. */
  private controller: AbortController | undefined;
  private abortReason: JobAbortedError | LeaseLostError | undefined;
  private isDismissed = false;
  private observer: DismissObserver | undefined;
  private tx: StoreTransaction | undefined;
  private madeContext: HandlerContext | undefined;
  /** Made when a transaction of the handler's own is to complete the job, which few do. */
  private madeCompletion: TransactionalCompletion | undefined;

  constructor(
    private given: Claim,
    private readonly parts: AttemptParts,
    /** When it was claimed, by the process's clock. */
    claimedAtMs: number,
    /** When its lease ends at the latest, by the process's clock: counted from before the database was asked. */
    public leaseEndsMs: number,
  ) {
    this.sinceMs = claimedAtMs;
  }

  /** What handlers, guards and interceptors are given: data, and four things they may do. */
  get context(): JobContext {
    return (this.madeContext ??= new HandlerContext(this.claim, this));
  }

  /** What the database gave. */
  get claim(): Claim {
    return this.given;
  }

  /** Where its row is now; `undefined`: that is not known. */
  setRowRef(place: string | undefined): void {
    this.given = { ...this.given, rowRef: place };
  }

  /** Its handler is called now. */
  begin(nowMs: number): void {
    this.sinceMs = nowMs;
    this.hasBegun = true;
  }

  /** Its outcome is on its way. Thousands may be: what only its handler needed is let go. */
  settle(): void {
    this.hasOutcome = true;
    this.observer = undefined;
    this.madeContext = undefined;
  }

  /** Whether its outcome is being written. */
  get isSettling(): boolean {
    return this.hasOutcome;
  }

  /** Whether its row must be `processing`, unless the lease is lost: no hand of ours can have moved it. */
  get mustBeProcessing(): boolean {
    return !this.hasOutcome && !this.mayBeCompleted;
  }

  get id(): string {
    return this.claim.id;
  }

  get topic(): string {
    return this.claim.topic;
  }

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.abortReason) {
        this.controller.abort(this.abortReason);
      }
    }
    return this.controller.signal;
  }

  /** Tells the observer when the attempt is to be settled, whether its handler returns or not. */
  whenDismissed(observer: DismissObserver): void {
    if (this.isDismissed) {
      observer.dismissed();
    } else {
      this.observer = observer;
    }
  }

  worksUntil(end: Promise<unknown>): void {
    this.work = end;
    const over = (): void => {
      this.work = this.work === end ? undefined : this.work;
    };
    end.then(over, over);
  }

  /** Gives the handler what its topic's schema made of the payload. */
  accept(payload: unknown): void {
    Object.assign(this.context, { payload });
  }

  get manager(): StoreTransaction {
    if (!this.tx) {
      throw new InvalidOptionsError(
        'manager',
        `the handler of '${this.topic}' has none; give it { transactional: true }`,
      );
    }
    return this.tx;
  }

  /** For the handler, which may not await it, nor `completeTx`. */
  progress(value: unknown): Promise<void> {
    const recorded = this.heard('progress', this.recordProgress(value));
    const over = (): void => {
      this.recording = this.recording === recording ? undefined : this.recording;
    };
    const recording = recorded.then(over, over);
    this.recording = recording;
    return recorded;
  }

  completeTx(manager: StoreTransaction, result?: unknown): Promise<void> {
    return this.heard('completeTx', this.completeIn(manager, result));
  }

  /** Runs the handler's work inside a transaction whose last statement completes the job, unless the handler has done that. */
  runInTransaction(work: () => Promise<unknown>): Promise<unknown> {
    return this.parts.store.transaction(async (tx) => {
      this.throwIfEnding();
      this.tx = tx;
      const value = await work();
      if (!this.mayBeCompleted) {
        // Once it is, the row is locked until the commit.
        await this.recording;
      }
      await this.completion.completeLast(tx, value);
      return value;
    });
  }

  /** To be asked after a wait for a schema or a connection: by then another attempt may own the job. */
  throwIfEnding(): void {
    const ending = this.endingNow();
    if (ending) {
      throw ending;
    }
  }

  /** Why its handler is not to be called any more, if it is not: where the event loop was held, nobody may have said so yet. */
  endingNow(): Error | undefined {
    this.loseEndedLease();
    return this.abortReason;
  }

  /** Tells the handler to end. The first reason stays. */
  abort(reason: AbortReason, message: string): void {
    this.abortWith(new JobAbortedError(reason, message));
  }

  /** Somebody asked to cancel the job. */
  cancel(): void {
    this.abort('cancelled', 'somebody asked to cancel the job');
  }

  /** Tells the handler to end, and waits for it no longer than a moment, whatever it was told before. */
  dismiss(reason: AbortReason, message: string): void {
    this.abort(reason, message);
    this.isDismissed = true;
    this.observer?.dismissed();
  }

  /** Tells the handler that another attempt may own the job by now. */
  loseLease(): void {
    this.abortWith(new LeaseLostError(this.id, this.claim.attempt));
  }

  /** Loses the lease if it must have ended by now: the database has not answered for so long. */
  loseEndedLease(): void {
    if (this.leaseEndsMs <= this.parts.clock.now() && this.mustBeProcessing) {
      this.loseLease();
    }
  }

  /** Why it was told to end, if it was. */
  get abortedFor(): AbortReason | 'lease_lost' | undefined {
    return this.abortReason instanceof JobAbortedError ? this.abortReason.reason : this.abortReason && 'lease_lost';
  }

  /** What the handler was told as the reason. */
  get reason(): JobAbortedError | LeaseLostError | undefined {
    return this.abortReason;
  }

  /** Whether `completed` may stand in the table already, by a transaction of the handler's own. */
  get mayBeCompleted(): boolean {
    return this.madeCompletion?.isPossible ?? false;
  }

  /** Whether it does, as far as this process knows. */
  get isCompleted(): boolean {
    return this.madeCompletion?.isCommitted ?? false;
  }

  /** Whether its end is up to a transaction of the handler's own, whatever became of that. */
  get isUpToTransaction(): boolean {
    return this.madeCompletion?.isUpToTransaction ?? false;
  }

  private get completion(): TransactionalCompletion {
    return (this.madeCompletion ??= new TransactionalCompletion(this.parts.store, this.claim, () => this.loseLease()));
  }

  private async completeIn(manager: StoreTransaction, result: unknown): Promise<void> {
    if (this.tx && manager !== this.tx) {
      throw new InvalidOptionsError('manager', 'expected job.manager, the transaction of this handler, got another');
    }
    await this.completion.call(manager, result);
  }

  private async recordProgress(value: unknown): Promise<void> {
    if (await this.parts.progressBatcher.add({ token: this.claim, progress: toRecordedJson(value) })) {
      return;
    }
    if (this.mustBeProcessing) {
      this.loseLease();
    }
    throw new LeaseLostError(this.id, this.claim.attempt);
  }

  /** A refusal of which nobody hears must not end the process. */
  private heard(call: string, answer: Promise<void>): Promise<void> {
    answer.catch((error: unknown) =>
      this.parts.logger.debug(`${call} of job ${this.id} was refused: ${toErrorMessage(error)}`),
    );
    return answer;
  }

  private abortWith(reason: JobAbortedError | LeaseLostError): void {
    this.abortReason ??= reason;
    this.controller?.abort(this.abortReason);
  }
}
