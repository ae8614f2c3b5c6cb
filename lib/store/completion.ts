import type { ClaimToken, Outcome } from '../core/job.js';
import type { Settled, Settlement } from './job-store.js';

/** How most attempts end: both databases have a statement for it that costs less than the one for all outcomes. */
export interface Completion extends Settlement {
  readonly outcome: Extract<Outcome, { kind: 'completed' }>;
}

/** Whether that statement is the one for it. */
export function isCompletion(settlement: Settlement): settlement is Completion {
  return settlement.outcome.kind === 'completed';
}

/** The answer for one that has moved. */
export function moved({ attempt }: ClaimToken, status: 'completed' | 'cancelled'): Settled {
  return { applied: true, status, attempt, retries: null, runAt: null };
}
