import type { ClaimResult } from '../jobs/job-records.js';

/** The number of slices into which a rate divides its window. */
export const SLICES = 64;

/** The shortest hand-over: how long after a claim was sent the handlers of its jobs may be called, if their topic has a rate. */
export const HAND_OVER_MS = 100;
/** The longest hand-over of a claim. */
export const HAND_OVER_MAX_MS = 120_000;

/** Spread starts that are due within this time are claimed together: a claim takes about as long. */
export const SPREAD_STEP_MS = 10;

/** Starts that one call of `pruneStarts` deletes. */
export const PRUNED_STARTS_MAX = 10_000;

/** Returns `rest` for a claim that has looked at every key. */
export function toRest(held: ClaimResult['held'], claimed: number, limit: number): ClaimResult['rest'] {
  return held ? 'held' : claimed < limit ? 'none' : 'maybe';
}
