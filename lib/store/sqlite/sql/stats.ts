import { byId, fromNow, jobColumns, ms, now } from './columns.js';

/*
 * Lists and statistics. A statement of better-sqlite3 blocks the event loop, so each statement reads one range of one index, and
 * a script goes from range to range. PostgreSQL reads all ranges in one statement.
 */

/** Reads whole jobs by id. */
export const FIND_JOBS = `SELECT ${jobColumns} FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** Finds the unfinished job of topic ?1 that holds unique key ?2. */
export const FIND_HOLDER = `
SELECT ${jobColumns} FROM _jobs INDEXED BY _jobs_unique_key
WHERE topic = ?1 AND unique_key = ?2 AND status IN ('pending', 'processing')`;

/** The condition of the partial index for lists. The planner uses that index only when the statement repeats it. */
const isListed = `status <> 'processing'`;

/** Finds the first topic after ?1. A script calls it for each topic. */
export const NEXT_TOPIC = `
SELECT topic FROM _jobs WHERE ${isListed} AND topic > ?1 ORDER BY topic LIMIT 1`;

/** Lists the topics of processing jobs. */
export const RUNNING_TOPICS = `SELECT DISTINCT topic FROM _jobs WHERE status = 'processing'`;

/** Lists the topics with pending jobs. It skips from topic to topic in `_jobs_pending`. */
export const WAITING_TOPICS = `
WITH RECURSIVE t(topic) AS (
  SELECT (SELECT topic FROM _jobs WHERE status = 'pending' ORDER BY topic LIMIT 1)
  UNION ALL
  SELECT (SELECT topic FROM _jobs WHERE status = 'pending' AND topic > t.topic ORDER BY topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL)
SELECT topic FROM t WHERE topic IS NOT NULL`;

/** Selects up to ?2 pending jobs of topic ?1 that are due, or not due. It skips from priority to priority. */
const waiting = (comparison: '<=' | '>', columns: string): string => `
WITH RECURSIVE p(priority) AS (
  SELECT (SELECT priority FROM _jobs WHERE status = 'pending' AND topic = ?1 ORDER BY priority LIMIT 1)
  UNION ALL
  SELECT (SELECT priority FROM _jobs WHERE status = 'pending' AND topic = ?1 AND priority > p.priority
    ORDER BY priority LIMIT 1)
  FROM p WHERE p.priority IS NOT NULL)
SELECT ${columns} FROM p CROSS JOIN _jobs
WHERE _jobs.status = 'pending' AND _jobs.topic = ?1 AND _jobs.priority = p.priority AND run_at ${comparison} ${now} LIMIT ?2`;

/** Finds pending jobs that are due. */
export const DUE_IDS = waiting('<=', 'id');

/** Finds pending jobs that are not due. */
export const NOT_DUE_IDS = waiting('>', 'id');

/** Counts the jobs of `DUE_IDS`. */
export const DUE_UP_TO = `SELECT count(*) AS jobs FROM (${waiting('<=', '1')})`;

/** Counts the jobs of `NOT_DUE_IDS`. */
export const NOT_DUE_UP_TO = `SELECT count(*) AS jobs FROM (${waiting('>', '1')})`;

/** Whether topic ?1 has a job in status ?2. */
export const HAS_STATUS = `SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = ?2 LIMIT 1`;

/** Whether there are more than ?1 jobs. */
export const HAS_MORE_THAN = `SELECT 1 FROM _jobs LIMIT 1 OFFSET ?1`;

const inRange = 'id >= ?1 AND id < ?2';
const isDated = (from: string, to: string): string =>
  `(${from} IS NULL OR created >= ${from}) AND (${to} IS NULL OR created < ${to})`;

const isDue = `(?8 IS NULL OR (run_at <= ${now}) = ?8)`;

/** Lists ids of a topic and a status, newest first: ?1 first id, ?2 id after the last, ?3 topic, ?4 status, ?5 limit. */
export const LANE_IDS = `
SELECT id FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} ORDER BY id DESC LIMIT ?5`;

/** Counts the jobs of `LANE_IDS`, up to ?5. */
export const LANE_SIZE = `
SELECT count(*) AS jobs FROM (
  SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} LIMIT ?5)`;

/** `LANE_IDS` created between ?6 and ?7, and due or not as ?8 says. It reads rows; `LANE_IDS` reads the index only. */
export const LANE_IDS_DATED = `
SELECT id FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} AND ${isDated('?6', '?7')} AND ${isDue}
ORDER BY id DESC LIMIT ?5`;

/** Counts the jobs of `LANE_IDS_DATED`, up to ?5. */
export const LANE_SIZE_DATED = `
SELECT count(*) AS jobs FROM (
  SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} AND ${isDated('?6', '?7')} AND ${isDue}
  LIMIT ?5)`;

/** Lists processing jobs of the topics in ?3. There are few: + keeps the planner from the range of ids, the whole table. */
export const RUNNING_IDS = `
SELECT id FROM _jobs WHERE status = 'processing' AND topic IN (SELECT value FROM json_each(?3))
  AND +id >= ?1 AND +id < ?2 AND ${isDated('?4', '?5')}`;

/** Filters the ids in ?3 by the topics in ?4, the statuses in ?5, the dates ?6 and ?7, and due or not as ?8 says. */
export const SINGLE_IDS = `
SELECT id FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?3)) AND topic IN (SELECT value FROM json_each(?4))
  AND status IN (SELECT value FROM json_each(?5)) AND ${inRange} AND ${isDated('?6', '?7')}
  AND ${isDue}`;

/** Lists ids of the whole table, newest first. */
export const ALL_IDS = `
SELECT id FROM _jobs WHERE ${inRange} AND ${isDated('?3', '?4')} ORDER BY id DESC LIMIT ?5 OFFSET ?6`;

/** Counts the jobs of `ALL_IDS`, up to ?5. */
export const COUNT_ALL = `
SELECT count(*) AS total FROM (SELECT 1 FROM _jobs WHERE ${inRange} AND ${isDated('?3', '?4')} LIMIT ?5)`;

/** Reads the status of jobs. */
export const STANDING = `
SELECT id, topic, status, run_at <= ${now} AS is_due FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** Counts the failed jobs of topic ?1, up to ?2. */
export const FAILED_UP_TO = `
SELECT count(*) AS jobs FROM (SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' LIMIT ?2)`;

