import { byId, fromNow, jobColumns, ms, now } from './statement-parts.js';

/* What the SQLite store asks for its reports: each reads one range of one index, and a script goes from range to range. */

/** Whole jobs by id. */
export const FIND_JOBS = `SELECT ${jobColumns} FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** The unfinished job of a topic, ?1, and a unique key. */
export const FIND_HOLDER = `
SELECT ${jobColumns} FROM _jobs INDEXED BY _jobs_unique_key
WHERE topic = ?1 AND unique_key = ?2 AND status IN ('pending', 'processing')`;

/** Written out in each statement, or the planner would not see that the partial index holds what is asked. */
const isListed = `status <> 'processing'`;

/** The first topic after another, in a loose scan of all. */
export const NEXT_TOPIC = `
SELECT topic FROM _jobs WHERE ${isListed} AND topic > ?1 ORDER BY topic LIMIT 1`;

/** Topics of running jobs. */
export const RUNNING_TOPICS = `SELECT DISTINCT topic FROM _jobs WHERE status = 'processing'`;

/** Topics with pending jobs, by a loose scan of `_jobs_pending`. */
export const WAITING_TOPICS = `
WITH RECURSIVE t(topic) AS (
  SELECT (SELECT topic FROM _jobs WHERE status = 'pending' ORDER BY topic LIMIT 1)
  UNION ALL
  SELECT (SELECT topic FROM _jobs WHERE status = 'pending' AND topic > t.topic ORDER BY topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL)
SELECT topic FROM t WHERE topic IS NOT NULL`;

/** Of the ?2 first pending jobs of a topic that are due, or not: by a loose scan, from one priority to the next. */
const waiting = (comparison: '<=' | '>', columns: string): string => `
WITH RECURSIVE p(priority) AS (
  SELECT (SELECT priority FROM _jobs WHERE status = 'pending' AND topic = ?1 ORDER BY priority LIMIT 1)
  UNION ALL
  SELECT (SELECT priority FROM _jobs WHERE status = 'pending' AND topic = ?1 AND priority > p.priority
    ORDER BY priority LIMIT 1)
  FROM p WHERE p.priority IS NOT NULL)
SELECT ${columns} FROM p CROSS JOIN _jobs
WHERE _jobs.status = 'pending' AND _jobs.topic = ?1 AND _jobs.priority = p.priority AND run_at ${comparison} ${now} LIMIT ?2`;

/** Pending jobs that are due, and those that are not. */
export const DUE_IDS = waiting('<=', 'id');
export const NOT_DUE_IDS = waiting('>', 'id');

/** How many they are. */
export const DUE_UP_TO = `SELECT count(*) AS jobs FROM (${waiting('<=', '1')})`;
export const NOT_DUE_UP_TO = `SELECT count(*) AS jobs FROM (${waiting('>', '1')})`;

/** Whether a topic has jobs in a status. */
export const HAS_STATUS = `SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = ?2 LIMIT 1`;

/** Whether there are more jobs than that. */
export const HAS_MORE_THAN = `SELECT 1 FROM _jobs LIMIT 1 OFFSET ?1`;

const inRange = 'id >= ?1 AND id < ?2';
const isDated = (from: string, to: string): string =>
  `(${from} IS NULL OR created >= ${from}) AND (${to} IS NULL OR created < ${to})`;

const isDue = `(?8 IS NULL OR (run_at <= ${now}) = ?8)`;

/** Ids of one lane, newest first: ?1 first id, ?2 id after the last, ?3 topic, ?4 status, ?5 limit. */
export const LANE_IDS = `
SELECT id FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} ORDER BY id DESC LIMIT ?5`;

/** How many jobs a lane has in the range, up to ?5. */
export const LANE_SIZE = `
SELECT count(*) AS jobs FROM (
  SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} LIMIT ?5)`;

/** The same as `LANE_IDS` between two dates, ?6 and ?7, for which each row must be visited; due or not, if ?8 asks for that. */
export const LANE_IDS_DATED = `
SELECT id FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} AND ${isDated('?6', '?7')} AND ${isDue}
ORDER BY id DESC LIMIT ?5`;

/** And `LANE_SIZE` between two dates. */
export const LANE_SIZE_DATED = `
SELECT count(*) AS jobs FROM (
  SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} AND ${isDated('?6', '?7')} AND ${isDue}
  LIMIT ?5)`;

/** Running jobs of the topics in ?3. They are few: + keeps the planner from the range of ids, which is the whole table. */
export const RUNNING_IDS = `
SELECT id FROM _jobs WHERE status = 'processing' AND topic IN (SELECT value FROM json_each(?3))
  AND +id >= ?1 AND +id < ?2 AND ${isDated('?4', '?5')}`;

/** Those of the ids in ?3 that are of the topics in ?4, in the statuses in ?5, and due or not, if ?8 asks for that. */
export const SINGLE_IDS = `
SELECT id FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?3)) AND topic IN (SELECT value FROM json_each(?4))
  AND status IN (SELECT value FROM json_each(?5)) AND ${inRange} AND ${isDated('?6', '?7')}
  AND ${isDue}`;

/** Of the whole table. */
export const ALL_IDS = `
SELECT id FROM _jobs WHERE ${inRange} AND ${isDated('?3', '?4')} ORDER BY id DESC LIMIT ?5 OFFSET ?6`;

/** How many a list of the whole table has, up to ?5. */
export const COUNT_ALL = `
SELECT count(*) AS total FROM (SELECT 1 FROM _jobs WHERE ${inRange} AND ${isDated('?3', '?4')} LIMIT ?5)`;

/** How jobs stand. */
export const STANDING = `
SELECT id, topic, status, run_at <= ${now} AS is_due FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** How many failed jobs a topic has, up to ?2. */
export const FAILED_UP_TO = `
SELECT count(*) AS jobs FROM (SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' LIMIT ?2)`;

