import { CLOCK_AHEAD_MS, DEFINITION_LIVE_MS } from './definition-records.js';
import { fromNow } from '../jobs/job-row.sqlite.js';

/** Whether a time is at most this old. One a little in the future is recent too, but not one from before the clock was set back. */
export const isRecent = (time: string, ageMs: number): string =>
  `${time} > ${fromNow(`-${ageMs}`)} AND ${time} < ${fromNow(String(CLOCK_AHEAD_MS))}`;

/** Whether a live process declares the definition in `row`. */
export const isLive = (row: string): string => isRecent(`${row}.declared`, DEFINITION_LIVE_MS);
