import { HAND_OVER_MAX_MS, SLICES } from './limited-claim.js';
import { claimedColumns } from '../jobs/claim.sqlite.js';
import { byId, fromNow, isUnexpired, ms, now } from '../jobs/job-row.sqlite.js';

/*
 * The claim of one topic that has limits, or jobs with a concurrency key. `BEGIN IMMEDIATE` is its lock: all statements run in one
 * transaction. Running jobs and starts are counted from rows, never from counters. Each statement names its index: after an ANALYZE of
 * a small table SQLite would choose others.
 */

const keyed = `_jobs INDEXED BY _jobs_keyed WHERE status = 'pending' AND concurrency_key IS NOT NULL AND topic = ?1`;
const unkeyed = `_jobs INDEXED BY _jobs_pending WHERE status = 'pending' AND concurrency_key IS NULL AND topic = ?1`;
const running = `_jobs INDEXED BY _jobs_running WHERE topic = ?1 AND locked_until IS NOT NULL`;

/** The slice of a time in milliseconds, 64 to a window of `rateMs`. Both are SQL for an integer. */
const sliceOf = (timeMs: string, rateMs: string): string => `(${timeMs} * ${SLICES} / ${rateMs})`;

/** When the starts of a slice count no more, in milliseconds since 1970. */
export const sliceEnd = (slice: string, rateMs: string): string =>
  `(((${slice} + ${SLICES + 1}) * ${rateMs} + ${SLICES - 1}) / ${SLICES})`;

/**
 * The starts `w` of a key that count now. A start is recorded in the slice of the last moment at which its handler may be called, so it
 * may lie ahead. It counts until the end of its slice has left the window. Slices further ahead are ignored: the clock was set back.
 */
export const inWindow = (topic: string, key: string, rateMs: string): string =>
  `w.topic = ${topic} AND w.key = ${key} AND w.rate_ms = ${rateMs} AND w.slice BETWEEN ${sliceOf(ms(now), rateMs)} - ${SLICES}
    AND ${sliceOf(`(${ms(now)} + ${rateMs} + ${HAND_OVER_MAX_MS})`, rateMs)}`;

/** Whether a job of topic ?1 and a priority in ?2 is due. Takes no lock. */
export const HAS_DUE = `
SELECT 1 AS due FROM json_each(?2) AS p WHERE
  EXISTS (SELECT 1 FROM ${unkeyed} AND priority = p.value AND run_at <= ${now})
  OR EXISTS (SELECT 1 FROM ${keyed} AND priority = p.value AND flow_key > '')
  OR EXISTS (SELECT 1 FROM ${keyed} AND priority = p.value AND flow_key IS NULL AND run_at <= ${now}) LIMIT 1`;

/** Reads the limits of a topic and its cursor. */
export const TOPIC_LIMITS = `
SELECT is_limited, paused_since IS NOT NULL AS is_paused, limit_total, limit_key, rate_limit, rate_ms, rate_by_key, rate_spread, key_cursor,
  ${ms(now)} AS now_ms
FROM _jobs_topics AS t WHERE topic = ?1`;

/** Gives a flow key to up to ?3 keyed jobs of priority ?2 that have become due. */
export const MARK_KEYED_DUE = `
UPDATE _jobs ${byId} SET flow_key = concurrency_key WHERE id IN (
  SELECT id FROM ${keyed} AND priority = ?2 AND flow_key IS NULL AND run_at <= ${now} ORDER BY run_at LIMIT ?3)
RETURNING 1 AS marked`;

/** Counts the running jobs of a topic, up to ?2. */
export const COUNT_RUNNING = `SELECT count(*) AS count FROM (SELECT 1 FROM ${running} AND flow_key >= '' LIMIT ?2)`;

/** Counts the running jobs of key ?2, up to ?3. */
export const COUNT_RUNNING_OF_KEY = `SELECT count(*) AS count FROM (SELECT 1 FROM ${running} AND flow_key = ?2 LIMIT ?3)`;

/** Counts the starts of key ?2 in a window of ?3 milliseconds, and returns when the oldest slice counts no more, and the last start. */
export const COUNT_STARTS = `
SELECT coalesce(sum(w.starts), 0) AS count, ${sliceEnd('min(w.slice)', '?3')} AS oldest_end, max(w.latest) AS latest
FROM _jobs_starts AS w WHERE ${inWindow('?1', '?2', '?3')}`;