/** Failed jobs of a topic with a text in their error, among the ?2 newest. */
export const FAILED_WITH = `
SELECT id FROM (
  SELECT id, last_error FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)
WHERE instr(lower(last_error), lower(?3)) > 0`;

/** The errors of the ?2 newest failed jobs of a topic. */
export const FAILED_TEXTS = `
SELECT DISTINCT coalesce(last_error, '') AS message FROM (
  SELECT last_error FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)`;

/** Failed jobs of a topic with exactly that error, among the ?2 newest. */
export const FAILED_ALIKE = `
SELECT id FROM (
  SELECT id, last_error FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)
WHERE coalesce(last_error, '') = ?3`;

/** How many jobs a piece of a lane has, and where it ends: ?3 the id before it, ?4 how many at most. */
export const COUNT_PIECE = `
SELECT count(*) AS jobs, max(id) AS last FROM (
  SELECT id FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = ?2 AND id > ?3 ORDER BY id LIMIT ?4)`;

/** The jobs of each topic in each status, in a table that is small: no job moves while it is counted. */
export const COUNT_ALL_STATUSES = `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE ?1 IS NULL OR topic IN (SELECT value FROM json_each(?1))
GROUP BY topic, status`;

/** The running jobs of each topic. */
export const COUNT_RUNNING = `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE status = 'processing' GROUP BY topic`;

/** How long the ?2 newest completed jobs of a topic took. */
export const RUN_TIMES = `
SELECT ${ms('finished')} - ${ms('started')} AS time_ms FROM _jobs
WHERE ${isListed} AND topic = ?1 AND status = 'completed' AND started IS NOT NULL ORDER BY id DESC LIMIT ?2`;

/** The ?2 newest failed jobs of a topic, those alike together, the most frequent first. */
export const ERRORS = `
SELECT ?1 AS topic, last_error AS message, count(*) AS jobs, ${ms('min(finished)')} AS first_seen,
  ${ms('max(finished)')} AS last_seen, max(id) AS sample_id
FROM (
  SELECT id, last_error, finished FROM _jobs
  WHERE ${isListed} AND topic = ?1 AND status = 'failed' ORDER BY id DESC LIMIT ?2)
GROUP BY last_error ORDER BY jobs DESC, last_seen DESC LIMIT ?3`;

const thisMinute = `strftime('%Y-%m-%d %H:%M:00.000', 'now')`;

/** The running minute. */
export const THIS_MINUTE = `SELECT ${ms(thisMinute)} AS minute`;

/** Keeps what finished in a process. ?1 entries, ?2 whether those of the minute or those since, ?3 the worker. */
export const RECORD_ROLLUP = `
INSERT INTO _jobs_rollup AS r (minute, topic, worker, completed, failed, started, run_ms, wait_ms, run_histogram)
SELECT strftime('%Y-%m-%d %H:%M:00.000', ?4 / 1000, 'unixepoch'), value ->> 'topic', ?3, value ->> 'completed',
  value ->> 'failed', value ->> 'started', value ->> 'run_ms', value ->> 'wait_ms', value -> 'histogram'
FROM json_each(?1) WHERE value ->> 'is_total' = ?2
ON CONFLICT (topic, minute, worker) DO UPDATE SET completed = excluded.completed, failed = excluded.failed,
  started = excluded.started, run_ms = excluded.run_ms, wait_ms = excluded.wait_ms, run_histogram = excluded.run_histogram`;

/** What finished in the last ?2 minutes, the running one included, of the topics in ?1. */
export const TIMESERIES = `
SELECT ${ms('minute')} AS minute, completed, failed, started, run_ms, wait_ms, run_histogram AS histogram
FROM _jobs_rollup WHERE topic IN (SELECT value FROM json_each(?1))
  AND minute > strftime('%Y-%m-%d %H:%M:00.000', 'now', '-' || ?2 || ' minutes') ORDER BY minute`;

/** This process is alive, and has handlers for these topics. */
export const NOTE_WORKER = `
INSERT INTO _jobs_workers (worker, topics, seen) VALUES (?1, ?2, ${now})
ON CONFLICT (worker) DO UPDATE SET topics = excluded.topics, seen = excluded.seen`;

/** This process ends. */
export const FORGET_WORKER = 'DELETE FROM _jobs_workers WHERE worker = ?1';

/** Topics with a handler in a process that was alive ?1 milliseconds ago. */
export const SERVED_TOPICS = `
SELECT DISTINCT t.value AS topic FROM _jobs_workers AS w, json_each(w.topics) AS t WHERE w.seen > ${fromNow('-?1')}`;

/** What no report shows any more, found topic by topic: that is how the key begins. ?1 is the age in milliseconds. */
export const PRUNE_ROLLUP = `
WITH RECURSIVE t AS (
  SELECT min(topic) AS topic FROM _jobs_rollup
  UNION ALL SELECT (SELECT min(topic) FROM _jobs_rollup WHERE topic > t.topic) FROM t WHERE t.topic IS NOT NULL)
DELETE FROM _jobs_rollup WHERE (topic, minute, worker) IN (
  SELECT r.topic, r.minute, r.worker FROM t CROSS JOIN _jobs_rollup AS r
  WHERE r.topic = t.topic AND r.minute < ${fromNow('-?1')})`;
export const PRUNE_WORKERS = `DELETE FROM _jobs_workers WHERE seen < ${fromNow('-?1')}`;
