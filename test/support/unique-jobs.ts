import type { UniqueMode } from '../../lib/core/unique-key.js';
import type { JobInsert } from '../../lib/store/jobs/job-records.js';
import { newJob } from './job-rows.js';

export const KEY = 'order-1';
export const DAY_MS = 86_400_000;

export const uniqueMode = (members: Partial<UniqueMode>): UniqueMode => ({
  untilStarted: false,
  forMs: null,
  debounce: null,
  ...members,
});

/** A job that frees its key when it starts. */
export const startedJob = (members: Partial<JobInsert> = {}): JobInsert =>
  newJob({ uniqueKey: KEY, uniqueMode: uniqueMode({ untilStarted: true }), ...members });

/** A job that keeps its key for a day. */
export const throttledJob = (members: Partial<JobInsert> = {}): JobInsert =>
  newJob({ uniqueKey: KEY, uniqueMode: uniqueMode({ forMs: DAY_MS }), ...members });

export const debouncedJob = (
  payload: unknown,
  wait = 60_000,
  max = 10 * wait,
  members: Partial<JobInsert> = {},
): JobInsert =>
  newJob({
    uniqueKey: KEY,
    uniqueMode: uniqueMode({ untilStarted: true, debounce: { wait, max } }),
    delayMs: wait,
    payload: JSON.stringify(payload),
    ...members,
  });
