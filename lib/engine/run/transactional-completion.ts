import { JobStateError, LeaseLostError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import type { LinkChanges } from '../../store/links/link-store.js';
import type { JobStore } from '../../store/job-store.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import { identifyTransaction, isJobsTransaction } from '../../store/transactions/adapted-transactions.js';

/** What a completion uses of its attempt. */
interface CompletedAttempt {
  readonly claim: ClaimToken;
  readonly unsavedProgress: string | undefined;
  readonly startedMs?: number | undefined;
  toResultText(result: unknown): string | null;
  loseLease(): void;
}

/** The place of a job in the `completeTx` of its batch, where a job that this transaction has completed takes no part. */
export interface BatchPlace {
  /** The statement is sent after it has resolved. */
  readonly turn: Promise<unknown> | undefined;
}

/** Completes a job in a transaction of its handler, and records whether that transaction commits. */
export class TransactionalCompletion {
  /** Whether a transaction with a completion has committed. */
  isCommitted = false;
  /**
   * Calls that are under way, or accepted by a transaction that is open. If this process cannot see the end
   * of a transaction, the call counts until the row shows whether it committed.
   */
  private possible = 0;
  /** Whether a completion failed, came too late into a transaction that rolled back, or was rolled back with it. */
  private wasLost = false;
  private lastCall: Promise<void> | undefined;
  /** The transaction of the last accepted call. */
  private acceptedBy: object | undefined;

  constructor(
    private readonly store: JobStore,
    private readonly attempt: CompletedAttempt,
  ) {}

  /** Whether the row may be `completed`. */
  get mayBeCommitted(): boolean {
    return this.isCommitted || this.possible > 0;
  }

  /** Whether a transaction decides the outcome of the attempt, whether it commits or not. */
  get decidesOutcome(): boolean {
    return this.mayBeCommitted || this.wasLost;
  }

  /** The handler's `completeTx`. @param batch set for that of a batch. */
  call(tx: StoreTransaction, result: unknown, batch?: BatchPlace): Promise<void> {
    this.lastCall = this.complete(tx, result, batch);
    return this.lastCall;
  }

  /** Completes the job in this transaction, unless the handler has done so in it. */
  async completeLast(tx: StoreTransaction, result: unknown): Promise<void> {
    // The handler may not have awaited its call.
    await this.lastCall?.catch(() => undefined);
    if (!(await this.isCompletedIn(tx))) {
      await this.complete(tx, result);
    }
  }

  private async complete(tx: StoreTransaction, result: unknown, batch?: BatchPlace): Promise<void> {
    let state: 'too late' | 'sent' | 'accepted' = 'too late';
    let changes: LinkChanges | undefined;
    const call = this.store.joinTransaction(tx, (committed) => {
      // ORMs also report a COMMIT that PostgreSQL has answered with ROLLBACK: the row decides.
      if (isJobsTransaction(tx)) {
        return;
      }
      this.wasLost ||= !committed && state !== 'sent';
      if (state === 'accepted') {
        this.possible -= 1;
        this.isCommitted ||= committed;
        if (committed && changes) {
          this.store.links.report(changes);
        }
      }
    });
    state = 'sent';
    // Counted before the statement is sent: its transaction may commit before this process reads the response.
    this.possible += 1;
    try {
      if (batch?.turn) {
        await batch.turn;
      }
      const { claim, unsavedProgress, startedMs } = this.attempt;
      changes = await this.store.completeTx(tx, claim, this.attempt.toResultText(result), unsavedProgress, startedMs);
      state = 'accepted';
      this.acceptedBy = identifyTransaction(tx);
      call.finish();
    } catch (error) {
      this.possible -= 1;
      if (error instanceof LeaseLostError && (await this.isCompletedIn(tx).catch(() => false))) {
        call.finish();
        if (batch) {
          return;
        }
        const { id, attempt } = this.attempt.claim;
        throw new LeaseLostError(id, attempt, 'is over: completeTx has already completed the job in this transaction');
      }
      if (error instanceof LeaseLostError && !this.mayBeCommitted) {
        this.attempt.loseLease();
      }
      // After a cancel request the store cancels the job, whatever the outcome.
      this.wasLost ||= !(error instanceof LeaseLostError || error instanceof JobStateError);
      // The other writes of this transaction must not commit without the completion.
      await call.finish(error as Error);
      throw error;
    }
  }

  /** Reads the row: the handler may have undone an accepted completion with a `ROLLBACK TO SAVEPOINT` of its own. */
  private async isCompletedIn(tx: StoreTransaction): Promise<boolean> {
    if (this.acceptedBy !== identifyTransaction(tx) || this.possible === 0) {
      return false;
    }
    const { id, attempt } = this.attempt.claim;
    const [job] = await this.store.find([id], tx);
    return job?.status === 'completed' && job.attempt === attempt;
  }
}
