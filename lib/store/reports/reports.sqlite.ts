import { SMALL_TABLE_JOBS } from '../../core/bounds.js';
import { COUNT_PACE, GAUGE_LIMITS } from './report-records.js';
import { fromNow, iso, ms, now } from '../jobs/job-row.sqlite.js';
import { isListed, isRetrying, retryingJobs } from '../lists/list.sqlite.js';

/*
 * Counts, run times, metrics and workers.
 */

/** Selects the topics that have a pending job with a condition. It skips from topic to topic. */
const waitingTopics = (index: string, condition: string): string => `
SELECT topic FROM (
  WITH RECURSIVE t(topic) AS (
    SELECT (SELECT topic FROM _jobs INDEXED BY ${index} WHERE status = 'pending' AND ${condition} ORDER BY topic LIMIT 1)
    UNION ALL
    SELECT (SELECT topic FROM _jobs INDEXED BY ${index} WHERE status = 'pending' AND ${condition} AND topic > t.topic ORDER BY topic LIMIT 1)
    FROM t WHERE t.topic IS NOT NULL)
  SELECT topic FROM t WHERE topic IS NOT NULL)`;

/**
 * Lists the topics with pending jobs. A topic can be listed twice: one index holds the jobs with a concurrency key,
 * one the others.
 */
export const WAITING_TOPICS = `${waitingTopics('_jobs_pending', 'concurrency_key IS NULL')} UNION ALL ${waitingTopics('_jobs_keyed', 'concurrency_key IS NOT NULL')}`;

/** Counts up to ?4 jobs of topic ?1 and status ?2 after id ?3, and returns the last id. */
export const COUNT_PIECE = `
SELECT count(*) AS jobs, max(id) AS last FROM (
  SELECT id FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = ?2 AND id > ?3 ORDER BY id LIMIT ?4)`;

/** Counts up to ?3 jobs of topic ?1 that wait for a retry, after id ?2, and returns the last id. */
export const COUNT_RETRYING_PIECE = `
SELECT count(*) AS jobs, max(id) AS last FROM (
  SELECT id FROM ${retryingJobs} WHERE ${isRetrying} AND topic = ?1 AND id > ?2 ORDER BY id LIMIT ?3)`;

/** Counts jobs by topic and status, for small tables: one statement sees one state of the table. */
export const COUNT_ALL_STATUSES = `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE ?1 IS NULL OR topic IN (SELECT value FROM json_each(?1))
GROUP BY topic, status
UNION ALL
SELECT topic, 'retrying', count(*) FROM ${retryingJobs} WHERE ${isRetrying} AND (?1 IS NULL OR topic IN (SELECT value FROM json_each(?1)))
GROUP BY topic`;

/** Counts processing jobs by topic. */
export const COUNT_RUNNING = `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE status = 'processing' GROUP BY topic`;

/** Lists the run times of the ?2 newest completed jobs of topic ?1. */
export const RUN_TIMES = `
SELECT ?1 AS topic, json_group_array(time_ms) AS times_ms FROM (
  SELECT ${ms('finished')} - ${ms('started')} AS time_ms FROM _jobs
  WHERE ${isListed} AND topic = ?1 AND status = 'completed' AND started IS NOT NULL ORDER BY id DESC LIMIT ?2)`;

const thisMinute = `strftime('%Y-%m-%d %H:%M:00.000', 'now')`;

/** Reads the start of the current minute. */
export const THIS_MINUTE = `SELECT ${ms(thisMinute)} AS minute`;

/** The time, in milliseconds. */
export const NOW = `SELECT ${iso(now)} AS now`;

/**
 * Stores the metrics of worker ?3 for minute ?4. ?2 selects entries of ?1: totals of the minute (1), or what came after the last
 * record (0).
 */
export const RECORD_ROLLUP = `
INSERT INTO _jobs_rollup AS r (minute, topic, worker, completed, failed, attempts_failed, started, run_ms, wait_ms, run_histogram)
SELECT strftime('%Y-%m-%d %H:%M:00.000', ?4 / 1000, 'unixepoch'), value ->> 'topic', ?3, value ->> 'completed',
  value ->> 'failed', value ->> 'attempts_failed', value ->> 'started', value ->> 'run_ms', value ->> 'wait_ms', value -> 'histogram'
FROM json_each(?1) WHERE value ->> 'is_total' = ?2
ON CONFLICT (topic, minute, worker) DO UPDATE SET completed = excluded.completed, failed = excluded.failed, attempts_failed = excluded.attempts_failed,
  started = excluded.started, run_ms = excluded.run_ms, wait_ms = excluded.wait_ms, run_histogram = excluded.run_histogram`;

