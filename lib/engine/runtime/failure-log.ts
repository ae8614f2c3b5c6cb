import type { Clock } from '../../core/clock.js';
import { toFailure } from '../../core/error-text.js';
import type { QueueUnavailableError } from '../../core/errors.js';
import { isOutage, JobsError } from '../../core/errors.js';
import type { JobsLogger } from '../../core/logger.js';

/**
 * Logs failures of the loops and writers of a process. A database outage makes all of them fail, so it is logged once, and once more
 * when the last of them has recovered. Any other failure is logged once for each of them, and so is its recovery.
 */
export class FailureLog {
  /** Names of the loops and writers that wait for the database. */
  private readonly waiting = new Set<string>();
  /** Names of the loops and writers that fail for another reason. */
  private readonly failing = new Set<string>();
  private outageSinceMs = 0;
  /** When the first of `waiting` recovered after the last failure. */
  private backSinceMs: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly logger: JobsLogger,
  ) {}

  /** @param name of the loop or writer, unique in the process. */
  recordFailure(name: string, error: unknown): void {
    const kind = classify(error);
    if (kind === 'outage') {
      this.recordOutage(name, error as QueueUnavailableError);
    } else if (!this.failing.has(name)) {
      this.failing.add(name);
      const { message, stack } = toFailure(error);
      // Errors of the queue and of the database have no stack here: it adds nothing to their message.
      this.logger.error(`${name}: failed, retrying: ${message}`, (kind === 'defect' && stack) || undefined);
    }
  }

  /** Call this after each success, or after the first one that follows a failure. */
  recordSuccess(name: string): void {
    if (this.failing.delete(name)) {
      this.logger.log(`${name}: recovered`);
    }
    if (this.waiting.delete(name)) {
      this.backSinceMs ??= this.clock.now();
      this.logEnd();
    }
  }

  /** Removes a loop that has stopped. It cannot recover. */
  forget(name: string): void {
    this.failing.delete(name);
    if (this.waiting.delete(name)) {
      this.logEnd();
    }
  }

  private recordOutage(name: string, { message }: Error): void {
    if (this.waiting.size === 0) {
      this.outageSinceMs = this.clock.now();
      this.logger.error(`${message} (noticed by: ${name}); retrying until the database is back`);
    }
    this.waiting.add(name);
    this.backSinceMs = undefined;
  }

  private logEnd(): void {
    if (this.waiting.size === 0 && this.backSinceMs !== undefined) {
      const seconds = ((this.backSinceMs - this.outageSinceMs) / 1_000).toFixed(1);
      this.logger.log(`the database is back; the outage lasted ${seconds} s`);
      this.backSinceMs = undefined;
    }
  }
}

function classify(error: unknown): 'outage' | 'refusal' | 'defect' {
  try {
    return isOutage(error) ? 'outage' : error instanceof JobsError ? 'refusal' : 'defect';
  } catch {
    // A proxy whose traps throw.
    return 'defect';
  }
}
