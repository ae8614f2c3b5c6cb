import type { Clock, ScheduledWake } from '../core/clock.js';

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

/** Resolves after `ms` milliseconds. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.schedule(ms, resolve));
}

/** Whether `work` ends within `ms` milliseconds. It goes on if it does not. */
export async function within(clock: Clock, ms: number, work: Promise<void>): Promise<boolean> {
  let timer: ScheduledWake | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = clock.schedule(ms, () => resolve(false));
  });
  try {
    return await Promise.race([work.then(() => true as const), timeout]);
  } finally {
    timer?.cancel();
  }
}
