import { isOwed, WAS_RESCUED, WATCHED } from './job-row.js';
import {
  byId,
  appendError,
  fromMs,
  fromNow,
  isHere,
  isKeptUnique,
  ms,
  now,
  isOwned,
  isOwnedClaim,
  tokens,
} from './job-row.sqlite.js';
import { watchedAtFailure } from '../links/dead-letter.sqlite.js';

/** When the handler of `o` was called, as the worker measured it. The row holds the time of the claim. */
const started = `coalesce(${fromMs('o.started_ms')}, j.started)`;
/** When it ended: a slow write of the outcome does not count as run time. NULL: a run time that is not known. */
const toFinished = (ms: string): string => `coalesce(min(${fromMs(ms)}, ${now}), ${now})`;
const finished = toFinished('o.started_ms + o.ran_ms');

/** processing → completed, fenced by attempt, with results and run times. Returns the changed rows. */
export const COMPLETE = `
WITH o AS MATERIALIZED (
  SELECT value ->> 0 AS id, value ->> 1 AS attempt, value ->> 2 AS started_ms, value ->> 3 AS ran_ms, value -> 4 AS result FROM json_each(?1))
UPDATE _jobs AS j SET status = 'completed', result = o.result,
  started = ${started}, locked_until = NULL, locked_by = NULL, finished = ${finished}, updated = ${now}
FROM o WHERE ${isOwned} AND NOT j.cancel_requested
RETURNING id, attempt, watched = ${WATCHED.always} AS owes`;

const completeBrief = `
UPDATE _jobs ${byId} SET status = 'completed', started = ${fromMs('?2')}, locked_until = NULL, locked_by = NULL,
  finished = ${toFinished('?2 + ?3')}, updated = ${now}
WHERE id IN (SELECT value FROM json_each(?1)) AND attempt = 1 AND +status = 'processing' AND NOT cancel_requested
  AND result IS NULL AND coalesce(watched, ${WATCHED.unlessCompleted}) = ${WATCHED.unlessCompleted}`;

/**
 * processing → completed, for first attempts of brief handlers without a result: the ids in ?1, and one start ?2 and one run time ?3 for all of
 * them, are enough. `SETTLE` completes those that owe a follow-up. Without the join a set costs half, and drains of such jobs are limited by the table.
 */
export const COMPLETE_BRIEF = `${completeBrief} RETURNING id, attempt`;

/** `COMPLETE_BRIEF` without a row for each job, in four fifths of the time. `CHANGES` follows it. */
export const COMPLETE_BRIEF_WITHOUT_ROWS = completeBrief;

/** Counts the rows that the last write on this connection has changed. */
export const CHANGES = 'SELECT changes() AS count';

/** Finds which of the jobs in ?1 are completed. Only their first attempt can have completed them. */
export const COMPLETED_BRIEF = `
SELECT id, attempt FROM _jobs ${byId}
WHERE id IN (SELECT value FROM json_each(?1)) AND attempt = 1 AND status = 'completed'`;

/** processing → deleted, in one write. Leaves jobs with a cancel request, those that keep a key, and those on which others depend to `SETTLE`. */
export const COMPLETE_AND_DELETE = `
DELETE FROM _jobs ${byId} WHERE ${isOwnedClaim} AND NOT cancel_requested AND idempotency_key IS NULL
  AND unique_until IS NULL AND watched IS NULL RETURNING id, attempt`;

/** MATERIALIZED: otherwise SQLite parses each member once for every column that reads it. */
const outcomes = `o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, value ->> 'kind' AS kind, value ->> 'delay_ms' AS delay_ms,
    value ->> 'message' AS message, value ->> 'stack' AS stack, value ->> 'started_ms' AS started_ms, value ->> 'ran_ms' AS ran_ms, value ->> 'expires_ms' AS expires_ms,
    nullif(value -> 'result', 'null') AS result,
    value -> 'progress' AS progress
  FROM json_each(?1))`;

const finalStatuses = `('completed', 'failed', 'cancelled')`;

