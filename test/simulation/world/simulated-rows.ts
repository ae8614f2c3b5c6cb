import type { Backoff } from '../../../lib/core/backoff.js';
import type { Claim, Job } from '../../../lib/core/job.js';
import type { Settled } from '../../../lib/store/jobs/job-records.js';

/** A row of the table, with the columns that a `Job` does not have. */
export type Row = Job & { backoff: Backoff | null; unstartedAttempt: number | null; isUntilStarted: boolean };

/** The columns of a row that the ledger records. */
export type Standing = Pick<Job, 'status' | 'attempt' | 'retries' | 'lockedBy' | 'lockedUntil'>;

export function standing({ status, attempt, retries, lockedBy, lockedUntil }: Job): Standing {
  return { status, attempt, retries, lockedBy, lockedUntil };
}

export function claimOf(row: Row, nowMs: number): Claim {
  const { id, attempt, topic, payload, retries, maxRetries, priority, timeoutMs, backoff, metadata, runAt, created } =
    row;
  const waitedMs = nowMs - runAt.getTime();
  return {
    ...{ id, attempt, topic, payload, retries, maxRetries, priority, timeoutMs, backoff, metadata, runAt, created },
    ...{ payloadLength: JSON.stringify(payload).length, waitedMs },
  };
}

/** The error that a rescue records. */
export function leaseLost(attempt: number | undefined): string {
  return `lease of attempt ${attempt} lost`;
}

/** @param changed the row, when the outcome changed it. @param standing the current row, if it exists. */
export function toSettled(changed: Row | null, standing: Row | undefined): Settled {
  const row = changed ?? standing;
  const isWaiting = row?.status === 'pending';
  return {
    applied: changed !== null,
    status: row?.status ?? null,
    attempt: row?.attempt ?? 0,
    retries: isWaiting ? row.retries : null,
    runAt: isWaiting ? row.runAt : null,
    ...(!changed && row !== undefined && row.rescuedAttempt === row.attempt ? { wasRescued: true } : {}),
  };
}
