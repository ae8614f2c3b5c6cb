import type { Clock } from '../core/clock.js';
import { clearTimeout, monotonicMs, setTimeout } from '../store/real-timers.js';

/** Longer delays would overflow a timer, and fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The process's monotonic time and its timers: Node's own, whatever a test puts in the place of the global ones. */
export const systemClock: Clock = {
  now: monotonicMs,
  schedule(ms, wake) {
    if (ms <= TIMER_MAX_MS) {
      const only = setTimeout(wake, ms);
      return { cancel: () => clearTimeout(only) };
    }
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, TIMER_MAX_MS);
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : wake()), stepMs);
    };
    arm(ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
