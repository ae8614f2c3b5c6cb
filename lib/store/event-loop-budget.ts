import type { Clock } from '../core/clock.js';
import { setImmediate } from './real-timers.js';

/**
 * How long the present turn of the event loop has been at work. What goes on for longer in one chain keeps timers, sockets
 * and the renewal of leases waiting: it asks here before each step, and goes on when it is called in the next turn.
 */
export class EventLoopBudget {
  private sinceMs: number | undefined;
  private isRefused = false;

  /** @param next goes on with the work; called in the turn after each in which somebody was refused. */
  constructor(
    private readonly clock: Clock,
    private readonly maxMs: number,
    private readonly next: () => void,
  ) {}

  /** Whether there is time left in this turn. @param nowMs the time, for those who know it. */
  hasTime(nowMs = this.clock.now()): boolean {
    if (this.sinceMs === undefined) {
      this.sinceMs = nowMs;
      setImmediate(() => {
        this.sinceMs = undefined;
        if (this.isRefused) {
          this.isRefused = false;
          this.next();
        }
      });
    }
    const hasTime = nowMs - this.sinceMs < this.maxMs;
    this.isRefused ||= !hasTime;
    return hasTime;
  }
}
