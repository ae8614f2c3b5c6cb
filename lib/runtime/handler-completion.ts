import { JobStateError, LeaseLostError } from '../core/errors.js';
import type { ClaimToken } from '../core/job.js';
import { recordedJson } from '../core/recorded-json.js';
import type { JobStore, StoreTransaction } from '../store/job-store.js';

/** The completion of a job in a transaction of its handler's own. */
export class HandlerCompletion {
  private state: 'none' | 'possible' | 'committed' | 'rolled back' = 'none';
  private lastCall: Promise<void> | undefined;

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
    if (!this.wasCalled || !(await this.standsIn(tx))) {
      await this.complete(tx, result);
    }
  }

  /** Whether a handler has tried to, whether or not that has committed; not where that was refused and nothing was lost. */
  get wasCalled(): boolean {
    return this.state !== 'none';
  }

  /** Whether `completed` may stand in the table already. */
  get isPossible(): boolean {
    return this.state === 'possible' || this.state === 'committed';
  }

  /** Whether it does, as far as this process knows. */
  get isCommitted(): boolean {
    return this.state === 'committed';
  }

  private async complete(tx: StoreTransaction, result: unknown): Promise<void> {
    const before = this.state;
    let call: 'under way' | 'accepted' | 'failed' = 'under way';
    this.store.afterTransaction(tx, (committed) => {
      if (call === 'accepted') {
        this.state = committed ? 'committed' : 'rolled back';
      } else if (call === 'failed' && !committed) {
        this.noteLoss();
      }
    });
    // Said before the statement is sent: its transaction may commit before this process hears of it.
    this.state = 'possible';
    try {
      await this.store.completeTx(tx, this.token, recordedJson(result));
      call = 'accepted';
    } catch (error) {
      this.state = before;
      if (error instanceof LeaseLostError) {
        throw await this.explained(error, tx);
      }
      if (!(error instanceof JobStateError)) {
        call = 'failed';
        if (this.store.capabilities.failureEndsTransaction) {
          this.noteLoss();
        }
      }
      throw error;
    }
  }

  /** What the handler wrote beside the completion is gone: its return must not complete the job without. */
  private noteLoss(): void {
    this.state = this.state === 'none' ? 'rolled back' : this.state;
  }

  /** It may be the handler itself that has completed the job, before in this transaction. */
  private async explained(error: LeaseLostError, tx: StoreTransaction): Promise<LeaseLostError> {
    if (!this.isPossible) {
      this.onLost();
    } else if (this.state === 'possible' && (await this.standsIn(tx))) {
      const { id, attempt } = this.token;
      return new LeaseLostError(id, attempt, 'completeTx has completed the job already, in this transaction');
    }
    return error;
  }

  /** Whether this attempt has completed the job, as the transaction sees it. */
  private async standsIn(tx: StoreTransaction): Promise<boolean> {
    const { id, attempt } = this.token;
    const [job] = await this.store.find([id], tx);
    return job?.status === 'completed' && job.attempt === attempt;
  }
}
