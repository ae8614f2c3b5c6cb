import type { Claim } from '../../core/job.js';

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
}

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
}