const hasNoRetries = `j.retries >= j.max_retries`;

const isFailing = `NOT j.cancel_requested AND (o.kind = 'failed' OR o.kind = 'retry' AND ${hasNoRetries})`;

/**
 * processing → the status of each outcome, fenced by attempt. Returns the changed rows. A job that fails and has dead letters owes a
 * follow-up.
 */
export const SETTLE = `
WITH ${outcomes}
UPDATE _jobs AS j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled'
    WHEN o.kind = 'retry' THEN iif(${hasNoRetries}, 'failed', 'pending')
    WHEN o.kind IN ('snooze', 'release') THEN 'pending' ELSE o.kind END,
  retries = j.retries + (o.kind = 'retry' AND NOT j.cancel_requested AND NOT ${hasNoRetries}),
  run_at = CASE WHEN NOT j.cancel_requested AND (o.kind IN ('snooze', 'release') OR (o.kind = 'retry' AND NOT ${hasNoRetries}))
    THEN iif(o.delay_ms IS NULL, j.run_at, ${fromNow('o.delay_ms')}) ELSE j.run_at END,
  result = iif(o.kind = 'completed', o.result, j.result),
  progress = iif(o.progress IS NULL, j.progress, nullif(o.progress -> 0, 'null')),
  last_error = coalesce(o.message, j.last_error),
  errors = CASE WHEN o.message IS NULL THEN j.errors ELSE ${appendError('o.message', 'o.stack', started)} END,
  started = ${started}, expires_at = coalesce(j.expires_at, ${fromMs('o.expires_ms')}),
  watched = CASE WHEN j.watched IS NULL AND ${isFailing} THEN ${watchedAtFailure('j')} ELSE j.watched END,
  locked_until = NULL, locked_by = NULL, flow_key = NULL,
  finished = CASE WHEN j.cancel_requested OR o.kind IN ${finalStatuses} OR (o.kind = 'retry' AND ${hasNoRetries}) THEN ${finished} END,
  updated = ${now}
FROM o WHERE ${isOwned}
RETURNING id, true AS applied, ${isOwed()} AS owes, status, attempt, retries, ${ms('run_at')} AS run_at`;

/** Reads the state of jobs that `SETTLE` did not change. */
export const SETTLED_STATE = `
SELECT id, false AS applied, status, attempt, retries, ${ms('run_at')} AS run_at, ${WAS_RESCUED} AS was_rescued
FROM _jobs AS j ${byId}
WHERE id IN (SELECT value ->> 'id' FROM json_each(?1))`;

/** Deletes jobs in one of the statuses in ?2, unless they keep a key, are watched, or their topic declares another age. */
export const DISCARD = `
DELETE FROM _jobs ${byId} WHERE status IN (SELECT value FROM json_each(?2)) AND idempotency_key IS NULL
  AND NOT ${isKeptUnique} AND watched IS NULL AND (id, attempt) IN ${tokens}
  AND coalesce((SELECT t.retention -> _jobs.status FROM _jobs_topics AS t WHERE t.topic = _jobs.topic), '0') = '0'`;

/** processing → completed, in a transaction of the application. ?4 is an array with the last progress value, or NULL; ?5 the time of the start, ?6 the queue's id. */
export const COMPLETE_IN_TX = `
UPDATE _jobs SET status = 'completed', result = ?3, locked_until = NULL, locked_by = NULL, finished = ${now}, updated = ${now},
  started = coalesce(${fromMs('?5')}, started), progress = iif(?4 IS NULL, progress, nullif(?4 -> 0, 'null'))
WHERE id = ?1 AND attempt = ?2 AND +status = 'processing' AND NOT cancel_requested
  AND ${isHere('?6')} RETURNING id, watched`;

/** Finds out why `COMPLETE_IN_TX` changed nothing: a cancel request, or another owner. */
export const OWNED_STATE = `
SELECT cancel_requested FROM _jobs WHERE id = ?1 AND attempt = ?2 AND +status = 'processing'`;
