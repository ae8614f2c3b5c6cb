import type { JobEvent } from '../../core/job-events.js';
import type { Failure } from '../../core/error-text.js';
import { toFailure } from '../../core/error-text.js';
import type { Outcome } from '../../core/job.js';
import type { Attempt } from './attempt.js';
import type { SettleAnswer } from './verdict.js';

/** What listeners are told of the end of an attempt. */
export function toEvent(
  attempt: Attempt,
  outcome: Outcome | null,
  answer: SettleAnswer,
  durationMs: number | null,
): JobEvent {
  const { id, topic, claim } = attempt;
  if (answer === 'lease lost' || !outcome) {
    return { type: 'lease_lost', id, topic, attempt: claim.attempt, durationMs };
  }
  if (answer.status === 'completed' || answer.status === 'cancelled') {
    return { type: answer.status, id, topic, attempt: claim.attempt, durationMs };
  }
  const base = { id, topic, attempt: claim.attempt, durationMs };
  if (answer.status === 'failed') {
    return { type: 'failed', ...base, error: errorOf(attempt, outcome) };
  }
  const runAt = answer.runAt ?? attempt.claim.runAt;
  return outcome.kind === 'retry'
    ? { type: 'retrying', ...base, error: outcome.failure, retries: answer.retries ?? attempt.claim.retries, runAt }
    : { type: 'snoozed', ...base, runAt, reason: outcome.kind === 'release' ? 'release' : 'snooze' };
}

function errorOf(attempt: Attempt, outcome: Outcome): Failure {
  return 'failure' in outcome ? outcome.failure : toFailure(attempt.reason);
}
