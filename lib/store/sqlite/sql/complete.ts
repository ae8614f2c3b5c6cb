import { IS_TAKEN_OVER } from '../../statement-parts.js';
import { byId, errorsWith, fromNow, ms, now, owned, ownedTokens, tokens } from './statement-parts.js';

/*
 * How attempts end.
 */

/** A handler that took less began when it ended, at the precision of the table. */
export const BRIEF_MS = 0.5;

/**
 * processing → completed, fenced by attempt, for those of which that is the whole outcome; answers the rows it moved.
 */
export const COMPLETE = `
WITH o AS MATERIALIZED (
  SELECT value ->> 0 AS id, value ->> 1 AS attempt, value ->> 2 AS ran_ms, value -> 3 AS result FROM json_each(?1))
UPDATE _jobs AS j SET status = 'completed', result = o.result,
  started = CASE WHEN o.ran_ms IS NULL THEN j.started WHEN o.ran_ms < ${BRIEF_MS} THEN ${now} ELSE ${fromNow('-o.ran_ms')} END,
  locked_until = NULL, locked_by = NULL, finished = ${now}, updated = ${now}
FROM o WHERE ${owned} AND NOT j.cancel_requested
RETURNING id, attempt`;

const completeBrief = `
UPDATE _jobs ${byId} SET status = 'completed', started = ${now}, locked_until = NULL, locked_by = NULL, finished = ${now}, updated = ${now}
WHERE id IN (SELECT value FROM json_each(?1)) AND attempt = 1 AND +status = 'processing' AND NOT cancel_requested
  AND result IS NULL`;

/**
 * The same where nothing differs from job to job but the id: first attempts of such brief handlers, without a result. In those
 * the table is what a drain waits for, and a set without a join costs it a third less.
 */
export const COMPLETE_BRIEF = `${completeBrief} RETURNING id, attempt`;

/** `COMPLETE_BRIEF` without an answer for each row, in four fifths of the time. `MOVED` is to be asked next. */
export const COMPLETE_BRIEF_UNANSWERED = completeBrief;

/** How many rows the last write on this connection has moved. */
export const MOVED = 'SELECT changes() AS count';

/** Which of those are completed. Nobody but their first attempts can have done it. */
export const COMPLETED_BRIEF = `
SELECT id, attempt FROM _jobs ${byId}
WHERE id IN (SELECT value FROM json_each(?1)) AND attempt = 1 AND status = 'completed'`;

/**
 * processing → completed → gone, in one step. Left to `SETTLE` are jobs to be cancelled, and those whose idempotency key is to
 * be kept.
 */
export const COMPLETE_AND_REMOVE = `
DELETE FROM _jobs ${byId} WHERE ${ownedTokens} AND NOT cancel_requested AND idempotency_key IS NULL RETURNING id, attempt`;

/** Materialized, or each member would be parsed once for every column that reads it. */
const outcomes = `o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, value ->> 'kind' AS kind, value ->> 'delay_ms' AS delay_ms,
    value ->> 'message' AS message, value ->> 'stack' AS stack, value ->> 'ran_ms' AS ran_ms, nullif(value -> 'result', 'null') AS result
  FROM json_each(?1))`;

const finalStatuses = `('completed', 'failed', 'cancelled')`;

const isSpent = `j.retries >= j.max_retries`;

/** The row has the time of the claim; what is kept is the time of this statement less what the handler took. */
const started = `iif(o.ran_ms IS NULL, j.started, ${fromNow('-o.ran_ms')})`;

/** processing → as each outcome says, fenced by attempt. Answers the rows it moved. */
export const SETTLE = `
WITH ${outcomes}
UPDATE _jobs AS j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled'
    WHEN o.kind = 'retry' THEN iif(${isSpent}, 'failed', 'pending')
    WHEN o.kind IN ('snooze', 'release') THEN 'pending' ELSE o.kind END,
  retries = j.retries + (o.kind = 'retry' AND NOT j.cancel_requested AND NOT ${isSpent}),
  run_at = CASE WHEN NOT j.cancel_requested AND (o.kind IN ('snooze', 'release') OR (o.kind = 'retry' AND NOT ${isSpent}))
    THEN iif(o.delay_ms IS NULL, j.run_at, ${fromNow('o.delay_ms')}) ELSE j.run_at END,
  result = iif(o.kind = 'completed', o.result, j.result),
  last_error = coalesce(o.message, j.last_error),
  errors = CASE WHEN o.message IS NULL THEN j.errors ELSE ${errorsWith('o.message', 'o.stack', started)} END,
  started = ${started}, locked_until = NULL, locked_by = NULL,
  finished = CASE WHEN j.cancel_requested OR o.kind IN ${finalStatuses} OR (o.kind = 'retry' AND ${isSpent}) THEN ${now} END,
  updated = ${now}
FROM o WHERE ${owned}
RETURNING id, true AS applied, status, attempt, retries, ${ms('run_at')} AS run_at`;

/** Jobs as they stand, for outcomes that moved nothing. */
export const SETTLED_STATE = `
SELECT id, false AS applied, status, attempt, retries, ${ms('run_at')} AS run_at, ${IS_TAKEN_OVER} AS is_taken_over
FROM _jobs AS j ${byId}
WHERE id IN (SELECT value ->> 'id' FROM json_each(?1))`;

/** Settled jobs that are not to be kept. ?2 is a JSON array of statuses. One with an idempotency key is pruned later. */
export const DISCARD = `
DELETE FROM _jobs ${byId} WHERE status IN (SELECT value FROM json_each(?2)) AND idempotency_key IS NULL
  AND (id, attempt) IN ${tokens}`;

/** processing → completed, on a connection and in a transaction of the caller's. */
export const COMPLETE_IN_TX = `
UPDATE _jobs SET status = 'completed', result = ?3, locked_until = NULL, locked_by = NULL, finished = ${now}, updated = ${now}
WHERE id = ?1 AND attempt = ?2 AND +status = 'processing' AND NOT cancel_requested RETURNING id`;

/** Why a completion was refused. */
export const OWNED_STATE = `
SELECT cancel_requested FROM _jobs WHERE id = ?1 AND attempt = ?2 AND +status = 'processing'`;