/** Finds the first key after ?3 with a due job of priority ?2. */
export const NEXT_KEY = `SELECT flow_key FROM ${keyed} AND priority = ?2 AND flow_key > ?3 ORDER BY flow_key LIMIT 1`;

/** Whether a job without a key is due. */
export const HAS_UNKEYED = `SELECT 1 AS due FROM ${unkeyed} AND priority = ?2 AND run_at <= ${now} LIMIT 1`;

/** The first ?4 due jobs of key ?3. */
export const JOBS_OF_KEY = `
SELECT id FROM ${keyed} AND priority = ?2 AND flow_key = ?3 AND run_at <= ${now} AND ${isUnexpired}
ORDER BY run_at LIMIT ?4`;

/** The first ?3 due jobs without a key. */
export const UNKEYED_JOBS = `
SELECT id FROM ${unkeyed} AND priority = ?2 AND run_at <= ${now} AND ${isUnexpired} ORDER BY run_at LIMIT ?3`;

/** pending → processing for the ids in ?1: ?2 worker, ?3 lease in milliseconds. */
export const CLAIM_ROWS = `
UPDATE _jobs ${byId} SET status = 'processing', flow_key = coalesce(concurrency_key, ''), attempt = attempt + 1, locked_by = ?2,
  locked_until = ${fromNow('?3')}, unstarted_attempt = iif(retries >= max_retries, attempt + 1, NULL), started = ${now}, updated = ${now}
WHERE id IN (SELECT value FROM json_each(?1)) AND +status = 'pending'
RETURNING ${claimedColumns}`;

/**
 * Records starts in a window of ?3 milliseconds: ?2 is a JSON array of members with key, count and the time of the last one, ?4 the
 * hand-over in milliseconds. Runs after the claim, so that its slice is not older. Returns the slice.
 */
export const ADD_STARTS = `
INSERT INTO _jobs_starts (topic, key, rate_ms, slice, starts, latest)
SELECT ?1, s.value ->> 0, ?3, ${sliceOf(`(${ms(now)} + ?4)`, '?3')}, s.value ->> 1, s.value ->> 2 FROM json_each(?2) AS s WHERE true
ON CONFLICT (topic, key, rate_ms, slice) DO UPDATE SET starts = starts + excluded.starts, latest = max(latest, excluded.latest)
RETURNING slice`;

/** Moves the cursor of a topic. */
export const MOVE_CURSOR = 'UPDATE _jobs_topics SET key_cursor = ?2 WHERE topic = ?1 AND key_cursor <> ?2';

/** Marks a topic as limited, since it has jobs with a concurrency key. */
export const MARK_LIMITED = `
INSERT INTO _jobs_topics AS t (topic, is_limited) VALUES (?1, 1)
ON CONFLICT (topic) DO UPDATE SET is_limited = 1 WHERE NOT t.is_limited`;

/** Deletes up to ?2 starts of a topic that have left the window of their rate. */
export const PRUNE_STARTS = `
DELETE FROM _jobs_starts WHERE (topic, key, rate_ms, slice) IN (
  SELECT topic, key, rate_ms, slice FROM _jobs_starts WHERE topic = ?1 AND slice < ${sliceOf(ms(now), 'rate_ms')} - ${SLICES} LIMIT ?2)
RETURNING 1`;

/**
 * Takes starts back whose handlers were not called: ?1 jobs, and where their claims recorded them. Runs after the outcome, in the
 * same transaction, so that a repeated outcome takes back nothing. If no start followed, the next one need not keep its distance.
 */
export const TAKE_BACK_STARTS = `
WITH given AS MATERIALIZED (
  SELECT j.topic, iif(o.value ->> 'is_by_key', j.concurrency_key, '') AS key, o.value ->> 'rate_ms' AS rate_ms, o.value ->> 'slice' AS slice,
    count(*) AS starts, max(o.value ->> 'at_ms') AS at_ms, max(o.value ->> 'gap_ms') AS gap_ms
  FROM json_each(?1) AS o CROSS JOIN _jobs AS j ${byId} ON j.id = o.value ->> 'id' GROUP BY 1, 2, 3, 4)
UPDATE _jobs_starts AS w SET starts = max(0, w.starts - given.starts), latest = iif(w.latest <= given.at_ms, w.latest - given.gap_ms, w.latest)
FROM given WHERE w.topic = given.topic AND w.key = given.key AND w.rate_ms = given.rate_ms AND w.slice = given.slice`;
