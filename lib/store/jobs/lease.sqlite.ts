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

/** The error that the last rescue recorded for the attempt `o.attempt`, as long as it has no reason. */
const isUnexplainedLoss = `j.rescued_attempt = o.attempt AND e.value ->> 'attempt' = o.attempt
    AND substr(e.value ->> 'message', -length(o.reason)) <> o.reason`;

/** Adds reasons to the errors that a rescue has recorded: ?1 ids, attempts and reasons. Skips completed jobs. */
export const EXPLAIN_LOST_LEASES = `
WITH o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, value ->> 'reason' AS reason FROM json_each(?1)),
found AS MATERIALIZED (
  SELECT j.id, e.fullkey AS path, e.value ->> 'message' AS message, e.value ->> 'message' || '; ' || o.reason AS explained
  FROM o CROSS JOIN _jobs AS j ${byId} ON j.id = o.id AND j.status <> 'completed' CROSS JOIN json_each(j.errors) AS e
  WHERE ${isUnexplainedLoss})
UPDATE _jobs AS j ${byId} SET
  errors = json_set(j.errors, o.path || '.message', o.explained),
  last_error = iif(j.last_error = o.message, o.explained, j.last_error)
FROM found AS o WHERE j.id IN (SELECT id FROM found) AND j.id = o.id RETURNING id`;
