import { CLOCK_AHEAD_MS, DEFINITION_LIVE_MS } from './definition-records.js';

/** Milliseconds as an interval. */
export const seconds = (ms: number): string => `make_interval(secs => ${ms}::float8 / 1000.0)`;

/** Whether a time is at most this old. One a little in the future is recent too, but not one from before the clock was set back. */
export const isRecent = (time: string, ageMs: number): string =>
  `${time} > statement_timestamp() - ${seconds(ageMs)} AND ${time} < statement_timestamp() + ${seconds(CLOCK_AHEAD_MS)}`;

/** Whether a live process declares the definition in `row`. */
export const isLive = (row: string): string => isRecent(`${row}.declared`, DEFINITION_LIVE_MS);
