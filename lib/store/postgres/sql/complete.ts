import { IS_TAKEN_OVER } from '../../statement-parts.js';
import {
  byIdOf,
  errorsWith,
  finalStatuses,
  ms,
  owned,
  ownedInPlace,
  tokens,
  unlessLocked,
  waitsBriefly,
} from './statement-parts.js';

/*
 * How attempts end.
 */

const isSpent = 'j.retries >= j.max_retries';

/** The row has the time of the claim; what is kept is the time of this statement less what the handler took. */
const started = 'coalesce(statement_timestamp() - make_interval(secs => o.ran_ms / 1000.0), j.started)';

/**
 * processing → as each outcome says, fenced by attempt; answers the rows it moved. A row that a transaction holds locked
 * is skipped, and asked for again: one that stays open must not keep all other outcomes waiting. Every choice reads `j`,
 * the one row that is fresh.
 */
export const SETTLE = `
WITH o AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb)
    AS s(id uuid, attempt int, kind text, delay_ms float8, message text, stack text, ran_ms float8, result jsonb)),
free AS MATERIALIZED (SELECT o.* FROM o JOIN _jobs j ON ${owned} ORDER BY o.id ${unlessLocked})
UPDATE _jobs j SET
  status = CASE WHEN j.cancel_requested THEN 'cancelled'
    WHEN o.kind = 'retry' THEN CASE WHEN ${isSpent} THEN 'failed' ELSE 'pending' END
    WHEN o.kind IN ('snooze', 'release') THEN 'pending' ELSE o.kind END,
  retries = j.retries + (o.kind = 'retry' AND NOT j.cancel_requested AND NOT ${isSpent})::int,
  run_at = CASE
    WHEN NOT j.cancel_requested AND (o.kind IN ('snooze', 'release') OR (o.kind = 'retry' AND NOT ${isSpent}))
    THEN coalesce(statement_timestamp() + make_interval(secs => o.delay_ms / 1000.0), j.run_at) ELSE j.run_at END,
  result = CASE WHEN o.kind = 'completed' THEN o.result ELSE j.result END,
  last_error = coalesce(o.message, j.last_error),
  errors = CASE WHEN o.message IS NULL THEN j.errors ELSE ${errorsWith('o.message', 'o.stack', started)} END,
  started = ${started},
  locked_until = NULL, locked_by = NULL,
  finished = CASE WHEN j.cancel_requested OR o.kind IN ${finalStatuses} OR (o.kind = 'retry' AND ${isSpent})
    THEN statement_timestamp() END,
  updated = statement_timestamp()
FROM free o WHERE ${owned}
RETURNING j.id, true AS applied, j.status, j.attempt, j.retries, ${ms('j.run_at')} AS run_at`;

/**
 * Completed jobs, the bulk of all outcomes, as arrays: $1 ids, $2 attempts, $3 how long each ran, $4 results, a JSON array or
 * NULL for none, $5 where the claim left each row. Rows that are owned no more are not matched, and neither are those that a
 * renewal or a progress value has moved since: `SETTLE` is asked for them. By subscripts: the rows of `unnest` are kept and read
 * again, a column of each array at a time, which took a twentieth of a completion.
 */
const completions = `
  (SELECT ord, ($1::uuid[])[ord] AS id, ($2::int[])[ord] AS attempt, ($3::float8[])[ord] AS ran_ms,
    ($4::jsonb) -> (ord - 1) AS result, ($5::tid[])[ord] AS place
  FROM generate_series(1, cardinality($1::uuid[])) AS ord) AS o`;

/** The same of one completed job, each a plain value. */
const completion = `
  (SELECT $1::uuid AS id, $2::int AS attempt, $3::float8 AS ran_ms, $4::jsonb AS result, $5::tid AS place) AS o`;

/** Left to `SETTLE` are jobs to be cancelled. */
const completes = `${waitsBriefly} AND ${ownedInPlace} AND NOT j.cancel_requested`;

/** Left to `SETTLE` are also jobs whose idempotency key is to be kept. */
const removes = `${completes} AND j.idempotency_key IS NULL`;

const asCompleted = `status = 'completed', result = nullif(o.result, 'null'),
    started = ${started},
    locked_until = NULL, locked_by = NULL, finished = statement_timestamp(), updated = statement_timestamp()`;

/** One row: how many were moved, and which of the arrays' members, as a JSON array: not even gathered when it is all of them. */
const counted = (moved: string): string => `
WITH moved AS (
  ${moved}
  RETURNING o.ord)
SELECT count(*), CASE WHEN count(*) < cardinality($1::uuid[])
  THEN (SELECT array_to_json(array_agg(ord))::text FROM moved) END AS members
FROM moved`;

/**
 * processing → completed, fenced by attempt, for those of which that is the whole outcome. Fails with a lock timeout when
 * somebody holds one of the rows: then `SETTLE` is the one to ask for all.
 */
export const COMPLETE = counted(`UPDATE _jobs j SET ${asCompleted}
  FROM ${completions} WHERE ${completes}`);

/** processing → completed → gone, in one step. */
export const COMPLETE_AND_REMOVE = counted(`DELETE FROM _jobs j USING ${completions} WHERE ${removes}`);

/** `COMPLETE` for one job, in four fifths of the time. No row when it was not moved. */
export const COMPLETE_ONE = `
UPDATE _jobs j SET ${asCompleted} FROM ${completion} WHERE ${completes} RETURNING 1 AS count`;

/** `COMPLETE_AND_REMOVE` for one job. No row when it was not moved. */
export const COMPLETE_AND_REMOVE_ONE = `
DELETE FROM _jobs j USING ${completion} WHERE ${removes} RETURNING 1 AS count`;

/** Jobs as they stand, for outcomes that moved nothing. */
export const SETTLED_STATE = `
SELECT j.id, false AS applied, j.status, j.attempt, j.retries, ${ms('j.run_at')} AS run_at, ${IS_TAKEN_OVER} AS is_taken_over
FROM ${tokens} JOIN _jobs j ON j.id = o.id`;

/** Settled jobs that are not to be kept; for `coalesce` see `owned`. One with an idempotency key is pruned when its day is over. */
export const DISCARD = `
WITH free AS (
  SELECT j.id FROM ${tokens} JOIN _jobs j ON ${byIdOf('o')} AND j.attempt = o.attempt
  WHERE coalesce(j.status = ANY ($2::text[]), false) AND j.idempotency_key IS NULL FOR UPDATE OF j SKIP LOCKED)
DELETE FROM _jobs j USING free WHERE ${byIdOf('free')}`;

/** processing → completed, on a connection and in a transaction of the caller's. */
export const COMPLETE_IN_TX = `
UPDATE _jobs SET status = 'completed', result = $3::jsonb, locked_until = NULL, locked_by = NULL,
  finished = statement_timestamp(), updated = statement_timestamp()
WHERE id = $1 AND attempt = $2 AND status IS NOT DISTINCT FROM 'processing' AND NOT cancel_requested RETURNING id`;

/** Why a completion was refused. */
export const OWNED_STATE = `
SELECT cancel_requested FROM _jobs WHERE id = $1 AND attempt = $2 AND status IS NOT DISTINCT FROM 'processing'`;
