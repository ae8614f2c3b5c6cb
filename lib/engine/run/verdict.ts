import type { ClaimToken, Outcome } from '../../core/job.js';
import type { JobStatus } from '../../core/job-state.js';
import type { Settled } from '../../store/store-records.js';

/** What the settler asks of an attempt. */
export interface SettledAttempt {
  readonly claim: ClaimToken;
  /** Until when nobody else can own the job, by the process's clock. */
  readonly leaseEndsMs: number;
  /** Why its handler was told to end, if it was. */
  readonly abortedFor: string | undefined;
  /** Whether a transaction of the handler's own may have completed the job, and whether it has. */
  readonly mayBeCompleted: boolean;
  readonly isCompleted: boolean;
}

/** An outcome that the database was asked to record. */
export interface SentOutcome {
  readonly attempt: SettledAttempt;
  readonly outcome: Outcome;
  /** A try before this one has failed, or its answer was lost: it may have done its work. */
  readonly isUncertain: boolean;
}

/** The row after settling, or the news that another attempt owns it or that it is gone. */
export type SettleAnswer = Settled | 'lease lost';

/** Whether the row is still this attempt's: somebody has it locked, or changed it after the statement had seen it. */
export function isStillOurs({ attempt: { claim } }: SentOutcome, row: Settled): boolean {
  return row.status === 'processing' && row.attempt === claim.attempt;
}

/**
 * What became of an outcome that moved nothing when it was asked for this time.
 *
 * @param row what the database says of the job.
 * @param mayBeRemoved whether completed jobs are removed at once, and nobody else can have completed this one.
 */
export function verdictOf(sent: SentOutcome, row: Settled, mayBeRemoved: boolean): SettleAnswer {
  const { attempt } = sent;
  if (row.status === null && isRemovedByUs(sent, mayBeRemoved)) {
    // A row that somebody asked to cancel is cancelled, however well its handler has ended, unless it was completed before.
    const isCancelled = attempt.abortedFor === 'cancelled' && !attempt.mayBeCompleted;
    return { ...row, status: isCancelled ? 'cancelled' : 'completed' };
  }
  return isRecordedByUs(sent, row) ? row : 'lease lost';
}

/** Whether a job that is gone was completed by this attempt: by a transaction of its handler's, or by a first try. */
function isRemovedByUs({ attempt, outcome, isUncertain }: SentOutcome, mayBeRemoved: boolean): boolean {
  const mayHave = attempt.mayBeCompleted || (isUncertain && outcome.kind === 'completed');
  return attempt.isCompleted || (mayHave && mayBeRemoved);
}

/** Whether a job stands as this attempt has left it, by a first try or in a transaction of the handler's own. */
function isRecordedByUs({ attempt, outcome, isUncertain }: SentOutcome, row: Settled): boolean {
  const mayBeOurs = isUncertain && row.status !== null && !row.wasRescued;
  const isExpected = mayBeOurs && statusesOf(outcome).includes(row.status);
  // Nobody but this attempt can have completed it.
  return row.attempt === attempt.claim.attempt && (isExpected || row.status === 'completed');
}

/** Where an outcome may have taken the row. */
function statusesOf(outcome: Outcome): readonly JobStatus[] {
  switch (outcome.kind) {
    case 'retry':
      return ['pending', 'failed', 'cancelled'];
    case 'snooze':
    case 'release':
      return ['pending', 'cancelled'];
    default:
      return [outcome.kind, 'cancelled'];
  }
}
