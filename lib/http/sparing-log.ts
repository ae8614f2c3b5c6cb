import type { JobsLogger } from '../core/logger.js';

const QUIET_MS = 1_000;

/** Warnings that may come by the thousand, as while a database is away: one a second is told, with how many were not. */
export class SparingLog {
  private quietUntilMs = -Infinity;
  private untold = 0;

  constructor(private readonly logger: Pick<JobsLogger, 'warn'>) {}

  warn(message: string): void {
    const nowMs = performance.now();
    if (nowMs < this.quietUntilMs) {
      this.untold += 1;
      return;
    }
    this.logger.warn(this.untold > 0 ? `${message} (and ${this.untold} more before)` : message);
    this.quietUntilMs = nowMs + QUIET_MS;
    this.untold = 0;
  }
}
