import { LIVE } from './definition-records.js';

/** Milliseconds as an interval. */
export const seconds = (ms: string): string => `make_interval(secs => ${ms}::float8 / 1000.0)`;

/** Whether a time is at most `liveMs` old, and at most `aheadMs` in the future. The arguments are SQL. */
export const isRecent = (time: string, liveMs: string, aheadMs: string): string =>
  `${time} > statement_timestamp() - ${seconds(liveMs)} AND ${time} < statement_timestamp() + ${seconds(aheadMs)}`;

/** Whether a live process declares the definition in `row`. */
export const isLive = (row: string, liveMs = String(LIVE.liveMs), aheadMs = String(LIVE.aheadMs)): string =>
  isRecent(`${row}.declared`, liveMs, aheadMs);
