import type { Claim } from '../../../lib/core/job.js';
import type { TopicCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import type { LaneScan } from '../../../lib/store/store-records.js';
import { toClaim } from './waiting-jobs.js';

/*
 * One lane, of the topic `mail`, and what claims and scans say of it.
 */

export const NOW_MS = 1_000_000;
export const LIMIT = 10;
export const capacities: readonly TopicCapacity[] = [{ topic: 'mail', available: LIMIT, defaultPriority: 0 }];

/** A claimed job that was due then. */
export function createDueClaim(dueAtMs: number, claimedAtMs = NOW_MS): Claim {
  const claim = toClaim({ topic: 'mail', priority: 0 });
  return { ...claim, runAt: new Date(dueAtMs), waitedMs: claimedAtMs - dueAtMs };
}

/** What a scan saw at a moment of the database: first due then, or nothing at all. */
export function createScan(firstDueAtMs: number | null, atMs = NOW_MS, isPaused = false): LaneScan {
  const waiting = firstDueAtMs === null ? [] : [{ topic: 'mail', priority: 0, dueInMs: firstDueAtMs - atMs, isPaused }];
  return { waiting, at: new Date(atMs), tookMs: 64 };
}