/** Reads the metrics of the topics in ?1 for the last ?2 minutes, the current one included. */
export const TIMESERIES = `
SELECT ${ms('minute')} AS minute, completed, failed, attempts_failed, started, run_ms, wait_ms, run_histogram AS histogram
FROM _jobs_rollup WHERE topic IN (SELECT value FROM json_each(?1))
  AND minute > strftime('%Y-%m-%d %H:%M:00.000', 'now', '-' || ?2 || ' minutes') ORDER BY minute`;

/** Sums the attempts of the topics in ?1 in the last ?2 minutes, the current one included. */
export const RECENT_ATTEMPTS = `
SELECT topic, sum(completed) AS completed, sum(attempts_failed) AS attempts_failed FROM _jobs_rollup
WHERE topic IN (SELECT value FROM json_each(?1))
  AND minute > strftime('%Y-%m-%d %H:%M:00.000', 'now', '-' || ?2 || ' minutes') GROUP BY topic`;

const { restFactor, restMs, fastMs, fastRestMs, claimMs } = COUNT_PACE;
const workerRestMs = `max(${restFactor} * took_ms, iif(took_ms < ${fastMs}, ${fastRestMs}, ${restMs}))`;

/** Whether a count may start. Ignores times in the future, which a clock that was set back leaves. @param restMs SQL for milliseconds */
const mayCount = (
  restMs: string,
): string => `(c.claimed_until <= ${now} OR c.claimed_until > ${fromNow(`${2 * claimMs}`)})
  AND (c.counted <= ${fromNow(`-${restMs}`)} OR c.counted > ${now})`;

/** Without a record: whether the table may be large. Finished jobs are pruned oldest first, so row numbers have few gaps. */
const isCountDue = `coalesce(
  (SELECT ${mayCount(workerRestMs)} FROM _jobs_counts AS c),
  (SELECT max(rowid) FROM _jobs) - (SELECT min(rowid) FROM _jobs) > ${SMALL_TABLE_JOBS}, 0)`;

/** Records that worker ?1 is alive and has handlers for the topics in ?2, with its details ?3. */
export const RECORD_WORKER = `
INSERT INTO _jobs_workers (worker, topics, details, seen) VALUES (?1, ?2, ?3, ${now})
ON CONFLICT (worker) DO UPDATE SET topics = excluded.topics, details = excluded.details, seen = excluded.seen
RETURNING (SELECT coalesce(count(*) || ' ' || sum(revision) || ' ' || max(updated), '') FROM _jobs_schedules) AS schedules_version,
  EXISTS (SELECT 1 FROM _jobs_links) OR EXISTS (SELECT 1 FROM _jobs_groups) AS has_links, EXISTS (SELECT 1 FROM _jobs_logs) AS has_logs,
  EXISTS (SELECT 1 FROM _jobs_definitions) AS has_definitions,
  ${isCountDue} AS is_count_due, ${ms(now)} AS now`;

/** Removes worker ?1 when its process ends. */
export const FORGET_WORKER = 'DELETE FROM _jobs_workers WHERE worker = ?1';

/** Lists the topics that have a handler in a process seen in the last ?1 milliseconds. */
export const SERVED_TOPICS = `
SELECT DISTINCT t.value AS topic FROM _jobs_workers AS w, json_each(w.topics) AS t WHERE w.seen > ${fromNow('-?1')}`;

/** Lists the workers. Those that were seen in the last ?1 milliseconds come first. */
export const WORKERS = `
SELECT worker, topics, details, ${ms('seen')} AS seen, seen > ${fromNow('-?1')} AS is_alive
FROM _jobs_workers ORDER BY is_alive DESC, worker LIMIT 1000`;

/** Deletes up to ?2 metrics older than ?1 milliseconds. It goes topic by topic, since the primary key begins with the topic. */
export const PRUNE_ROLLUP = `
WITH RECURSIVE t AS (
  SELECT min(topic) AS topic FROM _jobs_rollup
  UNION ALL SELECT (SELECT min(topic) FROM _jobs_rollup WHERE topic > t.topic) FROM t WHERE t.topic IS NOT NULL)
DELETE FROM _jobs_rollup WHERE (topic, minute, worker) IN (
  SELECT r.topic, r.minute, r.worker FROM t CROSS JOIN _jobs_rollup AS r
  WHERE r.topic = t.topic AND r.minute < ${fromNow('-?1')} LIMIT ?2)
RETURNING 1`;

/** Deletes up to ?2 workers that were not seen for ?1 milliseconds. */
export const PRUNE_WORKERS = `
DELETE FROM _jobs_workers WHERE worker IN (SELECT worker FROM _jobs_workers WHERE seen < ${fromNow('-?1')} LIMIT ?2) RETURNING 1`;

const isUnkeyed = `status = 'pending' AND concurrency_key IS NULL`;
const isKeyed = `status = 'pending' AND concurrency_key IS NOT NULL`;

const { lanes, keys, keyedJobs } = GAUGE_LIMITS;

/**
 * Steps from the first job `j` of a lane to that of the next one. SQLite would read the rest of the topic for a condition on both columns
 * together.
 */
