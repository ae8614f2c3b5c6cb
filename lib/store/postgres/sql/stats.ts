import { columnsOf, ms } from './statement-parts.js';

/* What the PostgreSQL store asks for its reports. Each names the index ranges it reads. */

const wholeJobs = `
SELECT ${columnsOf('_jobs', '_jobs.id::text AS id', '_jobs.cancel_requested::int AS cancel_requested')}
FROM _jobs`;

/** Whole jobs by id; also in a transaction of the caller's, where an application's own parsers read the answer. */
export const FIND_JOBS = `${wholeJobs} WHERE id = ANY($1::uuid[])`;

/** The unfinished job of a topic, $1, and a unique key. */
export const FIND_HOLDER = `${wholeJobs} WHERE topic = $1 AND unique_key = $2 AND status IN ('pending', 'processing')`;

const isListed = `status <> 'processing'`;

/** All topics, by a loose scan of `_jobs_listed`: from one topic to the next, however many jobs each has. */
export const TOPICS = `
WITH RECURSIVE t AS (
  (SELECT topic FROM _jobs WHERE ${isListed} ORDER BY topic LIMIT 1)
  UNION ALL
  SELECT (SELECT topic FROM _jobs WHERE ${isListed} AND topic > t.topic ORDER BY topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL)
SELECT topic FROM t WHERE topic IS NOT NULL UNION SELECT topic FROM _jobs WHERE status = 'processing'`;

/** Which topics have jobs in a status. */
export const TOPICS_IN_STATUS = `
SELECT topic FROM unnest($1::text[]) AS t(topic) WHERE EXISTS (
  SELECT FROM _jobs j WHERE j.status <> 'processing' AND j.topic = t.topic AND j.status = $2)`;

/** Topics with pending jobs, by a loose scan of `_jobs_pending`. */
export const WAITING_TOPICS = `
WITH RECURSIVE t AS (
  (SELECT topic FROM _jobs WHERE status = 'pending' ORDER BY topic LIMIT 1)
  UNION ALL
  SELECT (SELECT topic FROM _jobs WHERE status = 'pending' AND topic > t.topic ORDER BY topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL)
SELECT topic FROM t WHERE topic IS NOT NULL`;

/** Whether there are more jobs than that. */
export const HAS_MORE_THAN = `SELECT 1 FROM _jobs OFFSET $1::int LIMIT 1`;

/**
 * $1 first id, $2 id after the last, $3 lanes, $4 topics of running jobs, $5 single ids with $6 topics, $7 statuses, and $8 whether
 * their time has come.
 */
const inRange = `id >= $1::uuid AND id < $2::uuid`;

/** Subqueries are worked out once: a plan knows no values. */
const isBetween = (from: string, before: string): string =>
  `created >= (SELECT coalesce(${from}::timestamptz, '-infinity')) AND created < (SELECT coalesce(${before}::timestamptz, 'infinity'))`;

const isDated = isBetween('$9', '$10');

const isDue = `coalesce((run_at <= statement_timestamp()) = $8::boolean, true)`;

const matches = (condition: string, laneLimit: string): string => `
  SELECT c.id FROM jsonb_to_recordset($3::jsonb) AS l(topic text, status text) CROSS JOIN LATERAL (
    SELECT id FROM _jobs WHERE ${isListed} AND topic = l.topic AND status = l.status AND ${condition}
    ORDER BY id DESC LIMIT ${laneLimit}) c
  UNION ALL
  SELECT id FROM _jobs WHERE status = 'processing' AND topic = ANY ($4::text[]) AND ${condition}
  UNION ALL
  SELECT id FROM _jobs WHERE id = ANY ($5::uuid[]) AND topic = ANY ($6::text[]) AND status = ANY ($7::text[])
    AND ${isDue} AND ${condition}`;

/** Ids of a page and counts up to a limit: of lanes or of the whole table, with a range of dates or without one. */
export interface ListStatements {
  readonly ids: string;
  readonly count: string;
}

