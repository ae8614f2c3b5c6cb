import type { ScheduledWake } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import { QueueUnavailableError } from '../../core/errors.js';
import type { ClaimState } from '../../store/jobs/job-records.js';
import { Batcher } from '../runtime/batcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Attempt } from './attempt.js';

/** How long a value waits for later ones, and the pause after a failure. */
const INTERVAL_MS = 1_000;

/**
 * Writes the latest progress of running jobs, all jobs in one statement, at most once a second. The outcome of an attempt carries a
 * value that is not in the row yet, so the writer ignores attempts that have ended. Costs nothing while no handler calls `progress`.
 */
export class ProgressWriter {
  private readonly waiting = new Set<Attempt>();
  private readonly batcher: Batcher<Attempt, unknown>;
  private timer: ScheduledWake | undefined;
  private hasLoggedFailure = false;
  private isStopped = false;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'logger'>) {
    this.batcher = new Batcher({
      run: (attempts) => this.write(attempts),
      measureLength: ({ unsavedProgress }) => unsavedProgress?.length ?? 0,
    });
  }

  /** Writes the value of `unsavedProgress` within a second. */
  add(attempt: Attempt): void {
    this.waiting.add(attempt);
    this.schedule();
  }

  /** Undoes `stop`. */
  start(): void {
    this.isStopped = false;
  }

  /** Resolves when the running statement has ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.waiting.clear();
    this.timer?.cancel();
    this.timer = undefined;
    await this.batcher.idle();
  }

  private schedule(): void {
    if (this.waiting.size > 0 && !this.isStopped) {
      this.timer ??= this.parts.clock.schedule(INTERVAL_MS, () => void this.writeWaiting());
    }
  }

  private async writeWaiting(): Promise<void> {
    const attempts = [...this.waiting];
    this.waiting.clear();
    const failures: unknown[] = [];
    const onFailure = (attempt: Attempt, error: unknown): void => {
      failures.push(error);
      if (error instanceof QueueUnavailableError) {
        this.waiting.add(attempt);
      } else {
        // The outcome must not fail for a value that the database refuses.
        attempt.unsavedProgress = undefined;
      }
    };
    await Promise.all(
      attempts.map((attempt) => this.batcher.add(attempt).catch((error: unknown) => onFailure(attempt, error))),
    );
    this.logFailures(failures);
    this.timer = undefined;
    this.schedule();
  }

  private async write(attempts: readonly Attempt[]): Promise<readonly unknown[]> {
    const running = attempts.filter((attempt) => attempt.mustBeProcessing && attempt.unsavedProgress !== undefined);
    const values = running.map(({ unsavedProgress }) => unsavedProgress!);
    const entries = running.map(({ claim }, index) => ({ token: claim, progress: values[index]! }));
    const states = entries.length === 0 ? [] : await this.parts.store.recordProgress(entries);
    running.forEach((attempt, index) => this.onWritten(attempt, values[index]!, states[index]!));
    // A transaction of the handler may complete the others. When it is rolled back, the next pass writes their values.
    attempts
      .filter(({ mayBeCompleted, isSettling }) => mayBeCompleted && !isSettling)
      .forEach((attempt) => this.waiting.add(attempt));
    return attempts;
  }

  private onWritten(attempt: Attempt, value: string, row: ClaimState): void {
    if (row.state === 'held' && attempt.unsavedProgress === value) {
      attempt.unsavedProgress = undefined;
    }
    if (row.state === 'locked') {
      this.waiting.add(attempt);
    }
    attempt.applyState(row);
  }

  /** Logs once per outage. */
  private logFailures(failures: readonly unknown[]): void {
    const [error] = failures;
    if (error !== undefined && !this.hasLoggedFailure) {
      const next =
        error instanceof QueueUnavailableError
          ? 'the latest values are kept and written later'
          : 'the database refused them, and they are dropped';
      this.parts.logger.warn(
        `progress of ${failures.length === 1 ? '1 job' : `${failures.length} jobs`} could not be saved: ${toErrorMessage(error)}; ${next}`,
      );
    }
    this.hasLoggedFailure = failures.length > 0;
  }
}
