import {
  matchesId,
  isOwned,
  isUnexpired,
  isOwnedByRowRef,
  skipLocked,
  tokens,
  waitBriefly,
} from './job-row.postgres.js';

const writeOwned = (changes: string, guard = isOwned): string => `
WITH free AS (SELECT j.id FROM ${tokens} JOIN _jobs j ON ${guard} ORDER BY o.id ${skipLocked})
UPDATE _jobs j SET ${changes}
FROM free WHERE ${matchesId('free')} RETURNING j.id, j.attempt, j.cancel_requested, j.ctid AS row_ref`;

/** processing → processing: extends leases by $2 milliseconds. Returns the rows it wrote; skips locked ones. */
export const RENEW = writeOwned(`locked_until = statement_timestamp() + make_interval(secs => $2::float8 / 1000.0)`);

const asStarted =
  'unstarted_attempt = NULL, expires_at = NULL, started = statement_timestamp(), updated = statement_timestamp()';
/** A rescue may be about to write a job whose lease has expired, and would fail it if it had started. */
const mayStart = `j.locked_until > statement_timestamp() AND ${isUnexpired('j')}`;

/**
 * Marks attempts as started, by ctid: $1 ids, $2 attempts, $3 row references. Only unexpired jobs with a live lease. Fails with
 * a lock timeout when another transaction holds one of the rows.
 */
export const MARK_STARTED_BY_ROW_REF = `
UPDATE _jobs j SET ${asStarted}
FROM ROWS FROM (unnest($1::uuid[]), unnest($2::int[]), unnest($3::tid[])) AS o(id, attempt, row_ref)
WHERE ${waitBriefly} AND ${isOwnedByRowRef} AND ${mayStart} RETURNING j.id, j.attempt, j.cancel_requested, j.ctid AS row_ref`;

/** Marks attempts as started, by id; skips locked rows. */
export const MARK_STARTED = writeOwned(asStarted, `${isOwned} AND ${mayStart}`);

/** Finds attempts that were not marked but may still start. */
export const MAY_START = `SELECT j.id, j.attempt, j.cancel_requested FROM ${tokens} JOIN _jobs j ON ${isOwned} AND ${mayStart}`;

/** Finds claims that are still owned though their rows were not written. */
export const STILL_OWNED = `SELECT j.id, j.attempt, j.cancel_requested FROM ${tokens} JOIN _jobs j ON ${isOwned}`;

/** Finds owned jobs with a cancel request. */
export const CANCEL_REQUESTS = `
SELECT j.id, j.attempt FROM ${tokens} JOIN _jobs j ON ${isOwned} WHERE j.cancel_requested`;

/** Writes progress values of owned jobs and returns the rows that it wrote; skips locked rows. */
export const RECORD_PROGRESS = `
WITH o AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS s(id uuid, attempt int, progress jsonb)),
free AS (SELECT o.* FROM o JOIN _jobs j ON ${isOwned} ORDER BY o.id ${skipLocked})
UPDATE _jobs j SET progress = o.progress, updated = statement_timestamp()
FROM free o WHERE ${isOwned} RETURNING j.id, j.attempt, j.cancel_requested, j.ctid AS row_ref`;

/** The error that the last rescue recorded for the attempt `o.attempt`, as long as it has no reason. */
const isUnexplainedLoss = `j.rescued_attempt = o.attempt AND (e.error ->> 'attempt')::int = o.attempt
    AND right(e.error ->> 'message', length(o.reason)) <> o.reason`;

/** Adds reasons to the errors that a rescue has recorded: $1 ids, attempts and reasons. Skips completed jobs and locked rows. */
export const EXPLAIN_LOST_LEASES = `
WITH o AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS s(id uuid, attempt int, reason text)),
free AS (
  SELECT j.id, e.ord, e.error ->> 'message' AS message, (e.error ->> 'message') || '; ' || o.reason AS explained
  FROM o JOIN _jobs j ON ${matchesId('o')} AND j.status <> 'completed'
  JOIN LATERAL jsonb_array_elements(j.errors) WITH ORDINALITY AS e(error, ord) ON ${isUnexplainedLoss}
  ORDER BY o.id FOR NO KEY UPDATE OF j SKIP LOCKED)
UPDATE _jobs j SET
  errors = jsonb_set(j.errors, ARRAY[(o.ord - 1)::text, 'message'], to_jsonb(o.explained)),
  last_error = CASE WHEN j.last_error = o.message THEN o.explained ELSE j.last_error END
FROM free o WHERE ${matchesId('o')} RETURNING j.id`;
