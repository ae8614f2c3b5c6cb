import type { Claim } from '../../../lib/core/job.js';
import type { TopicCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import type { LaneScan } from '../../../lib/store/jobs/job-records.js';
import { toClaim } from './waiting-jobs.js';

/* One lane of the topic `mail` with results of claims and scans. */

export const NOW_MS = 1_000_000;
export const LIMIT = 10;
export const capacities: readonly TopicCapacity[] = [{ topic: 'mail', available: LIMIT, defaultPriority: 0 }];

/** Creates a claim of a job that was due at this time. */
export function createDueClaim(dueAtMs: number, claimedAtMs = NOW_MS): Claim {
  const claim = toClaim({ topic: 'mail', priority: 0 });
  return { ...claim, runAt: new Date(dueAtMs), waitedMs: claimedAtMs - dueAtMs };
}

/** Creates the result of a scan: the due time of the first job, or no job. */
export function createScan(firstDueAtMs: number | null, atMs = NOW_MS, isPaused = false): LaneScan {
  const waiting =
    firstDueAtMs === null
      ? []
      : [{ topic: 'mail', priority: 0, dueInMs: firstDueAtMs - atMs, isPaused, isLimited: false }];
  return { waiting, keyed: [], at: new Date(atMs), tookMs: 64 };
}
