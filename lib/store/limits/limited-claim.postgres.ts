import { asClaimed, claimedColumns } from '../jobs/claim.postgres.js';
import { isUnexpired } from '../jobs/job-row.postgres.js';

/*
 * The claim of one topic that has limits, or jobs with a concurrency key.
 *
 * Running jobs and starts are counted from rows, never from counters. A count in the statement that takes the lock would read a
 * snapshot older than the lock. So `LOCK_TOPIC` and `CLAIM_LIMITED` are two statements of one transaction: the second one has a snapshot
 * that was taken under the lock. A setting of the transaction passes the result of the first to the second without a round trip.
 */

/**
 * Gives a flow key to keyed jobs that have become due: $1 topic, $2 priorities, $3 at most this many. A statement of its own, before the
 * lock: any process may run it. Ordered by `flow_key` too, or the planner would read another index.
 */
export const MARK_KEYED_DUE = `
UPDATE _jobs SET flow_key = concurrency_key WHERE ctid = ANY (ARRAY(
  SELECT c.tid FROM unnest($2::int[]) AS l(priority) CROSS JOIN LATERAL (
    SELECT ctid AS tid FROM _jobs
    WHERE status = 'pending' AND concurrency_key IS NOT NULL AND topic = $1 AND priority = l.priority AND flow_key IS NULL
      AND run_at <= statement_timestamp()
    ORDER BY flow_key, run_at LIMIT $3::int FOR NO KEY UPDATE SKIP LOCKED) c
  LIMIT $3::int))`;

/**
 * Takes the topic's lock until the transaction ends, unless another process holds it: $1 a number for this claim, $2 a hash of schema
 * and topic. An advisory lock: a row lock would make each empty claim write. Topics with the same hash take turns.
 */
export const LOCK_TOPIC = `
WITH held AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(1785946995, $2::int) AS is_held)
SELECT set_config('nestjs_jobs.claim', $1, true) FROM held WHERE is_held`;

const nowMs = '(extract(epoch FROM statement_timestamp()) * 1000)::bigint';

/** The window of a rate in slices, in a row `t` of `_jobs_topics`: their length, their number, and the current one. */
export const sliceMs = 'greatest(1, t.rate_ms / 64)';
export const slices = `((t.rate_ms + ${sliceMs} - 1) / ${sliceMs})`;
export const slice = `(${nowMs} / ${sliceMs})`;

const hasLock = `current_setting('nestjs_jobs.claim', true) IS NOT DISTINCT FROM $2`;

/** Counts up to a limit, so that the cost does not grow with what runs. */
const countRunning = (condition: string, limit: string): string =>
  `(SELECT count(*) FROM (SELECT 1 FROM _jobs WHERE topic = $1 AND ${condition} AND locked_until IS NOT NULL LIMIT ${limit}) u)`;

/**
 * The starts of a key that count now. A start counts until the end of its slice has left the window. Slices more than a window ahead
 * are ignored: the clock was set back.
 */
const inWindow = (row: string, key: string): string =>
  `w.topic = $1 AND w.key = ${key} AND w.slice BETWEEN ${row}.slice - ${row}.slices AND ${row}.slice + ${row}.slices`;
const countStarts = (row: string, key: string): string =>
  `(SELECT coalesce(sum(starts), 0) FROM _jobs_starts w WHERE ${inWindow(row, key)})`;
const oldestStart = (row: string, key: string): string =>
  `(SELECT min(w.slice) FROM _jobs_starts w WHERE ${inWindow(row, key)})`;

const isKeyed = `status = 'pending' AND concurrency_key IS NOT NULL AND topic = $1`;
const isUnkeyed = `status = 'pending' AND concurrency_key IS NULL AND topic = $1`;
const isDue = 'run_at <= statement_timestamp()';
const mayStart = `${isDue} AND ${isUnexpired('_jobs')}`;
const skipLocked = 'FOR NO KEY UPDATE SKIP LOCKED';

/** What a claim says about its end. */
const ending = `json_build_object(
  'hasLock', ${hasLock},
  'isLimited', (SELECT is_limited FROM x),
  'isPaused', (SELECT paused_since IS NOT NULL FROM x),
  'room', (SELECT room FROM s),
  'totalRoom', (SELECT limit_total - ${countRunning('flow_key IS NOT NULL', 's.limit_total')} FROM s),
  'isCut', EXISTS (SELECT FROM k CROSS JOIN s WHERE k.n >= $7::int AND k.found < s.room),
  'fullKeys', (SELECT count(*) FROM k WHERE n > 0 AND flow_key <> '' AND free <= 0),
  'rateInMs', (SELECT (s.slices + 1 + coalesce(
      CASE WHEN s.rate_by_key THEN (SELECT min(${oldestStart('s', 'k.flow_key')}) FROM k WHERE n > 0 AND free <= 0)
        ELSE ${oldestStart('s', `''`)} END, s.slice)) * s.slice_ms - ${nowMs}
    FROM s WHERE s.rate_limit IS NOT NULL))`;

/**
 * pending → processing for one limited topic. Keys take turns: the walk starts behind the cursor in the topic's row, which all
 * processes share, and goes once around. The jobs without a key count as the key ''. In the order of the statement:
 *
 * - `x`: the topic, if this transaction holds its lock; `s`: how many jobs may start by the limits of the topic
 * - `k`: the walk over the keys of each priority, and how many jobs of each key may start
 * - `c`: the jobs of these keys, numbered by turns; `done`: the claim
 * - `counted`: the starts, for the rate; `moved`: the cursor
 *
 * Values that are the same for all rows are subqueries, which run once.
 *
 * Parameters: $1 topic, $2 the number of this claim, $3 worker, $4 lease in milliseconds, $5 priorities in order, $6 at most this many jobs,
 * $7 at most this many steps of the walk.
 */