/** Finds jobs whose error contains ?3, among the ?2 newest failed ones of topic ?1. */
export const FAILED_WITH = `
SELECT id FROM (
  SELECT id, last_error FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)
WHERE instr(lower(last_error), lower(?3)) > 0`;

/** Lists the error messages of the ?2 newest failed jobs of topic ?1. */
export const FAILED_TEXTS = `
SELECT DISTINCT coalesce(last_error, '') AS message FROM (
  SELECT last_error FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)`;

/** Finds jobs whose error equals ?3, among the ?2 newest failed ones of topic ?1. */
export const FAILED_ALIKE = `
SELECT id FROM (
  SELECT id, last_error FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)
WHERE coalesce(last_error, '') = ?3`;

/** Counts up to ?4 jobs of topic ?1 and status ?2 after id ?3, and returns the last id. */
export const COUNT_PIECE = `
SELECT count(*) AS jobs, max(id) AS last FROM (
  SELECT id FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = ?2 AND id > ?3 ORDER BY id LIMIT ?4)`;

/** Counts jobs by topic and status, for small tables: one statement sees one state of the table. */
export const COUNT_ALL_STATUSES = `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE ?1 IS NULL OR topic IN (SELECT value FROM json_each(?1))
GROUP BY topic, status`;

/** Counts processing jobs by topic. */
export const COUNT_RUNNING = `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE status = 'processing' GROUP BY topic`;

/** Lists the run times of the ?2 newest completed jobs of topic ?1. */
export const RUN_TIMES = `
SELECT ${ms('finished')} - ${ms('started')} AS time_ms FROM _jobs
WHERE ${isListed} AND topic = ?1 AND status = 'completed' AND started IS NOT NULL ORDER BY id DESC LIMIT ?2`;