const nextLane = (condition: string, order: string): string => `
  SELECT coalesce(
    (SELECT id FROM _jobs WHERE ${condition} AND topic = j.topic AND priority > j.priority ORDER BY priority, ${order} LIMIT 1),
    (SELECT id FROM _jobs WHERE ${condition} AND topic > j.topic ORDER BY topic, priority, ${order} LIMIT 1))
  FROM lane JOIN _jobs j ON j.id = lane.id LIMIT ${lanes})`;

/**
 * Reads how long the oldest due job without a concurrency key has waited in each topic, and the number of live workers, as rows of
 * (topic, kind, value). ?1 is the age in milliseconds at which a worker counts as dead. The oldest job of each lane comes from a loose
 * scan.
 */
export const GAUGES = `
WITH RECURSIVE lane(id) AS (
  SELECT (SELECT id FROM _jobs WHERE ${isUnkeyed} ORDER BY topic, priority, run_at LIMIT 1)
  UNION ALL
  ${nextLane(isUnkeyed, 'run_at')}
SELECT topic, 'oldest' AS kind, ${ms(now)} - ${ms('min(run_at)')} AS value FROM (
  SELECT j.topic, j.run_at FROM lane JOIN _jobs j ON j.id = lane.id)
WHERE run_at <= ${now} GROUP BY topic
UNION ALL
SELECT '', 'workers', count(*) FROM _jobs_workers WHERE seen > ${fromNow('-?1')}`;

/** Lists the lanes of jobs with a concurrency key, by a loose scan. */
export const KEYED_LANES = `
WITH RECURSIVE lane(id) AS (
  SELECT (SELECT id FROM _jobs WHERE ${isKeyed} ORDER BY topic, priority LIMIT 1)
  UNION ALL
  ${nextLane(isKeyed, 'flow_key')}
SELECT j.topic, j.priority FROM lane JOIN _jobs j ON j.id = lane.id`;

const inLane = `_jobs WHERE ${isKeyed} AND topic = ?1 AND priority = ?2`;

/**
 * Reads how long the oldest due job with a concurrency key has waited in topic ?1 and priority ?2: the oldest of the first keys, of
 * the jobs without a flow key, and of the first ids of the topic.
 */
export const OLDEST_KEYED = `
WITH RECURSIVE key(flow_key, n) AS (
  SELECT (SELECT flow_key FROM ${inLane} AND flow_key IS NOT NULL ORDER BY flow_key LIMIT 1), 1
  UNION ALL
  SELECT (SELECT flow_key FROM ${inLane} AND flow_key > key.flow_key ORDER BY flow_key LIMIT 1), n + 1
  FROM key WHERE n < ${keys} AND key.flow_key IS NOT NULL)
SELECT ?1 AS topic, 'oldest' AS kind, ${ms(now)} - ${ms('min(run_at)')} AS value FROM (
  SELECT (SELECT run_at FROM ${inLane} AND flow_key = key.flow_key ORDER BY run_at LIMIT 1) AS run_at FROM key
  UNION ALL
  SELECT * FROM (SELECT run_at FROM ${inLane} AND flow_key IS NULL ORDER BY run_at LIMIT 1)
  UNION ALL
  SELECT * FROM (SELECT run_at FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'pending' ORDER BY id LIMIT ${keyedJobs}))
WHERE run_at <= ${now} HAVING count(*) > 0`;

/** Reads the time and the last recorded count. */
export const RECORDED_COUNTS = `
SELECT ${ms(now)} AS now, c.counts, ${ms('c.counted')} AS counted, c.took_ms
FROM (SELECT 1 AS id) v LEFT JOIN _jobs_counts c ON c.id = v.id`;

/**
 * Claims the full count, unless another process counts or the last count began less than ?1 times its duration ago. Returns the time if
 * it succeeds.
 */
export const CLAIM_COUNT = `
INSERT INTO _jobs_counts AS c (id, counts, counted, took_ms, claimed_until)
VALUES (1, '[]', '1970-01-01 00:00:00.000', 0, ${fromNow(`${claimMs}`)})
ON CONFLICT (id) DO UPDATE SET claimed_until = excluded.claimed_until
WHERE ${mayCount('?1 * c.took_ms')}
RETURNING ${ms(now)} AS now`;

/** Records a count: ?1 the counts, ?2 when it began, ?3 how long it took. */
export const RECORD_COUNTS = `
INSERT INTO _jobs_counts AS c (id, counts, counted, took_ms, claimed_until) VALUES (1, ?1, ?2, ?3, ${now})
ON CONFLICT (id) DO UPDATE SET counts = excluded.counts, counted = excluded.counted, took_ms = excluded.took_ms,
  claimed_until = excluded.claimed_until
WHERE c.counted <= excluded.counted OR c.counted > ${now}`;
