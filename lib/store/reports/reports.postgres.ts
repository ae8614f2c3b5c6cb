import { COUNT_PACE, GAUGE_LIMITS } from './report-records.js';
import { refreshDefinitions } from '../definitions/definition.postgres.js';
import { ms } from '../jobs/job-row.postgres.js';
import { isListed, isRetrying, newestJobs } from '../lists/list.postgres.js';

/* Counts, run times, the rollup of finished jobs and the workers that are alive. */

const countJobs = (condition: string): string => `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE ${isListed} AND ${condition} GROUP BY topic, status
UNION ALL
SELECT topic, status, count(*) FROM _jobs WHERE status = 'processing' AND ${condition} GROUP BY topic, status
UNION ALL
SELECT topic, 'retrying', count(*) FROM _jobs WHERE ${isRetrying} AND ${condition} GROUP BY topic`;

/** Counts jobs by topic and status, and those that wait for a retry. Reads two indexes, and the rows that were written lately. */
export const COUNTS = countJobs('true');

/** The same for the topics in $1. */
export const COUNTS_OF_TOPICS = countJobs('topic = ANY ($1::text[])');

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

const restSince = (factor: string): string => `make_interval(secs => ${factor} * c.took_ms / 1000.0)`;

const { restFactor, restMs, fastMs, fastRestMs, heapBytes } = COUNT_PACE;
const claimTime = `make_interval(secs => ${COUNT_PACE.claimMs / 1_000})`;

/**
 * Whether a count may start. Ignores times in the future, which a clock that was set back leaves. Respects a claim of a concurrent
 * statement that began a little later.
 *
 * @param rest SQL for an interval.
 */
const mayCount = (rest: string): string => `
  (c.claimed_until <= statement_timestamp() OR c.claimed_until > statement_timestamp() + 2 * ${claimTime})
  AND (c.counted <= statement_timestamp() - ${rest} OR c.counted > statement_timestamp())`;

const workerRest = `greatest(${restSince(`${restFactor}`)},
  make_interval(secs => CASE WHEN c.took_ms < ${fastMs} THEN ${fastRestMs / 1_000} ELSE ${restMs / 1_000} END))`;

/** Without a record: whether the table may be large. PostgreSQL reads the size from the file system, without reading rows. */
const isCountDue = `coalesce((SELECT ${mayCount(workerRest)} FROM _jobs_counts c),
  pg_relation_size('_jobs') > ${heapBytes})`;

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

const { exactCount, countedJobs, lanes, keys, keyedJobs } = GAUGE_LIMITS;

const isUnkeyed = `status = 'pending' AND concurrency_key IS NULL`;
const isKeyed = `status = 'pending' AND concurrency_key IS NOT NULL`;
const isInLane = `${isKeyed} AND topic = l.topic AND priority = l.priority`;

/** A loose scan over pairs: `columns` are the first two of an index, `head` what is read of the first row of each. */
const looseScan = (columns: string, previous: string, head: string, condition: string, order: string): string => `
  (SELECT ${head} FROM _jobs WHERE ${condition} ORDER BY ${order} LIMIT 1)
  UNION ALL
  SELECT n.* FROM ${previous} p CROSS JOIN LATERAL (
    SELECT ${head} FROM _jobs WHERE ${condition} AND (${columns}) > (${columns.replace(/\w+/g, 'p.$&')})
    ORDER BY ${order} LIMIT 1) n`;

const countPair = (limit: string): string => `(SELECT count(*) FROM (
    SELECT FROM _jobs j WHERE ${isListed} AND j.topic = p.topic AND j.status = p.status ORDER BY j.id LIMIT ${limit}) c)`;

/**
 * Reads the state of the queue for monitoring: rows of (topic, kind, value). A kind is a status with its number of jobs, `oldest` with
 * the milliseconds that the oldest due job has waited, or `workers`. $1 is the age in milliseconds at which a worker counts as dead.
 * `GAUGE_LIMITS` bounds what it reads:
 *
 * - `pair`: the pairs of topic and status. `few`: each counted up to a thousand. The larger ones share a number of jobs to read.
 * - `lane`: the oldest job of each lane. `keyed_lane`: the lanes of jobs with a concurrency key. There, the oldest of the first keys,
 *   of the jobs without a flow key, and of the first ids of the topic.
 */
