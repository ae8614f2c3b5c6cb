import type { Clock, ScheduledWake } from '../../core/clock.js';
import { clearTimeout, eventLoopIdleMs, monotonicMs, setImmediate, setTimeout } from './real-timers.js';
import { runDetached } from './detached-context.js';

/** The process's monotonic time and Node's own timers, even when a test replaces the global ones. */
export const systemClock: Clock = {
  now: monotonicMs,
  eventLoopIdleMs,
  schedule(ms, wake) {
    const timer = new LazyTimer(monotonicMs() + ms, wake);
    if (unstarted.push(timer) === 1) {
      setImmediate(startTimers);
    }
    return timer;
  },
};

/** Node fires a timer with a longer delay at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * A timer that Node creates only at the end of this turn of the event loop. Most time limits of handlers are cancelled before
 * that, and a Node timer is the largest object that a job leaves to the garbage collector.
 */
class LazyTimer implements ScheduledWake {
  private timer: NodeJS.Timeout | undefined;
  private isCancelled = false;

  constructor(
    private readonly atMs: number,
    private readonly wake: () => void,
  ) {}

  start(): void {
    if (this.isCancelled) {
      return;
    }
    // Node cuts off fractions of a millisecond: rounded up, so that no timer fires early.
    const leftMs = Math.max(1, Math.ceil(this.atMs - monotonicMs()));
    const isLong = leftMs > TIMER_MAX_MS;
    this.timer = setTimeout(isLong ? () => this.start() : this.wake, isLong ? TIMER_MAX_MS : leftMs);
  }

  cancel(): void {
    this.isCancelled = true;
    clearTimeout(this.timer);
  }
}

let unstarted: LazyTimer[] = [];

/** Detached: Node would run all timers in the async context of the caller that scheduled the first one. */
function startTimers(): void {
  const timers = unstarted;
  unstarted = [];
  runDetached(() => timers.forEach((timer) => timer.start()));
}
