import type { AbortReason } from '../core/errors.js';
import { InvalidOptionsError, JobAbortedError, LeaseLostError } from '../core/errors.js';
import type { Claim } from '../core/job.js';
import type { JobContext } from '../core/job-context.js';
import { recordedJson } from '../core/recorded-json.js';
import type { JobStore, StoreTransaction } from '../store/job-store.js';

/** One attempt of one job, running in this process: what the handler sees of it, and what the engine knows of it. */
export class Attempt implements JobContext {
  readonly id: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly retries: number;
  readonly maxRetries: number;
  readonly runAt: Date;
  readonly created: Date;
  readonly metadata: Readonly<Record<string, unknown>> | null;

  private readonly controller = new AbortController();
  private tx: StoreTransaction | undefined;
  /** How far `completed` has come in a transaction of the handler's own. */
  private completion: 'none' | 'possible' | 'committed' | 'rolled back' = 'none';

  constructor(
    /** What the database gave. The engine's own; handlers see its members. */
    readonly claim: Claim,
    private readonly store: JobStore,
    /** When it began, by the process's clock. */
    readonly sinceMs: number,
  ) {
    this.id = claim.id;
    this.topic = claim.topic;
    this.payload = claim.payload;
    this.attempt = claim.attempt;
    this.retries = claim.retries;
    this.maxRetries = claim.maxRetries;
    this.runAt = claim.runAt;
    this.created = claim.created;
    this.metadata = claim.metadata;
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get manager(): StoreTransaction {
    if (!this.tx) {
      throw new InvalidOptionsError('manager', `the handler of '${this.topic}' is not transactional`);
    }
    return this.tx;
  }

  async progress(value: unknown): Promise<void> {
    if (!(await this.store.recordProgress(this.claim, recordedJson(value)))) {
      this.loseLease();
      throw new LeaseLostError(this.id, this.attempt);
    }
  }

  async completeTx(manager: StoreTransaction, result?: unknown): Promise<void> {
    const before = this.completion;
    let isAccepted = false;
    this.store.afterTransaction(manager, (committed) => {
      if (isAccepted) {
        this.completion = committed ? 'committed' : 'rolled back';
      }
    });
    // Said before the statement is sent: its transaction may commit before this process hears of it.
    this.completion = 'possible';
    try {
      await this.store.completeTx(manager, this.claim, recordedJson(result));
      isAccepted = true;
    } catch (error) {
      this.completion = before;
      if (error instanceof LeaseLostError && !this.mayBeCompleted) {
        this.loseLease();
      }
      throw error;
    }
  }

  /** Runs the handler's work inside a transaction whose last statement completes the job. */
  runInTransaction(work: () => Promise<unknown>): Promise<unknown> {
    return this.store.transaction(async (tx) => {
      this.tx = tx;
      const value = await work();
      await this.completeTx(tx, value);
      return value;
    });
  }

  /** Tells the handler to end. The first reason stays. */
  abort(reason: AbortReason, message: string): void {
    this.controller.abort(new JobAbortedError(reason, message));
  }

  /** Tells the handler that another attempt may own the job by now. */
  loseLease(): void {
    this.controller.abort(new LeaseLostError(this.id, this.attempt));
  }

  /** Why it was told to end, if it was. */
  get abortedFor(): AbortReason | 'lease_lost' | undefined {
    const reason = this.signal.reason as unknown;
    return reason instanceof JobAbortedError
      ? reason.reason
      : reason instanceof LeaseLostError
        ? 'lease_lost'
        : undefined;
  }

  /** Whether `completed` may stand in the table already, by a transaction of the handler's own. */
  get mayBeCompleted(): boolean {
    return this.completion === 'possible' || this.completion === 'committed';
  }

  /** Whether the handler completed the job in a transaction that was rolled back: its effects are gone. */
  get isCompletionUndone(): boolean {
    return this.completion === 'rolled back';
  }
}
