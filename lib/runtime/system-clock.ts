import type { Clock, ScheduledWake } from '../core/clock.js';
import { clearTimeout, monotonicMs, setImmediate, setTimeout } from '../store/real-timers.js';

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
    private leftMs: number,
    private readonly wake: () => void,
  ) {}

  arm(): void {
    if (this.isCancelled) {
      return;
    }
    const stepMs = Math.min(this.leftMs, TIMER_MAX_MS);
    this.leftMs -= stepMs;
    this.timer = setTimeout(this.leftMs > 0 ? () => this.arm() : this.wake, stepMs);
  }

  cancel(): void {
    this.isCancelled = true;
    clearTimeout(this.timer);
  }
}

let fresh: Wake[] = [];

function armFresh(): void {
  const wakes = fresh;
  fresh = [];
  wakes.forEach((wake) => wake.arm());
}

/** The process's monotonic time and its timers: Node's own, whatever a test puts in the place of the global ones. */
export const systemClock: Clock = {
  now: monotonicMs,
  schedule(ms, wake) {
    const made = new Wake(ms, wake);
    if (fresh.push(made) === 1) {
      setImmediate(armFresh);
    }
    return made;
  },
};