export const CLAIM_LIMITED = `
WITH RECURSIVE x AS MATERIALIZED (
  SELECT t.*, ${sliceMs} AS slice_ms, ${slices} AS slices, ${slice} AS slice
  FROM _jobs_topics t WHERE topic = $1 AND ${hasLock}),
s AS MATERIALIZED (
  SELECT x.*, least($6::int,
    CASE WHEN limit_total IS NOT NULL THEN limit_total - ${countRunning('flow_key IS NOT NULL', 'x.limit_total')} END,
    CASE WHEN rate_limit IS NOT NULL AND NOT rate_by_key THEN rate_limit - ${countStarts('x', `''`)} END)::int AS room
  FROM x WHERE is_limited AND paused_since IS NULL),
k AS (
  SELECT l.priority, l.place, s.key_cursor AS flow_key, false AS wrapped, 0 AS n, 0 AS found, 0 AS free
  FROM s CROSS JOIN unnest($5::int[]) WITH ORDINALITY AS l(priority, place) WHERE s.room > 0
  UNION ALL
  SELECT k.priority, k.place, f.flow_key, f.wrapped, k.n + 1, k.found + (g.free > 0)::int, g.free
  FROM k CROSS JOIN s CROSS JOIN LATERAL (
    SELECT * FROM (
      SELECT a.flow_key, k.wrapped FROM (
        SELECT flow_key FROM _jobs WHERE ${isKeyed} AND priority = k.priority AND flow_key > k.flow_key ORDER BY flow_key LIMIT 1) a
      WHERE NOT k.wrapped OR a.flow_key <= s.key_cursor
      UNION ALL SELECT '', true WHERE NOT k.wrapped) u
    LIMIT 1) f
  CROSS JOIN LATERAL (SELECT CASE
    WHEN f.flow_key <> '' THEN least(s.room,
      CASE WHEN s.limit_key IS NOT NULL THEN s.limit_key - ${countRunning('flow_key = f.flow_key', 's.limit_key')} END,
      CASE WHEN s.rate_by_key THEN s.rate_limit - ${countStarts('s', 'f.flow_key')} END)::int
    WHEN (SELECT 1 FROM _jobs WHERE ${isUnkeyed} AND priority = k.priority AND ${isDue} ORDER BY run_at LIMIT 1) IS NOT NULL
    THEN s.room ELSE 0 END AS free) g
  WHERE k.n < $7::int AND k.found < s.room),
o AS MATERIALIZED (SELECT *, count(*) OVER (PARTITION BY place) AS keys FROM k WHERE n > 0 AND free > 0),
c AS MATERIALIZED (
  SELECT c.tid, o.place, o.n, o.free, row_number() OVER (PARTITION BY o.flow_key ORDER BY o.place, c.run_at) AS round
  FROM o CROSS JOIN s CROSS JOIN LATERAL (
    SELECT ctid AS tid, run_at FROM _jobs
    WHERE ${isKeyed} AND priority = o.priority AND flow_key = o.flow_key AND o.flow_key <> '' AND ${mayStart}
    ORDER BY run_at LIMIT least(o.free, ceil(2.0 * s.room / o.keys)) ${skipLocked}) c
  UNION ALL
  SELECT c.tid, o.place, o.n, o.free, row_number() OVER (PARTITION BY o.place ORDER BY c.run_at)
  FROM o CROSS JOIN s CROSS JOIN LATERAL (
    SELECT ctid AS tid, run_at FROM _jobs WHERE ${isUnkeyed} AND priority = o.priority AND o.flow_key = '' AND ${mayStart}
    ORDER BY run_at LIMIT ceil(2.0 * s.room / o.keys) ${skipLocked}) c),
done AS (
  UPDATE _jobs j SET flow_key = coalesce(concurrency_key, ''), ${asClaimed}
  WHERE j.ctid = ANY (ARRAY(
    SELECT tid FROM c WHERE round <= free ORDER BY place, round, n LIMIT (SELECT greatest(0, room) FROM s)))
  RETURNING ${claimedColumns}, j.flow_key),
counted AS (
  INSERT INTO _jobs_starts AS w (topic, key, slice, starts)
  SELECT $1, CASE WHEN s.rate_by_key THEN done.flow_key ELSE '' END, s.slice, count(*)
  FROM done CROSS JOIN s WHERE s.rate_limit IS NOT NULL AND NOT (s.rate_by_key AND done.flow_key = '')
  GROUP BY 2, 3 ORDER BY 2
  ON CONFLICT (topic, key, slice) DO UPDATE SET starts = w.starts + excluded.starts),
moved AS (
  UPDATE _jobs_topics t SET key_cursor = (SELECT flow_key FROM k ORDER BY n DESC, place LIMIT 1)
  WHERE topic = $1 AND key_cursor <> (SELECT flow_key FROM k ORDER BY n DESC, place LIMIT 1))
SELECT row_ref, id, topic, payload, backoff, metadata, numbers, run_at, created, at, NULL AS ending FROM done
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ${ending}::text`;

/** Marks a topic as limited, since it has jobs with a concurrency key. */
export const MARK_LIMITED = `
INSERT INTO _jobs_topics AS t (topic, is_limited) VALUES ($1, true)
ON CONFLICT (topic) DO UPDATE SET is_limited = true WHERE NOT t.is_limited`;

/** Deletes the starts of a topic that have left the window of its rate. */
export const PRUNE_STARTS = `
DELETE FROM _jobs_starts w USING _jobs_topics t WHERE t.topic = $1 AND w.topic = t.topic
  AND w.slice < ${slice} - ${slices}`;
