import type { AbortReason } from '../core/errors.js';
import { InvalidOptionsError, JobAbortedError, LeaseLostError, messageOf } from '../core/errors.js';
import type { Claim } from '../core/job.js';
import type { JobContext } from '../core/job-context.js';
import type { JobsLogger } from '../core/logger.js';
import { recordedJson } from '../core/recorded-json.js';
import type { JobStore, ProgressEntry, StoreTransaction } from '../store/job-store.js';
import type { Batcher } from './batcher.js';

/** Who waits for the end of an attempt. */
export interface DismissObserver {
  dismissed(): void;
}

/** What all attempts share. */
export interface AttemptParts {
  readonly store: JobStore;
  readonly progressBatcher: Batcher<ProgressEntry, boolean>;
  readonly logger: JobsLogger;
}

/**
 * One attempt of one job, running in this process: what the engine knows of it. The handler sees its {@link context}.
 */
export class Attempt {
  /** When it began, by the process's clock; until then, when it was claimed. */
  sinceMs: number;
  hasBegun = false;
  /** Its outcome is being written: the row may have left `processing` by our own hand. */
  isSettling = false;

  /** Made when somebody asks for the signal, which few handlers do: two for each job cost a fifth of the time of a drain. */
  private controller: AbortController | undefined;
  private abortReason: JobAbortedError | LeaseLostError | undefined;
  private isDismissed = false;
  private observer: DismissObserver | undefined;
  private tx: StoreTransaction | undefined;
  private madeContext: AttemptContext | undefined;
  /** How far `completed` has come in a transaction of the handler's own. */
  private completion: 'none' | 'possible' | 'committed' | 'rolled back' = 'none';
  /** The handler's last call of `completeTx`. */
  private asked: Promise<void> | undefined;

  constructor(
    /** What the database gave. */
    readonly claim: Claim,
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
    return (this.madeContext ??= new AttemptContext(this.claim, this));
  }

