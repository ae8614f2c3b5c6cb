/* SQL that both databases share; `j` is the row. */

/** The error that the rescue records for an attempt that had started. */
export const LEASE_LOST =
  "'lease of attempt ' || j.attempt || ' lost: worker ' || coalesce(j.locked_by, '?') || ' stopped renewing it; its handler may have run'";

/** The error of a job that had not started by its expiry. */
export const EXPIRED = 'expired';

/** Whether a rescue, and not the attempt itself, has ended the last attempt. */
export const WAS_RESCUED = 'coalesce(j.rescued_attempt = j.attempt, false)';

/*
 * `watched` says what hangs on a job. NULL: no other job or group waits for it. 0: some do, but none of their tokens is held by it. 1: it
 * holds a token. 2: its end was followed up. 3: it was deleted, and the follow-up deletes the row. See links/follow-up-script.ts.
 */

/** `ended_by` of a pending job whose deletion was requested, until its follow-up deletes the row. */
export const DELETED = 'delete';

/** Whether the job has ended and owes a follow-up: the condition of the index `_jobs_owed`. @param row a prefix such as `j.`. */
export const isOwed = (row = ''): string =>
  `${row}watched IS NOT NULL AND ${row}finished IS NOT NULL AND (${row}watched = 1 OR ${row}watched = 3 OR (${row}watched = 0 AND ${row}status <> 'completed'))`;
