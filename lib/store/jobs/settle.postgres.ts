import { isOwed, WAS_RESCUED, WATCHED } from './job-row.js';
import {
  matchesId,
  appendError,
  finalStatuses,
  isHere,
  isKeptUnique,
  ms,
  isOwned,
  isOwnedByRowRef,
  tokens,
  skipLocked,
  waitBriefly,
} from './job-row.postgres.js';
import { watchedAtFailure } from '../links/dead-letter.postgres.js';

const isSpent = 'j.retries >= j.max_retries';

/** When the handler was called, as the worker measured it. The row holds the time of the claim. */
const started = 'coalesce(to_timestamp(o.started_ms / 1000.0), j.started)';
/** When it ended: a slow write of the outcome does not count as run time. `least` ignores NULL: a run time that is not known. */
const finished = 'least(to_timestamp((o.started_ms + o.ran_ms) / 1000.0), statement_timestamp())';

const isFailing = `NOT j.cancel_requested AND (o.kind = 'failed' OR o.kind = 'retry' AND ${isSpent})`;

/**
 * processing → the status of each outcome, guarded by id and attempt. Returns the rows it wrote. It skips locked rows, which the
 * worker sends again: an open transaction must not delay all other outcomes. Every decision reads `j`, the only current row. A job that
 * fails and has dead letters owes a follow-up.
 */
export const SETTLE = `
WITH o AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb)
    AS s(id uuid, attempt int, kind text, delay_ms float8, message text, stack text, started_ms float8, ran_ms float8, expires_ms float8, result jsonb, progress jsonb)),
free AS MATERIALIZED (SELECT o.* FROM o JOIN _jobs j ON ${isOwned} ORDER BY o.id ${skipLocked})
UPDATE _jobs j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled'
    WHEN o.kind = 'retry' THEN CASE WHEN ${isSpent} THEN 'failed' ELSE 'pending' END
    WHEN o.kind IN ('snooze', 'release') THEN 'pending' ELSE o.kind END,
  retries = j.retries + (o.kind = 'retry' AND NOT j.cancel_requested AND NOT ${isSpent})::int,
  run_at = CASE
    WHEN NOT j.cancel_requested AND (o.kind IN ('snooze', 'release') OR (o.kind = 'retry' AND NOT ${isSpent}))
    THEN coalesce(statement_timestamp() + make_interval(secs => o.delay_ms / 1000.0), j.run_at) ELSE j.run_at END,
  result = CASE WHEN o.kind = 'completed' THEN o.result ELSE j.result END,
  progress = CASE WHEN o.progress IS NULL THEN j.progress ELSE nullif(o.progress -> 0, 'null') END,
  last_error = coalesce(o.message, j.last_error),
  errors = CASE WHEN o.message IS NULL THEN j.errors ELSE ${appendError('o.message', 'o.stack', started)} END,
  started = ${started},
  expires_at = coalesce(j.expires_at, to_timestamp(o.expires_ms / 1000.0)),
  watched = CASE WHEN j.watched IS NULL AND ${isFailing} THEN ${watchedAtFailure('j')} ELSE j.watched END,
  locked_until = NULL, locked_by = NULL, flow_key = NULL,
  finished = CASE WHEN j.cancel_requested OR o.kind IN ${finalStatuses} OR (o.kind = 'retry' AND ${isSpent})
    THEN ${finished} END,
  updated = statement_timestamp()
FROM free o WHERE ${isOwned}
RETURNING j.id, true AS applied, ${isOwed('j.')} AS owes, j.status, j.attempt, j.retries, ${ms('j.run_at')} AS run_at`;

/**
 * Completed jobs, most of all outcomes, as arrays: $1 ids, $2 attempts, $3 times of the start, $4 run times, $5 results, a JSON array or NULL for
 * none, $6 row references. Rows that are no longer owned do not match, nor do rows that a renewal or a progress value has rewritten:
 * `SETTLE` handles them. Read by subscript: `unnest` stores its rows and reads them again, a twentieth of a completion.
 */
const completions = `
  (SELECT ord, ($1::uuid[])[ord] AS id, ($2::int[])[ord] AS attempt, ($3::float8[])[ord] AS started_ms,
    ($4::float8[])[ord] AS ran_ms, ($5::jsonb) -> (ord - 1) AS result, ($6::tid[])[ord] AS row_ref
  FROM generate_series(1, cardinality($1::uuid[])) AS ord) AS o`;

/** One completed job, as plain values. */
const completion = `
  (SELECT $1::uuid AS id, $2::int AS attempt, $3::float8 AS started_ms, $4::float8 AS ran_ms, $5::jsonb AS result, $6::tid AS row_ref) AS o`;

