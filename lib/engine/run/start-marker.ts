import { toErrorMessage } from '../../core/error-text.js';
import { QueueUnavailableError } from '../../core/errors.js';
import type { ClaimState } from '../../store/jobs/job-records.js';
import { Batcher } from '../runtime/batcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Attempt } from './attempt.js';

/**
 * Marks in the row that a last attempt, or a job with an expiry, starts: many in one statement, before the handler is called. When this
 * process crashes, a job that was not marked returns to `pending` and does not fail: see docs/adr/0019-unstarted-last-attempts.md. The
 * database refuses the mark of a job that has expired.
 */
export class StartMarker {
  private readonly batcher: Batcher<Attempt, ClaimState>;
  private hasLoggedRefusal = false;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'logger'>) {
    this.batcher = new Batcher({ run: (attempts) => parts.store.markStarted(attempts.map(({ claim }) => claim)) });
  }

  /**
   * Returns whether the row is marked. If not, the job must be released: its row is locked or lost, the job has expired, or the database
   * failed.
   */
  async mark(attempt: Attempt): Promise<boolean> {
    try {
      const { state, cancelRequested, rowRef } = await this.batcher.add(attempt);
      attempt.setRowRef(rowRef);
      if (cancelRequested) {
        attempt.cancel();
      }
      this.hasLoggedRefusal &&= state !== 'held';
      return state === 'held';
    } catch (error) {
      // The completer logs outages, since the release fails too.
      if (!(error instanceof QueueUnavailableError || this.hasLoggedRefusal)) {
        this.hasLoggedRefusal = true;
        this.parts.logger.error(
          `could not mark attempts as started; their jobs return to the queue: ${toErrorMessage(error)}`,
        );
      }
      return false;
    }
  }
}
