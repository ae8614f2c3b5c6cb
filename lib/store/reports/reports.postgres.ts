import { isCountDue } from './counts.postgres.js';
import { refreshDefinitions } from '../definitions/definition.postgres.js';
import { ms } from '../jobs/job-row.postgres.js';
import { newestJobs } from '../lists/list.postgres.js';

/* Run times, the rollup of finished jobs and the workers that are alive. */

/** The topics that have a pending job with a condition, by a loose scan. */
const waitingTopics = (condition: string): string => `(
WITH RECURSIVE t AS (
  (SELECT topic FROM _jobs WHERE status = 'pending' AND ${condition} ORDER BY topic LIMIT 1)
  UNION ALL
  SELECT (SELECT topic FROM _jobs WHERE status = 'pending' AND ${condition} AND topic > t.topic ORDER BY topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL)
SELECT topic FROM t WHERE topic IS NOT NULL)`;

/** Lists topics with pending jobs. A topic can be listed twice: one index holds the jobs with a concurrency key, one the others. */
export const WAITING_TOPICS = `${waitingTopics('concurrency_key IS NULL')} UNION ALL ${waitingTopics('concurrency_key IS NOT NULL')}`;

/** Reads the run times of the newest completed jobs of each topic. */
export const RUN_TIMES = `
SELECT l.topic, json_agg(${ms('(n.finished - n.started)')})::text AS times_ms
FROM ${newestJobs('completed', 'finished, started')} WHERE n.started IS NOT NULL GROUP BY l.topic`;

const thisMinute = `date_trunc('minute', statement_timestamp())`;

/**
 * Records the jobs that finished in a process: $1 entries, $2 the minute in which `totals` began, $3 the worker. Within that minute
 * the totals replace the row; a new minute starts with the jobs since the last record.
 */
export const RECORD_ROLLUP = `
WITH kept AS (
  INSERT INTO _jobs_rollup AS r (minute, topic, worker, completed, failed, attempts_failed, started, run_ms, wait_ms, run_histogram)
  SELECT ${thisMinute}, e.topic, $3, e.completed, e.failed, e.attempts_failed, e.started, e.run_ms, e.wait_ms, e.histogram
  FROM jsonb_to_recordset($1::jsonb) AS e(is_total boolean, topic text, completed int, failed int, attempts_failed int, started int,
    run_ms float8, wait_ms float8, histogram jsonb)
  WHERE e.is_total = (${thisMinute} IS NOT DISTINCT FROM $2::timestamptz) ORDER BY e.topic
  ON CONFLICT (topic, minute, worker) DO UPDATE SET completed = excluded.completed, failed = excluded.failed, attempts_failed = excluded.attempts_failed,
    started = excluded.started, run_ms = excluded.run_ms, wait_ms = excluded.wait_ms,
    run_histogram = excluded.run_histogram)
SELECT ${ms(thisMinute)} AS minute`;

/**
 * Reads the rollup of the topics in $1 for the last $2 minutes, the current one included. The empty topic holds the totals of all
 * topics.
 */
export const TIMESERIES = `
SELECT ${ms('minute')} AS minute, completed, failed, attempts_failed, started, run_ms, wait_ms, run_histogram::text AS histogram
FROM _jobs_rollup
WHERE topic = ANY ($1::text[]) AND minute > ${thisMinute} - make_interval(mins => $2::int) ORDER BY minute`;

/** Sums the attempts of the topics in $1 in the last $2 minutes, the current one included. */
export const RECENT_ATTEMPTS = `
SELECT topic, sum(completed) AS completed, sum(attempts_failed) AS attempts_failed FROM _jobs_rollup
WHERE topic = ANY ($1::text[]) AND minute > ${thisMinute} - make_interval(mins => $2::int) GROUP BY topic`;

/** Returns the current minute. */
export const THIS_MINUTE = `SELECT ${ms(thisMinute)} AS minute`;

/** The time, in microseconds. */
export const NOW = `
SELECT to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now`;

/** A process that was seen this long ago is dead, or cannot reach the database. It records itself every 20 s. */
const OTHERS_SEEN = `interval '45 seconds'`;

/**
 * The other live processes that share notifications and polls, as JSON: name, topics unless they are the same, and poll interval. When a
 * process is killed the server closes its connections at once.
 */
const otherWorkers = `
  (SELECT json_agg(json_build_array(w.worker, nullif(w.topics, $2::jsonb), w.details->'sharing'->'pollIntervalMs'))::text
  FROM _jobs_workers w
  WHERE $3::jsonb->'sharing' IS NOT NULL AND w.worker <> $1 AND w.seen > statement_timestamp() - ${OTHERS_SEEN}
    AND (w.details->'sharing'->>'backend')::int IN (SELECT pid FROM pg_stat_get_activity(NULL)))`;

/**
 * Records that a worker is alive, the topics of its handlers, and its details. Returns the time, the other processes, and a text that
 * changes with every change of a schedule.
 */
export const RECORD_WORKER = `
INSERT INTO _jobs_workers (worker, topics, details, seen) VALUES ($1, $2::jsonb, $3::jsonb, statement_timestamp())
ON CONFLICT (worker) DO UPDATE SET topics = excluded.topics, details = excluded.details, seen = excluded.seen
RETURNING (SELECT coalesce(count(*) || ' ' || sum(revision) || ' ' || max(updated), '') FROM _jobs_schedules) AS schedules_version,
  EXISTS (SELECT FROM _jobs_links) OR EXISTS (SELECT FROM _jobs_groups) AS has_links, EXISTS (SELECT FROM _jobs_logs) AS has_logs,
  EXISTS (SELECT FROM _jobs_definitions) AS has_definitions,
  ${isCountDue} AS is_count_due,
  ${otherWorkers} AS others, ${ms('statement_timestamp()')} AS now`;

/** The same for a worker that declares the definitions in $4. */
export const RECORD_DECLARING_WORKER = `
WITH ${refreshDefinitions('$4')}${RECORD_WORKER}`;

/** Removes a worker that shuts down. */
export const FORGET_WORKER = 'DELETE FROM _jobs_workers WHERE worker = $1';

/** Lists topics with a handler in a worker that was alive $1 milliseconds ago. */
export const SERVED_TOPICS = `
SELECT DISTINCT t.topic FROM _jobs_workers w CROSS JOIN LATERAL jsonb_array_elements_text(w.topics) AS t(topic)
WHERE w.seen > statement_timestamp() - make_interval(secs => $1::float8 / 1000.0)`;

/** Lists workers, those first that were alive $1 milliseconds ago. */
export const WORKERS = `
SELECT worker, topics::text AS topics, details::text AS details, ${ms('seen')} AS seen,
  seen > statement_timestamp() - make_interval(secs => $1::float8 / 1000.0) AS is_alive
FROM _jobs_workers ORDER BY is_alive DESC, worker LIMIT 1000`;

/** Deletes up to $2 rows of a table whose time is more than $1 milliseconds ago, and counts them. */
const pruneBy = (table: string, time: string): string => `
WITH gone AS (DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM ${table} WHERE ${time} < statement_timestamp() - make_interval(secs => $1::float8 / 1000.0) LIMIT $2::int)) RETURNING 1)
SELECT count(*) AS removed FROM gone`;

/** Minutes that no report shows any more. */
export const PRUNE_ROLLUP = pruneBy('_jobs_rollup', 'minute');
/** Workers that have not been seen for long. */
export const PRUNE_WORKERS = pruneBy('_jobs_workers', 'seen');
