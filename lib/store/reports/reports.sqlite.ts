import { isCountDue } from './counts.sqlite.js';
import { fromNow, iso, ms, now } from '../jobs/job-row.sqlite.js';
import { isListed } from '../lists/list.sqlite.js';

/*
 * Run times, metrics and workers.
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