/** Of lanes; `isFiltered`: by dates, for which each row must be visited. The last parameters are limit and offset. */
export const listOfLanes = (isFiltered: boolean): ListStatements => {
  const condition = isFiltered ? `${inRange} AND ${isDated} AND ${isDue}` : inRange;
  const [limit, offset] = isFiltered ? ['$11::int', '$12::int'] : ['$9::int', '$10::int'];
  return {
    ids: `SELECT id FROM (${matches(condition, `${limit} + ${offset}`)}) m ORDER BY id DESC LIMIT ${limit} OFFSET ${offset}`,
    count: `SELECT count(*) AS total FROM (SELECT FROM (${matches(condition, limit)}) m LIMIT ${limit}) c`,
  };
};

/** Of the whole table, where lanes say nothing: $3 and $4 are the dates. */
export const LIST_OF_ALL: ListStatements = (() => {
  const condition = `${inRange} AND ${isBetween('$3', '$4')}`;
  return {
    ids: `SELECT id FROM _jobs WHERE ${condition} ORDER BY id DESC LIMIT $5::int OFFSET $6::int`,
    count: `SELECT count(*) AS total FROM (SELECT FROM _jobs WHERE ${condition} LIMIT $5::int) c`,
  };
})();

/** How jobs stand. */
export const STANDING = `
SELECT id, topic, status, (run_at <= statement_timestamp())::int AS is_due FROM _jobs WHERE id = ANY ($1::uuid[])`;

/**
 * The first pending jobs of each lane whose time has come, or has not, by a loose scan of `_jobs_pending`: from one priority to
 * the next, however many jobs of the other kind each has.
 */
const firstWaiting = (comparison: '<=' | '>', columns: string): string => {
  const waits = `status = 'pending' AND topic = l.topic`;
  return `
  jsonb_to_recordset($1::jsonb) AS l(topic text, lane_limit int) CROSS JOIN LATERAL (
    WITH RECURSIVE p AS (
      (SELECT priority FROM _jobs WHERE ${waits} ORDER BY priority LIMIT 1)
      UNION ALL
      SELECT (SELECT priority FROM _jobs WHERE ${waits} AND priority > p.priority ORDER BY priority LIMIT 1)
      FROM p WHERE p.priority IS NOT NULL)
    SELECT ${columns} FROM p CROSS JOIN LATERAL (
      SELECT id FROM _jobs WHERE ${waits} AND priority = p.priority AND run_at ${comparison} statement_timestamp()
      ORDER BY run_at LIMIT l.lane_limit) w
    LIMIT l.lane_limit) n`;
};

/** Pending jobs that are due, and those that are not. */
export const DUE_IDS = `SELECT n.id FROM ${firstWaiting('<=', 'w.id')}`;
export const NOT_DUE_IDS = `SELECT n.id FROM ${firstWaiting('>', 'w.id')}`;

/** How many they are in each lane. */
export const DUE_UP_TO = `SELECT l.topic, count(*) AS jobs FROM ${firstWaiting('<=', '1')} GROUP BY l.topic`;
export const NOT_DUE_UP_TO = `SELECT l.topic, count(*) AS jobs FROM ${firstWaiting('>', '1')} GROUP BY l.topic`;

const newestOf = (status: string, columns: string): string => `
  jsonb_to_recordset($1::jsonb) AS l(topic text, lane_limit int) CROSS JOIN LATERAL (
    SELECT ${columns} FROM _jobs WHERE ${isListed} AND topic = l.topic AND status = '${status}'
    ORDER BY id DESC LIMIT l.lane_limit) n`;

/** How many failed jobs each lane has, up to its limit. */
export const FAILED_UP_TO = `
SELECT l.topic, count(*) AS jobs FROM ${newestOf('failed', 'id')} GROUP BY l.topic`;

/** Failed jobs with a text in their error, among the newest of each lane. */
export const FAILED_WITH = `
SELECT n.id FROM ${newestOf('failed', 'id, last_error')} WHERE strpos(lower(n.last_error), (SELECT lower($2))) > 0`;

/** Failed jobs whose error has the key $2, as `errorKeyOf` makes it, among the newest of each lane. */
export const FAILED_ALIKE = `
SELECT n.id FROM ${newestOf('failed', 'id, last_error')}
WHERE left(encode(sha256(convert_to(
  octet_length(convert_to(l.topic, 'UTF8')) || ':' || l.topic || coalesce(n.last_error, ''), 'UTF8')), 'hex'), 32) = $2`;

