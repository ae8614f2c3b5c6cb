import { HAND_OVER_MAX_MS, SLICES, SPREAD_STEP_MS } from './limited-claim.js';
import { asClaimed, claimedColumns } from '../jobs/claim.postgres.js';
import { isUnexpired, matchesId, skipLocked } from '../jobs/job-row.postgres.js';

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
    ORDER BY flow_key, run_at LIMIT $3::int ${skipLocked}) c
  LIMIT $3::int))
RETURNING 1`;

/**
 * Takes the topic's lock until the transaction ends, unless another process holds it: $1 a number for this claim, $2 a hash of schema
 * and topic. An advisory lock: a row lock would make each empty claim write. Topics with the same hash take turns.
 */
export const LOCK_TOPIC = `
WITH held AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(1785946995, $2::int) AS is_held)
SELECT set_config('nestjs_jobs.claim', $1, true) FROM held WHERE is_held`;

const nowMs = '(extract(epoch FROM statement_timestamp()) * 1000)::bigint';

/** The slice of a time in milliseconds, 64 to a window of `rateMs`. Both are SQL for a bigint. */
const sliceOf = (timeMs: string, rateMs: string): string => `(${timeMs} * ${SLICES} / ${rateMs})`;

/** When the starts of a slice count no more, in milliseconds since 1970. */
export const sliceEnd = (slice: string, rateMs: string): string =>
  `(((${slice} + ${SLICES + 1}) * ${rateMs} + ${SLICES - 1}) / ${SLICES})`;

/**
 * The starts `w` of a key that count now. A start is recorded in the slice of the last moment at which its handler may be called, so it
 * may lie ahead. It counts until the end of its slice has left the window. Slices further ahead are ignored: the clock was set back.
 */
export const inWindow = (topic: string, key: string, rateMs: string): string =>
  `w.topic = ${topic} AND w.key = ${key} AND w.rate_ms = ${rateMs} AND w.slice BETWEEN ${sliceOf(nowMs, rateMs)} - ${SLICES}
    AND ${sliceOf(`(${nowMs} + ${rateMs} + ${HAND_OVER_MAX_MS})`, rateMs)}`;

const hasLock = `current_setting('nestjs_jobs.claim', true) IS NOT DISTINCT FROM $2`;

/** Counts the running jobs `j` of a topic, up to `max`, so that the cost does not grow with what runs. */
export const countRunning = (topic: string, condition: string, max: string): string =>
  `(SELECT count(*) FROM (SELECT 1 FROM _jobs j WHERE j.topic = ${topic} AND ${condition} AND j.locked_until IS NOT NULL LIMIT ${max}) u)`;

/** An aggregate of the starts of a key that count now, in a row of `x` or `s`. */
const ofStarts = (aggregate: string, row: string, key: string): string =>
  `(SELECT ${aggregate} FROM _jobs_starts w WHERE ${inWindow('$1', key, `${row}.rate_ms`)})`;
const countStarts = (row: string, key: string): string => ofStarts('coalesce(sum(w.starts), 0)', row, key);

/**
 * With `spread`, starts follow each other at `gap_ms`: the window and the hand-over, divided by the limit. Then the count of starts seldom
 * holds one back. `latest` is when the last start was due. A late claim may make up for `late_ms`, so starts are never closer than the
 * window divided by the limit.
 */
export const gapMs = (handOverMs: string): string =>
  `((t.rate_ms * ${SLICES + 1}.0 / ${SLICES} + ${handOverMs}) / t.rate_limit)::float8`;
const lateMs = `least(${gapMs('$8::int')} - t.rate_ms::float8 / t.rate_limit, t.rate_ms::float8 / t.rate_limit / 2)`;
const nextSpread = (row: string, key: string): string => `(${ofStarts('max(w.latest)', row, key)} + ${row}.gap_ms)`;
/** When a key that is full may start a job again. */
const nextStart = (row: string, key: string): string =>
  ofStarts(
    `greatest(CASE WHEN sum(w.starts) >= ${row}.rate_limit THEN ${sliceEnd('min(w.slice)', `${row}.rate_ms`)} END,
      CASE WHEN ${row}.rate_spread THEN max(w.latest) + ${row}.gap_ms END)`,
    row,
    key,
  );
/** How many spread starts are due. */
const spreadRoom = (row: string, key: string): string => `CASE WHEN ${row}.rate_spread
  THEN CASE WHEN ${nextSpread(row, key)} > ${row}.now_ms THEN 0 ELSE greatest(1, floor(${SPREAD_STEP_MS} / ${row}.gap_ms)) END END`;

const isKeyed = `status = 'pending' AND concurrency_key IS NOT NULL AND topic = $1`;
const isUnkeyed = `status = 'pending' AND concurrency_key IS NULL AND topic = $1`;
const isDue = 'run_at <= statement_timestamp()';
const mayStart = `${isDue} AND ${isUnexpired('_jobs')}`;

/** Records the starts. Those of a claim are due one after the other. */
const counted = `
counted AS (
  INSERT INTO _jobs_starts AS w (topic, key, rate_ms, slice, starts, latest)
  SELECT $1, d.key, s.rate_ms, s.slice, d.starts,
    greatest(s.now_ms - s.late_ms, CASE WHEN s.rate_spread THEN ${nextSpread('s', 'd.key')} END) + (d.starts - 1) * s.gap_ms
  FROM s CROSS JOIN LATERAL (
    SELECT CASE WHEN s.rate_by_key THEN done.flow_key ELSE '' END AS key, count(*) AS starts FROM done
    WHERE NOT (s.rate_by_key AND done.flow_key = '') GROUP BY 1) d
  WHERE s.rate_limit IS NOT NULL ORDER BY d.key
  ON CONFLICT (topic, key, rate_ms, slice) DO UPDATE SET starts = w.starts + excluded.starts, latest = greatest(w.latest, excluded.latest)
  RETURNING w.latest)`;

/** What a claim says about its end. */
const ending = `json_build_object(
  'hasLock', ${hasLock},
  'isLimited', (SELECT is_limited FROM x),
  'isPaused', (SELECT paused_since IS NOT NULL FROM x),
  'room', (SELECT room FROM s),
  'totalRoom', (SELECT limit_total - ${countRunning('$1', 'j.flow_key IS NOT NULL', 's.limit_total')} FROM s),
  'isCut', EXISTS (SELECT FROM k CROSS JOIN s WHERE k.n >= $7::int AND k.found < s.room),
  'isBehind', $9::boolean AND EXISTS (SELECT FROM unnest($5::int[]) AS l(priority) CROSS JOIN LATERAL (
    SELECT FROM _jobs WHERE ${isKeyed} AND priority = l.priority AND flow_key IS NULL AND ${isDue} ORDER BY flow_key, run_at LIMIT 1) d),
  'fullKeys', (SELECT count(*) FROM k WHERE n > 0 AND flow_key <> '' AND free <= 0),
  'rateInMs', (SELECT coalesce(
      CASE WHEN rate_by_key
        THEN (SELECT min(f.at) FROM k CROSS JOIN LATERAL (SELECT ${nextStart('s', 'k.flow_key')}) f(at)
          WHERE n > 0 AND free <= 0 AND f.at > s.now_ms)
        ELSE ${sliceEnd(ofStarts('min(w.slice)', 's', `''`), 's.rate_ms')} END,
      ${sliceEnd('s.slice', 's.rate_ms')}) - now_ms FROM s WHERE rate_limit IS NOT NULL),
  'rateRoom', (SELECT rate_limit - ${countStarts('s', `''`)} FROM s WHERE NOT rate_by_key),
  'spreadInMs', (SELECT coalesce((SELECT max(latest) FROM counted) + gap_ms, ${nextSpread('s', `''`)}) - now_ms
    FROM s WHERE rate_spread AND NOT rate_by_key),
  'start', (SELECT json_build_object('rateMs', rate_ms, 'slice', slice, 'isByKey', rate_by_key, 'atMs', now_ms, 'gapMs', gap_ms)
    FROM s WHERE rate_limit IS NOT NULL))`;

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
 * $7 at most this many steps of the walk, $8 the hand-over in milliseconds, $9 whether
 * keyed jobs may wait. If some of them are due and have no flow key yet, `isBehind` is true.
 */
export const CLAIM_LIMITED = `
WITH RECURSIVE x AS MATERIALIZED (
  SELECT t.*, ${nowMs} AS now_ms, ${sliceOf(`(${nowMs} + $8::int)`, 't.rate_ms')} AS slice, ${gapMs('$8::int')} AS gap_ms, ${lateMs} AS late_ms
  FROM _jobs_topics t WHERE topic = $1 AND ${hasLock}),
