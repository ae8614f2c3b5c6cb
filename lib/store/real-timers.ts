import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

/*
 * Node's own timers and clock, as they were when this was loaded: a test puts others in the place of the global ones, and some
 * libraries for that put them into these modules as well. The queue works with a database, whose time is real.
 */
export const { clearTimeout, setImmediate, setTimeout } = timers;

/** Resolves when the event loop has come round once. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Milliseconds of the process's monotonic clock. */
export const monotonicMs: () => number = performance.now.bind(performance);

const utilization = performance.eventLoopUtilization.bind(performance);

/** Milliseconds in which the event loop has waited for something to do. */
export function idleMs(): number {
  return utilization().idle;
}