const countsOf = (condition: string): string => `
SELECT topic, status, count(*) AS jobs FROM _jobs WHERE ${isListed} AND ${condition} GROUP BY topic, status
UNION ALL
SELECT topic, status, count(*) FROM _jobs WHERE status = 'processing' AND ${condition} GROUP BY topic, status`;

/** The jobs of each topic in each status. Walks one index, and the rows of it that were written lately. */
export const COUNTS = countsOf('true');

/** The same of the topics in $1. */
export const COUNTS_OF_TOPICS = countsOf('topic = ANY ($1::text[])');

/** How long the newest completed jobs of each lane took. */
export const RUN_TIMES = `
SELECT l.topic, json_agg(${ms('(n.finished - n.started)')})::text AS times_ms
FROM ${newestOf('completed', 'finished, started')} WHERE n.started IS NOT NULL GROUP BY l.topic`;

/** The newest failed jobs of each lane, those alike together, the most frequent first. */
export const ERRORS = `
SELECT l.topic, n.last_error AS message, count(*) AS jobs, ${ms('min(n.finished)')} AS first_seen,
  ${ms('max(n.finished)')} AS last_seen, max(n.id::text) AS sample_id
FROM ${newestOf('failed', 'id, last_error, finished')}
GROUP BY l.topic, n.last_error ORDER BY jobs DESC, last_seen DESC LIMIT $2::int`;

const thisMinute = `date_trunc('minute', statement_timestamp())`;

/**
 * Keeps what finished in a process: $1 entries, $2 the minute in which `totals` began, $3 the worker. While that minute
 * runs its totals are replaced; a new one begins with what came since the last record.
 */
export const RECORD_ROLLUP = `
WITH kept AS (
  INSERT INTO _jobs_rollup AS r (minute, topic, worker, completed, failed, started, run_ms, wait_ms, run_histogram)
  SELECT ${thisMinute}, e.topic, $3, e.completed, e.failed, e.started, e.run_ms, e.wait_ms, e.histogram
  FROM jsonb_to_recordset($1::jsonb) AS e(is_total boolean, topic text, completed int, failed int, started int,
    run_ms float8, wait_ms float8, histogram jsonb)
  WHERE e.is_total = (${thisMinute} IS NOT DISTINCT FROM $2::timestamptz) ORDER BY e.topic
  ON CONFLICT (topic, minute, worker) DO UPDATE SET completed = excluded.completed, failed = excluded.failed,
    started = excluded.started, run_ms = excluded.run_ms, wait_ms = excluded.wait_ms,
    run_histogram = excluded.run_histogram)
SELECT ${ms(thisMinute)} AS minute`;

/** What finished in the last $2 minutes, the running one included, of the topics in $1; the empty text among them counts all together. */
export const TIMESERIES = `
SELECT ${ms('minute')} AS minute, completed, failed, started, run_ms, wait_ms, run_histogram::text AS histogram
FROM _jobs_rollup
WHERE topic = ANY ($1::text[]) AND minute > ${thisMinute} - make_interval(mins => $2::int) ORDER BY minute`;

/** The running minute. */
export const THIS_MINUTE = `SELECT ${ms(thisMinute)} AS minute`;

/** This process is alive, and has handlers for these topics. */
export const NOTE_WORKER = `
INSERT INTO _jobs_workers (worker, topics, seen) VALUES ($1, $2::jsonb, statement_timestamp())
ON CONFLICT (worker) DO UPDATE SET topics = excluded.topics, seen = excluded.seen`;

/** This process ends. */
export const FORGET_WORKER = 'DELETE FROM _jobs_workers WHERE worker = $1';

/** Topics with a handler in a process that was alive $1 milliseconds ago. */
export const SERVED_TOPICS = `
SELECT DISTINCT t.topic FROM _jobs_workers w CROSS JOIN LATERAL jsonb_array_elements_text(w.topics) AS t(topic)
WHERE w.seen > statement_timestamp() - make_interval(secs => $1::float8 / 1000.0)`;

/** What no report shows any more. $1 is the age in milliseconds. */
export const PRUNE_ROLLUP = `
DELETE FROM _jobs_rollup WHERE minute < statement_timestamp() - make_interval(secs => $1::float8 / 1000.0)`;
export const PRUNE_WORKERS = `
DELETE FROM _jobs_workers WHERE seen < statement_timestamp() - make_interval(secs => $1::float8 / 1000.0)`;