  /** Its handler is called now. */
  begin(nowMs: number): void {
    this.sinceMs = nowMs;
    this.hasBegun = true;
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

  /** `progress` for the handler, which may not await it. */
  progressByHandler(value: unknown): Promise<void> {
    return this.heard('progress', this.progress(value));
  }

  /** The same of `completeTx`. */
  completeByHandler(manager: StoreTransaction, result?: unknown): Promise<void> {
    this.asked = this.heard('completeTx', this.completeTx(manager, result));
    return this.asked;
  }

  /** A refusal of which nobody hears must not end the process. */
  private heard(call: string, answer: Promise<void>): Promise<void> {
    answer.catch((error: unknown) =>
      this.parts.logger.debug(`${call} of job ${this.id} was refused: ${messageOf(error)}`),
    );
    return answer;
  }

  private async progress(value: unknown): Promise<void> {
    if (!(await this.parts.progressBatcher.add({ token: this.claim, progress: recordedJson(value) }))) {
      this.loseLease();
      throw new LeaseLostError(this.id, this.claim.attempt);
    }
  }

  private async completeTx(manager: StoreTransaction, result?: unknown): Promise<void> {
    const before = this.completion;
    let isAccepted = false;
    this.parts.store.afterTransaction(manager, (committed) => {
      if (isAccepted) {
        this.completion = committed ? 'committed' : 'rolled back';
      }
    });
    // Said before the statement is sent: its transaction may commit before this process hears of it.
    this.completion = 'possible';
    try {
      await this.parts.store.completeTx(manager, this.claim, recordedJson(result));
      isAccepted = true;
    } catch (error) {
      this.completion = before;
      if (error instanceof LeaseLostError) {
        await this.explainLoss(manager);
      }
      throw error;
    }
  }

  /** @throws LeaseLostError that says so when it was the handler itself that completed the job, before in this transaction. */
  private async explainLoss(tx: StoreTransaction): Promise<void> {
    if (!this.mayBeCompleted) {
      this.loseLease();
    } else if (this.completion === 'possible' && (await this.standsCompletedIn(tx))) {
      throw new LeaseLostError(
        this.id,
        this.claim.attempt,
        'completeTx has completed the job already, in this transaction',
      );
    }
  }

  /** Runs the handler's work inside a transaction whose last statement completes the job, unless the handler has done that. */
  runInTransaction(work: () => Promise<unknown>): Promise<unknown> {
    return this.parts.store.transaction(async (tx) => {
      this.throwIfEnding();
      this.tx = tx;
      const value = await work();
      if (!(await this.isCompletedIn(tx))) {
        await this.completeTx(tx, value);
      }
      return value;
    });
  }

  /** Whether the handler has completed the job itself, as this transaction sees it. */
  private async isCompletedIn(tx: StoreTransaction): Promise<boolean> {
    // The handler may not have awaited it: what it is refused with must not come after the commit.
    await this.asked?.catch(() => undefined);
    return this.hasCalledCompleteTx && this.standsCompletedIn(tx);
  }

  private async standsCompletedIn(tx: StoreTransaction): Promise<boolean> {
    const [job] = await this.parts.store.find([this.id], tx);
    return job?.status === 'completed' && job.attempt === this.claim.attempt;
  }

  /** To be asked after a wait for a schema or a connection: by then another attempt may own the job. */
  throwIfEnding(): void {
    if (this.abortReason) {
      throw this.abortReason;
    }
  }

  /** Tells the handler to end. The first reason stays. */
  abort(reason: AbortReason, message: string): void {
    this.abortWith(new JobAbortedError(reason, message));
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

  private abortWith(reason: JobAbortedError | LeaseLostError): void {
    this.abortReason ??= reason;
    this.controller?.abort(this.abortReason);
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
    return this.completion === 'possible' || this.completion === 'committed';
  }

  /** Whether it does, as far as this process knows. */
  get isCompleted(): boolean {
    return this.completion === 'committed';
  }

  /** Whether the handler has completed the job in a transaction of its own, whether or not that has committed. */
  get hasCalledCompleteTx(): boolean {
    return this.completion !== 'none';
  }
}

/** Where a job keeps its attempt, hidden from whoever prints, copies or serialises it. */
const ATTEMPT = Symbol('attempt');

/** Why the attempt behind a handler's job is to end, if it is; asked without making a signal. */
export function endingOf(job: object): Error | undefined {
  return (job as Partial<AttemptContext>)[ATTEMPT]?.reason;
}

/** One for all jobs: an accessor of each one's own took three times the memory of all the rest of it. */
const signalOfAttempt = {
  get(this: AttemptContext): AbortSignal {
    return this[ATTEMPT].signal;
  },
  enumerable: true,
};

/** What a handler sees of its attempt. */
class AttemptContext implements JobContext {
  readonly id: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly retries: number;
  readonly maxRetries: number;
  readonly runAt: Date;
  readonly created: Date;
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /** Own members, so that a handler may take them out of the job, and find them in a copy of it. */
  readonly progress: JobContext['progress'];
  readonly completeTx: JobContext['completeTx'];
  /** One of these as well; made when somebody asks. */
  declare readonly signal: AbortSignal;
  declare readonly [ATTEMPT]: Attempt;

  constructor(claim: Claim, own: Attempt) {
    this.id = claim.id;
    this.topic = claim.topic;
    this.payload = claim.payload;
    this.attempt = claim.attempt;
    this.retries = claim.retries;
    this.maxRetries = claim.maxRetries;
    this.runAt = claim.runAt;
    this.created = claim.created;
    this.metadata = claim.metadata;
    this.progress = (value) => own.progressByHandler(value);
    this.completeTx = (manager, result) => own.completeByHandler(manager, result);
    Object.defineProperty(this, ATTEMPT, { value: own });
    Object.defineProperty(this, 'signal', signalOfAttempt);
  }

  get manager(): StoreTransaction {
    return this[ATTEMPT].manager;
  }
}