s AS MATERIALIZED (
  SELECT x.*, least($6::int,
    CASE WHEN limit_total IS NOT NULL THEN limit_total - ${countRunning('$1', 'j.flow_key IS NOT NULL', 'x.limit_total')} END,
    CASE WHEN rate_limit IS NOT NULL AND NOT rate_by_key THEN least(rate_limit - ${countStarts('x', `''`)}, ${spreadRoom('x', `''`)}) END)::int AS room
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
      CASE WHEN s.limit_key IS NOT NULL THEN s.limit_key - ${countRunning('$1', 'j.flow_key = f.flow_key', 's.limit_key')} END,
      CASE WHEN s.rate_by_key THEN least(s.rate_limit - ${countStarts('s', 'f.flow_key')}, ${spreadRoom('s', 'f.flow_key')}) END)::int
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
${counted},
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

/** Deletes up to $2 starts of a topic that have left the window of their rate, and counts them. */
export const PRUNE_STARTS = `
WITH gone AS (DELETE FROM _jobs_starts WHERE ctid = ANY (ARRAY(
  SELECT w.ctid FROM _jobs_starts w WHERE w.topic = $1 AND w.slice < ${sliceOf(nowMs, 'w.rate_ms')} - ${SLICES} LIMIT $2::int)) RETURNING 1)
SELECT count(*) AS removed FROM gone`;

