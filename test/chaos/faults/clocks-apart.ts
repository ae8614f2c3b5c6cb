import type { Fault } from './fault.js';
import { killAtTicks } from './kill-at-ticks.js';

const TWO_HOURS_MS = 2 * 60 * 60 * 1_000;

/** `killAtTicks`, with clocks of processes that are right, two hours fast or two hours slow. */
export const clocksApart: Fault = {
  ...killAtTicks,
  name: 'clocks hours apart',
  quick: { postgres: { strikes: 2, hits: 1 }, sqlite: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 60, hits: 50 }, sqlite: { strikes: 60, hits: 50 } },
  clockOffsetsMs: [0, TWO_HOURS_MS, -TWO_HOURS_MS],
};
