import { byId, fromNow, isUnexpired, now, isOwned, isOwnedClaim } from './job-row.sqlite.js';

const updateOwned = (changes: string, guard = isOwnedClaim): string => `
UPDATE _jobs ${byId} SET ${changes} WHERE ${guard}
RETURNING id, attempt, cancel_requested`;

/** processing → processing: the lease ends ?2 milliseconds from now. */
export const RENEW = updateOwned(`locked_until = ${fromNow('?2')}`);

/**
 * processing → processing: the handler starts. Skips expired jobs, and expired leases: a rescue would fail a last attempt that has started.
 */
export const MARK_STARTED = updateOwned(
  `unstarted_attempt = NULL, expires_at = NULL, started = ${now}, updated = ${now}`,
  `${isOwnedClaim} AND locked_until > ${now} AND ${isUnexpired}`,
);

/** Finds claimed jobs that a user has asked to cancel. */
export const CANCEL_REQUESTS = `
SELECT id, attempt FROM _jobs ${byId} WHERE ${isOwnedClaim} AND cancel_requested`;

/** Stores progress values, and returns the rows that the workers still own. */
export const RECORD_PROGRESS = `
WITH o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, nullif(value -> 'progress', 'null') AS progress
  FROM json_each(?1))
UPDATE _jobs AS j SET progress = o.progress, updated = ${now} FROM o WHERE ${isOwned} RETURNING id, attempt, cancel_requested`;