/** Groups the ?2 newest failed jobs of topic ?1 by error message, the most frequent first. */
export const ERRORS = `
SELECT ?1 AS topic, last_error AS message, count(*) AS jobs, ${ms('min(finished)')} AS first_seen,
  ${ms('max(finished)')} AS last_seen, max(id) AS sample_id
FROM (
  SELECT id, last_error, finished FROM _jobs
  WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)
GROUP BY last_error ORDER BY jobs DESC, last_seen DESC LIMIT ?3`;

const thisMinute = `strftime('%Y-%m-%d %H:%M:00.000', 'now')`;

/** Reads the start of the current minute. */
export const THIS_MINUTE = `SELECT ${ms(thisMinute)} AS minute`;

/**
 * Stores the metrics of worker ?3 for minute ?4. ?2 selects entries of ?1: totals of the minute (1), or what came after the last
 * record (0).
 */
export const RECORD_ROLLUP = `
INSERT INTO _jobs_rollup AS r (minute, topic, worker, completed, failed, started, run_ms, wait_ms, run_histogram)
SELECT strftime('%Y-%m-%d %H:%M:00.000', ?4 / 1000, 'unixepoch'), value ->> 'topic', ?3, value ->> 'completed',
  value ->> 'failed', value ->> 'started', value ->> 'run_ms', value ->> 'wait_ms', value -> 'histogram'
FROM json_each(?1) WHERE value ->> 'is_total' = ?2
ON CONFLICT (topic, minute, worker) DO UPDATE SET completed = excluded.completed, failed = excluded.failed,
  started = excluded.started, run_ms = excluded.run_ms, wait_ms = excluded.wait_ms, run_histogram = excluded.run_histogram`;

/** Reads the metrics of the topics in ?1 for the last ?2 minutes, the current one included. */
export const TIMESERIES = `
SELECT ${ms('minute')} AS minute, completed, failed, started, run_ms, wait_ms, run_histogram AS histogram
FROM _jobs_rollup WHERE topic IN (SELECT value FROM json_each(?1))
  AND minute > strftime('%Y-%m-%d %H:%M:00.000', 'now', '-' || ?2 || ' minutes') ORDER BY minute`;

/** Records that worker ?1 is alive and has handlers for the topics in ?2. */
export const NOTE_WORKER = `
INSERT INTO _jobs_workers (worker, topics, seen) VALUES (?1, ?2, ${now})
ON CONFLICT (worker) DO UPDATE SET topics = excluded.topics, seen = excluded.seen`;

/** Removes worker ?1 when its process ends. */
export const FORGET_WORKER = 'DELETE FROM _jobs_workers WHERE worker = ?1';

/** Lists the topics that have a handler in a process seen in the last ?1 milliseconds. */
export const SERVED_TOPICS = `
SELECT DISTINCT t.value AS topic FROM _jobs_workers AS w, json_each(w.topics) AS t WHERE w.seen > ${fromNow('-?1')}`;

/** Deletes metrics older than ?1 milliseconds. It goes topic by topic, since the primary key begins with the topic. */
export const PRUNE_ROLLUP = `
WITH RECURSIVE t AS (
  SELECT min(topic) AS topic FROM _jobs_rollup
  UNION ALL SELECT (SELECT min(topic) FROM _jobs_rollup WHERE topic > t.topic) FROM t WHERE t.topic IS NOT NULL)
DELETE FROM _jobs_rollup WHERE (topic, minute, worker) IN (
  SELECT r.topic, r.minute, r.worker FROM t CROSS JOIN _jobs_rollup AS r
  WHERE r.topic = t.topic AND r.minute < ${fromNow('-?1')})`;

/** Deletes workers that were not seen for ?1 milliseconds. */
export const PRUNE_WORKERS = `DELETE FROM _jobs_workers WHERE seen < ${fromNow('-?1')}`;