export const GAUGES = `
WITH RECURSIVE pair AS (${looseScan('topic, status', 'pair', 'topic, status', isListed, 'topic, status')}),
few AS MATERIALIZED (
  SELECT topic, status, ${countPair(`${exactCount + 1}`)} AS jobs FROM (SELECT * FROM pair LIMIT ${lanes}) p),
lane AS (${looseScan('topic, priority', 'lane', 'topic, priority, run_at', isUnkeyed, 'topic, priority, run_at')}),
keyed AS (${looseScan('topic, priority', 'keyed', 'topic, priority', isKeyed, 'topic, priority')}),
keyed_lane AS MATERIALIZED (SELECT * FROM keyed LIMIT ${lanes})
SELECT topic, status AS kind, CASE WHEN jobs <= ${exactCount} THEN jobs ELSE ${countPair(
  `(SELECT greatest(${exactCount + 1}, ${countedJobs} / count(*)) FROM few WHERE jobs > ${exactCount})`,
)} END::float8 AS value FROM few p
UNION ALL
SELECT topic, status, count(*)::float8 FROM _jobs WHERE status = 'processing' GROUP BY topic, status
UNION ALL
SELECT topic, 'oldest', ${ms('(statement_timestamp() - min(run_at))')} FROM (
  SELECT topic, run_at FROM (SELECT * FROM lane LIMIT ${lanes}) l
  UNION ALL
  SELECT l.topic, n.run_at FROM keyed_lane l CROSS JOIN LATERAL (
    (SELECT run_at FROM _jobs WHERE ${isInLane} AND flow_key IS NULL
      ORDER BY flow_key, run_at LIMIT 1)
    UNION ALL (
      WITH RECURSIVE k AS (
        (SELECT flow_key, run_at FROM _jobs WHERE ${isInLane} AND flow_key IS NOT NULL
          ORDER BY flow_key, run_at LIMIT 1)
        UNION ALL
        SELECT n.* FROM k CROSS JOIN LATERAL (
          SELECT flow_key, run_at FROM _jobs WHERE ${isInLane} AND flow_key > k.flow_key
          ORDER BY flow_key, run_at LIMIT 1) n)
      SELECT run_at FROM k LIMIT ${keys})) n
  UNION ALL
  SELECT t.topic, n.run_at FROM (SELECT DISTINCT topic FROM keyed_lane) t CROSS JOIN LATERAL (
    SELECT run_at FROM _jobs WHERE ${isListed} AND status = 'pending' AND topic = t.topic ORDER BY id LIMIT ${keyedJobs}) n) w
WHERE run_at <= statement_timestamp() GROUP BY topic
UNION ALL
SELECT '', 'workers', count(*)::float8 FROM _jobs_workers
WHERE seen > statement_timestamp() - make_interval(secs => $1::float8 / 1000.0)`;

/** `pair`: a query of (topic, status). */
const countExcept = (pair: string, isSelected: string): string => `
WITH RECURSIVE pair AS (${pair}),
except_pair AS MATERIALIZED (SELECT e.topic, e.status FROM jsonb_to_recordset($1::jsonb) AS e(topic text, status text))
SELECT topic, status, (SELECT count(*) FROM _jobs j WHERE ${isListed} AND j.topic = p.topic AND j.status = p.status) AS jobs
FROM pair p WHERE (topic, status) NOT IN (SELECT topic, status FROM except_pair)
UNION ALL
SELECT topic, 'retrying', (SELECT count(*) FROM _jobs j WHERE ${isRetrying} AND j.topic = p.topic)
FROM pair p WHERE status = 'pending' AND (topic, 'retrying') NOT IN (SELECT topic, status FROM except_pair)
UNION ALL
SELECT topic, status, count(*) FROM _jobs WHERE status = 'processing' AND ${isSelected} GROUP BY topic, status`;

/** Counts jobs by topic and status. Does not count the pairs in $1. */
export const COUNTS_EXCEPT = countExcept(
  looseScan('topic, status', 'pair', 'topic, status', isListed, 'topic, status'),
  'true',
);

/** The same for the topics in $2. */
export const COUNTS_OF_TOPICS_EXCEPT = countExcept(
  `SELECT t.topic, s.status FROM unnest($2::text[]) AS t(topic)
  CROSS JOIN (VALUES ('pending'), ('completed'), ('failed'), ('cancelled')) AS s(status)`,
  'topic = ANY ($2::text[])',
);

/** Reads the time and the last recorded count. */
export const RECORDED_COUNTS = `
SELECT ${ms('statement_timestamp()')} AS now, c.counts::text AS counts, ${ms('c.counted')} AS counted, c.took_ms
FROM (VALUES (1)) AS v(id) LEFT JOIN _jobs_counts c ON c.id = v.id`;

/**
 * Claims the full count, unless another process counts or the last count began less than $1 times its duration ago. Returns the time if
 * it succeeds.
 */
export const CLAIM_COUNT = `
INSERT INTO _jobs_counts AS c (id, counts, counted, took_ms, claimed_until)
VALUES (1, '[]', 'epoch', 0, statement_timestamp() + ${claimTime})
ON CONFLICT (id) DO UPDATE SET claimed_until = excluded.claimed_until
WHERE ${mayCount(restSince('$1::float8'))}
RETURNING ${ms('statement_timestamp()')} AS now`;

/** Records a count: $1 the counts, $2 when it began, $3 how long it took. */
export const RECORD_COUNTS = `
INSERT INTO _jobs_counts AS c (id, counts, counted, took_ms, claimed_until)
VALUES (1, $1::jsonb, $2::timestamptz, $3::float8, statement_timestamp())
ON CONFLICT (id) DO UPDATE SET counts = excluded.counts, counted = excluded.counted, took_ms = excluded.took_ms,
  claimed_until = excluded.claimed_until
WHERE c.counted <= excluded.counted OR c.counted > statement_timestamp()`;
