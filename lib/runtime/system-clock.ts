import type { Clock } from '../core/clock.js';

/** The process's monotonic time and its timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(ms, wake) {
    const timer = setTimeout(wake, Math.min(ms, TIMER_MAX_MS));
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Longer delays would overflow the timer and fire at once; every sleeper looks again anyway. */
const TIMER_MAX_MS = 2 ** 31 - 1;
