import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

/*
 * Node's timers and clock as they were when this module was loaded. Test libraries replace the global ones, and some also replace
 * those of the modules. The queue needs real time, because its database uses real time.
 */
export const { clearTimeout, setImmediate, setTimeout } = timers;

/** Resolves in the next iteration of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Resolves after `ms` milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Milliseconds of the process's monotonic clock. */
export const monotonicMs: () => number = performance.now.bind(performance);

const utilization = performance.eventLoopUtilization.bind(performance);

/** Milliseconds for which the event loop has been idle. */
export function eventLoopIdleMs(): number {
  return utilization().idle;
}
