import type { Clock } from '../../core/clock.js';
import { setImmediate } from './real-timers.js';

/**
 * Limits how long one chain of work runs in an iteration of the event loop, so that timers, sockets and lease renewals are
 * not delayed. The worker calls `hasTime` before each step, and stops when it returns `false`.
 */
export class EventLoopBudget {
  private sinceMs: number | undefined;
  private isSpent = false;

  /** @param resume continues the work; called in the next iteration after `hasTime` has returned `false`. */
  constructor(
    private readonly clock: Clock,
    private readonly maxMs: number,
    private readonly resume: () => void,
  ) {}

  /** Whether this iteration has time left. @param nowMs the current time, if the caller knows it. */
  hasTime(nowMs = this.clock.now()): boolean {
    if (this.sinceMs === undefined) {
      this.sinceMs = nowMs;
      setImmediate(() => {
        this.sinceMs = undefined;
        if (this.isSpent) {
          this.isSpent = false;
          this.resume();
        }
      });
    }
    const hasTime = nowMs - this.sinceMs < this.maxMs;
    this.isSpent ||= !hasTime;
    return hasTime;
  }
}
