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

/** The window of a rate in slices, in a row `t` of `_jobs_topics`: their length, their number, and the current one. */
export const sliceMs = 'max(1, t.rate_ms / 64)';
export const slices = `((t.rate_ms + ${sliceMs} - 1) / ${sliceMs})`;
export const slice = `(${ms(now)} / ${sliceMs})`;

/** Whether a job of topic ?1 and a priority in ?2 is due. Takes no lock. */
export const HAS_DUE = `
SELECT 1 AS due FROM json_each(?2) AS p WHERE
  EXISTS (SELECT 1 FROM ${unkeyed} AND priority = p.value AND run_at <= ${now})
  OR EXISTS (SELECT 1 FROM ${keyed} AND priority = p.value AND flow_key > '')
  OR EXISTS (SELECT 1 FROM ${keyed} AND priority = p.value AND flow_key IS NULL AND run_at <= ${now}) LIMIT 1`;

/** Reads the limits of a topic, its cursor, and the slices that its rate counts. */
export const TOPIC_LIMITS = `
SELECT is_limited, paused_since IS NOT NULL AS is_paused, limit_total, limit_key, rate_limit, rate_by_key, key_cursor,
  ${sliceMs} AS slice_ms, ${slices} AS slices, ${slice} AS slice, ${ms(now)} AS now_ms
FROM _jobs_topics AS t WHERE topic = ?1`;

/** Gives a flow key to up to 100 keyed jobs of priority ?2 that have become due. */
export const MARK_KEYED_DUE = `
UPDATE _jobs ${byId} SET flow_key = concurrency_key WHERE id IN (
  SELECT id FROM ${keyed} AND priority = ?2 AND flow_key IS NULL AND run_at <= ${now} ORDER BY run_at LIMIT 100)`;

/** Counts the running jobs of a topic, up to ?2. */
export const COUNT_RUNNING = `SELECT count(*) AS count FROM (SELECT 1 FROM ${running} AND flow_key >= '' LIMIT ?2)`;

/** Counts the running jobs of key ?2, up to ?3. */
export const COUNT_RUNNING_OF_KEY = `SELECT count(*) AS count FROM (SELECT 1 FROM ${running} AND flow_key = ?2 LIMIT ?3)`;

/** Counts the starts of key ?2 in slices ?3 to ?4, and returns the oldest slice. */
export const COUNT_STARTS = `
SELECT coalesce(sum(starts), 0) AS count, min(slice) AS oldest FROM _jobs_starts
WHERE topic = ?1 AND key = ?2 AND slice BETWEEN ?3 AND ?4`;

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

/** Counts starts in the current slice: ?2 is a JSON array of pairs of key and count. Runs after the claim, so that its slice is not older. */
export const ADD_STARTS = `
INSERT INTO _jobs_starts (topic, key, slice, starts)
SELECT t.topic, s.value ->> 0, ${slice}, s.value ->> 1 FROM json_each(?2) AS s CROSS JOIN _jobs_topics AS t WHERE t.topic = ?1
ON CONFLICT (topic, key, slice) DO UPDATE SET starts = starts + excluded.starts`;

/** Moves the cursor of a topic. */
export const MOVE_CURSOR = 'UPDATE _jobs_topics SET key_cursor = ?2 WHERE topic = ?1 AND key_cursor <> ?2';

/** Marks a topic as limited, since it has jobs with a concurrency key. */
export const MARK_LIMITED = `
INSERT INTO _jobs_topics AS t (topic, is_limited) VALUES (?1, 1)
ON CONFLICT (topic) DO UPDATE SET is_limited = 1 WHERE NOT t.is_limited`;

/** Deletes the starts of a topic that have left the window of its rate. */
export const PRUNE_STARTS = `
DELETE FROM _jobs_starts WHERE topic = ?1 AND slice < (SELECT ${slice} - ${slices} FROM _jobs_topics AS t WHERE t.topic = ?1)`;