/**
 * Takes starts back whose handlers were not called: $1 jobs, and where their claims recorded them. Runs after the outcome, in the
 * same transaction, so that a repeated outcome takes back nothing. If no start followed, the next one need not keep its distance. Locks
 * the rows in the order in which claims do.
 */
export const TAKE_BACK_STARTS = `
WITH given AS (
  SELECT j.topic, CASE WHEN o.is_by_key THEN j.concurrency_key ELSE '' END AS key, o.rate_ms, o.slice,
    count(*) AS starts, max(o.at_ms) AS at_ms, max(o.gap_ms) AS gap_ms
  FROM jsonb_to_recordset($1::jsonb) AS o(id uuid, rate_ms bigint, slice bigint, is_by_key boolean, at_ms float8, gap_ms float8)
  JOIN _jobs j ON ${matchesId('o')} GROUP BY 1, 2, 3, 4),
held AS MATERIALIZED (
  SELECT given.* FROM given JOIN _jobs_starts w USING (topic, key, rate_ms, slice) ORDER BY topic, key, rate_ms, slice FOR NO KEY UPDATE OF w)
UPDATE _jobs_starts w SET starts = greatest(0, w.starts - held.starts),
  latest = CASE WHEN w.latest <= held.at_ms THEN w.latest - held.gap_ms ELSE w.latest END
FROM held WHERE w.topic = held.topic AND w.key = held.key AND w.rate_ms = held.rate_ms AND w.slice = held.slice`;
