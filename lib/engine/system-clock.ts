import type { Clock, ScheduledWake } from '../core/clock.js';
import { clearTimeout, idleMs, monotonicMs, setImmediate, setTimeout } from '../store/real-timers.js';
import { runDetached } from './detached-context.js';

/** Longer delays would overflow a timer, and fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * A wake-up of which Node hears when the turn of the event loop ends in which it was made: most time limits of handlers are
 * cancelled by then, and a timer is the largest of the things that a job leaves to the garbage collector.
 */
class Wake implements ScheduledWake {
  private timer: NodeJS.Timeout | undefined;
  private isCancelled = false;

  constructor(
    private readonly atMs: number,
    private readonly wake: () => void,
  ) {}

  arm(): void {
    if (this.isCancelled) {
      return;
    }
    // What is overdue by now comes next. Node cuts off parts of milliseconds: nobody is to be woken too early.
    const leftMs = Math.max(1, Math.ceil(this.atMs - monotonicMs()));
    const isLong = leftMs > TIMER_MAX_MS;
    this.timer = setTimeout(isLong ? () => this.arm() : this.wake, isLong ? TIMER_MAX_MS : leftMs);
  }

  cancel(): void {
    this.isCancelled = true;
    clearTimeout(this.timer);
  }
}

let fresh: Wake[] = [];

/** Called in the context of whoever was the first in that turn of the event loop, who has nothing to do with the others. */
function armFresh(): void {
  const wakes = fresh;
  fresh = [];
  runDetached(() => wakes.forEach((wake) => wake.arm()));
}

/** The process's monotonic time and its timers: Node's own, whatever a test puts in the place of the global ones. */
export const systemClock: Clock = {
  now: monotonicMs,
  idleMs,
  schedule(ms, wake) {
    const made = new Wake(monotonicMs() + ms, wake);
    if (fresh.push(made) === 1) {
      setImmediate(armFresh);
    }
    return made;
  },
};
