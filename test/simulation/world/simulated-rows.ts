import type { Backoff } from '../../../lib/core/backoff.js';
import type { Claim, Job } from '../../../lib/core/job.js';
import type { Settled } from '../../../lib/store/store-records.js';

/** A row of the table, with what only the store knows of it. */
export type Row = Job & { backoff: Backoff | null; unbegunAttempt: number | null };

/** What of a row the table's ledger has. */
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

/** What the rescue leaves as the error of an attempt. */
export function leaseLost(attempt: number | undefined): string {
  return `lease of attempt ${attempt} lost`;
}

/** @param moved the row, when the outcome has moved it. @param standing the row as it is now, if it is. */
export function toSettled(moved: Row | null, standing: Row | undefined): Settled {
  const row = moved ?? standing;
  const isWaiting = row?.status === 'pending';
  return {
    applied: moved !== null,
    status: row?.status ?? null,
    attempt: row?.attempt ?? 0,
    retries: isWaiting ? row.retries : null,
    runAt: isWaiting ? row.runAt : null,
    ...(!moved && row?.lastError === leaseLost(row?.attempt) ? { wasRescued: true } : {}),
  };
}
