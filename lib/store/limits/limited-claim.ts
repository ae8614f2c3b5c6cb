import type { Claim } from '../../core/job.js';

/** The number of slices into which a rate divides its window. */
export const SLICES = 64;

/** The shortest hand-over: how long after a claim was sent the handlers of its jobs may be called, if their topic has a rate. */
export const HAND_OVER_MS = 100;
/** The longest hand-over of a claim. */
export const HAND_OVER_MAX_MS = 120_000;

/** Spread starts that are due within this time are claimed together: a claim takes about as long. */
export const SPREAD_STEP_MS = 10;

/** A claim of one topic that has limits, or jobs with a concurrency key. */
export interface LimitedClaimRequest {
  readonly topic: string;
  /** The priorities to claim from, most urgent first. */
  readonly priorities: readonly number[];
  /** Whether jobs with a concurrency key may wait. */
  readonly hasKeyed: boolean;
  readonly limit: number;
  readonly leaseMs: number;
  readonly worker: string;
  /** A rate counts each job as started at any moment until this long after the claim: its handler must be called by then, or not at all. */
  readonly handOverMs: number;
}

/** Where a claim has recorded its starts, so that those of jobs whose handlers were not called can be taken back. */
export interface CountedStart {
  /** Length of the rate's window. */
  readonly rateMs: number;
  readonly slice: number;
  readonly isByKey: boolean;
  /** The time of the claim, by the database's clock. */
  readonly atMs: number;
  /** Distance of spread starts. */
  readonly gapMs: number;
}

/** Starts that one call of `pruneStarts` deletes. */
export const PRUNED_STARTS_MAX = 10_000;

/** What prevented a limited claim from returning more jobs. */
export type LimitReason = 'concurrency' | 'rate' | 'key';

export interface LimitedClaim {
  readonly claims: readonly Claim[];
  /**
   * - `done`: no other due job may start now.
   * - `cut`: the claim has not looked at every key; the next one goes on from there.
   * - `locked`: another process claims from the topic at this moment.
   * - `unlimited`: the topic has neither limits nor keyed jobs; ordinary claims serve it.
   */
  readonly ending: 'done' | 'cut' | 'locked' | 'unlimited';
  /** Due jobs may be left that a limit holds back; `null`: none are. */
  readonly limitedBy: LimitReason | null;
  /** When the rate may allow another start, in milliseconds from now; `null` if the topic has no rate. */
  readonly rateInMs: number | null;
  /** Set if a rate has counted the jobs. */
  readonly start: CountedStart | null;
}
