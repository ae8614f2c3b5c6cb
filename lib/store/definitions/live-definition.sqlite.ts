import { LIVE } from './definition-records.js';
import { fromNow } from '../jobs/job-row.sqlite.js';

/** Whether a time is at most `liveMs` old, and at most `aheadMs` in the future. The arguments are SQL. */
export const isRecent = (time: string, liveMs: string, aheadMs: string): string =>
  `${time} > ${fromNow(`-${liveMs}`)} AND ${time} < ${fromNow(aheadMs)}`;

/** Whether a live process declares the definition in `row`. */
export const isLive = (row: string, liveMs = String(LIVE.liveMs), aheadMs = String(LIVE.aheadMs)): string =>
  isRecent(`${row}.declared`, liveMs, aheadMs);