/** `SETTLE` handles jobs with a cancel request. */
const canComplete = `${waitBriefly} AND ${isOwnedByRowRef} AND NOT j.cancel_requested`;

/** `SETTLE` also handles jobs on which others depend, and those whose idempotency key or unique key must be kept. */
const canDelete = `${canComplete} AND j.watched IS NULL AND j.idempotency_key IS NULL AND j.unique_until IS NULL`;

const asCompleted = `status = 'completed', result = nullif(o.result, 'null'),
    started = ${started},
    locked_until = NULL, locked_by = NULL, finished = ${finished}, updated = statement_timestamp()`;

/** Returns one row: the count, the positions in the arrays as a JSON array, unless all jobs matched, and those that owe a follow-up. */
const counted = (write: string): string => `
WITH written AS (
  ${write}
  RETURNING o.ord, j.watched)
SELECT count(*), CASE WHEN max(watched) = ${WATCHED.always} THEN (SELECT array_to_json(array_agg(ord))::text FROM written WHERE watched = ${WATCHED.always}) END AS owed, CASE WHEN count(*) < cardinality($1::uuid[])
  THEN (SELECT array_to_json(array_agg(ord))::text FROM written) END AS members
FROM written`;

/**
 * processing → completed, guarded by id and attempt. Fails with a lock timeout when another transaction holds one of the rows;
 * `SETTLE` then handles all of them.
 */
export const COMPLETE = counted(`UPDATE _jobs j SET ${asCompleted}
  FROM ${completions} WHERE ${canComplete}`);

/** processing → deleted, for completed jobs that are not retained. */
export const COMPLETE_AND_DELETE = counted(`DELETE FROM _jobs j USING ${completions} WHERE ${canDelete}`);

/** `COMPLETE` for one job, in four fifths of the time. Returns no row when the job did not match. */
export const COMPLETE_ONE = `
UPDATE _jobs j SET ${asCompleted} FROM ${completion} WHERE ${canComplete} RETURNING 1 AS count, CASE WHEN j.watched = ${WATCHED.always} THEN '[1]' END AS owed`;

/** `COMPLETE_AND_DELETE` for one job. Returns no row when the job did not match. */
export const COMPLETE_AND_DELETE_ONE = `
DELETE FROM _jobs j USING ${completion} WHERE ${canDelete} RETURNING 1 AS count`;

/** Reads the current rows of jobs whose outcomes were not written. */
export const SETTLED_STATE = `
SELECT j.id, false AS applied, j.status, j.attempt, j.retries, ${ms('j.run_at')} AS run_at, ${WAS_RESCUED} AS was_rescued
FROM ${tokens} JOIN _jobs j ON j.id = o.id`;

/**
 * Deletes finished jobs that are not retained, except those that keep an idempotency key or a unique key, those whose topic declares
 * another age, and watched ones, which children may read: the pruner deletes them later. `isOwned` explains `coalesce`.
 */
export const DISCARD = `
WITH free AS (
  SELECT j.id FROM ${tokens} JOIN _jobs j ON ${matchesId('o')} AND j.attempt = o.attempt
  WHERE coalesce(j.status = ANY ($2::text[]), false) AND j.idempotency_key IS NULL AND NOT ${isKeptUnique} AND j.watched IS NULL
    AND coalesce((SELECT t.retention -> j.status FROM _jobs_topics t WHERE t.topic = j.topic), '0') = '0'
  FOR UPDATE OF j SKIP LOCKED)
DELETE FROM _jobs j USING free WHERE ${matchesId('free')}`;

/** processing → completed, in the caller's transaction. $4 is an array with the last progress value, or NULL; $5 the time of the start, $6 the queue's id. */
export const COMPLETE_IN_TX = `
UPDATE _jobs SET status = 'completed', result = $3::jsonb, locked_until = NULL, locked_by = NULL,
  started = coalesce(to_timestamp($5::float8 / 1000.0), started),
  progress = CASE WHEN $4::jsonb IS NULL THEN progress ELSE nullif($4::jsonb -> 0, 'null') END,
  finished = statement_timestamp(), updated = statement_timestamp()
WHERE id = $1 AND attempt = $2 AND status IS NOT DISTINCT FROM 'processing' AND NOT cancel_requested
  AND ${isHere('$6')} RETURNING id, watched`;

/** Finds out why a completion was rejected: the row if the attempt still owns it. */
export const OWNED_STATE = `
SELECT cancel_requested FROM _jobs WHERE id = $1 AND attempt = $2 AND status IS NOT DISTINCT FROM 'processing'`;
