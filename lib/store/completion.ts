import type { ClaimToken, Outcome } from '../core/job.js';
import type { Settled, Settlement } from './job-store.js';

/** How most attempts end: both databases have a statement for it that costs less than the one for all outcomes. */
export interface Completion extends Settlement {
  readonly outcome: Extract<Outcome, { kind: 'completed' }>;
}

/** Whether that statement is the one for it. */
export function isCompletion(settlement: Settlement): settlement is Completion {
  return settlement.outcome.kind === 'completed' && !settlement.wasLocked;
}

/** The answer for one that has moved. */
export function completed({ attempt }: ClaimToken): Settled {
  return { applied: true, status: 'completed', attempt, retries: null, runAt: null };
}
