import { JobStateError, LeaseLostError } from '../../core/errors.js';
import type { ClaimToken } from '../../core/job.js';
import { toRecordedJson } from '../../core/payload.js';
import type { JobStore, StoreTransaction, TransactionPart } from '../../store/job-store.js';

/** The completion of a job in a transaction of its handler's own. */
export class TransactionalCompletion {
  /** Calls that may have completed it: under way, or accepted by a transaction that is open. */
  private possible = 0;
  private hasCommitted = false;
  /** Whether a transaction was lost with which the handler meant to complete it. */
  private wasLost = false;
  private lastCall: Promise<void> | undefined;
  /** Whose call was the last one to be accepted. */
  private acceptedBy: StoreTransaction | undefined;
  private readonly refused: { readonly tx: StoreTransaction; readonly part: TransactionPart }[] = [];

  constructor(
    private readonly store: JobStore,
    private readonly token: ClaimToken,
    /** Another attempt owns the job. */
    private readonly onLost: () => void,
  ) {}

  /** The handler's `completeTx`. */
  call(tx: StoreTransaction, result: unknown): Promise<void> {
    this.lastCall = this.complete(tx, result);
    return this.lastCall;
  }

  /** Completes the job in this transaction, unless the handler has done so. */
  async completeLast(tx: StoreTransaction, result: unknown): Promise<void> {
    // The handler may not have awaited it: what it is refused with must not come after the commit.
    await this.lastCall?.catch(() => undefined);
    if (!this.isUpToTransaction || !(await this.standsIn(tx))) {
      await this.complete(tx, result);
    }
  }

  /** Whether the end of the job is up to a transaction of the handler's, whatever became of that. */
  get isUpToTransaction(): boolean {
    return this.isPossible || this.wasLost;
  }

  /** Whether `completed` may stand in the table already. */
  get isPossible(): boolean {
    return this.hasCommitted || this.possible > 0;
  }

  /** Whether it does, as far as this process knows. */
  get isCommitted(): boolean {
    return this.hasCommitted;
  }

  private async complete(tx: StoreTransaction, result: unknown): Promise<void> {
    let isLate = true;
    let isAccepted = false;
    const part = this.store.joinTransaction(tx, (committed) => {
      if (isAccepted) {
        this.possible -= 1;
        this.hasCommitted ||= committed;
      }
      this.wasLost ||= !committed && (isAccepted || isLate);
    });
    isLate = false;
    // Counted before the statement is sent: its transaction may commit before this process hears of it.
    this.possible += 1;
    try {
      await this.store.completeTx(tx, this.token, toRecordedJson(result));
      isAccepted = true;
      this.acceptedBy = tx;
      this.refused.filter((other) => other.tx === tx).forEach((other) => other.part.pardon());
      part.settled();
    } catch (error) {
      this.possible -= 1;
      if (error instanceof LeaseLostError && (await this.isTwice(tx))) {
        part.settled();
        const { id, attempt } = this.token;
        throw new LeaseLostError(id, attempt, 'is over: completeTx has completed the job already, in this transaction');
      }
      this.refuse(tx, part, error as Error);
      throw error;
    }
  }

  /** What stands beside a completion that was refused must not commit. */
  private refuse(tx: StoreTransaction, part: TransactionPart, refusal: Error): void {
    if (!(refusal instanceof LeaseLostError)) {
      // A cancel has the last word, whatever the handler returns. All else must not be taken for the end of the job.
      this.wasLost ||= !(refusal instanceof JobStateError);
    } else if (!this.isPossible) {
      this.onLost();
    }
    this.refused.push({ tx, part });
    part.settled(refusal);
  }

  /** Whether it is the handler itself that has completed the job, before in this transaction. */
  private async isTwice(tx: StoreTransaction): Promise<boolean> {
    return this.acceptedBy === tx && this.possible > 0 && (await this.standsIn(tx).catch(() => false));
  }

  /** Whether this attempt has completed the job, as the transaction sees it. */
  private async standsIn(tx: StoreTransaction): Promise<boolean> {
    const { id, attempt } = this.token;
    const [job] = await this.store.find([id], tx);
    return job?.status === 'completed' && job.attempt === attempt;
  }
}
