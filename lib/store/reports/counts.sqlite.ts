import { SMALL_TABLE_JOBS } from '../../core/bounds.js';
import { fromNow, ms, now } from '../jobs/job-row.sqlite.js';
import { isListed, isRetrying, retryingJobs } from '../lists/list.sqlite.js';
import { COUNT_PACE, NAMED_TOPICS_MAX, WORKER_SEEN_MS } from './report-records.js';

/* Counts of jobs by topic and status, and the record of the last full count. */

/** Topics with running jobs, then those that a live process handles, and those with settings. Callers who only enqueue cannot add any. */
export const PREFERRED_TOPICS = `
SELECT topic, sum(jobs) AS processing FROM (
  SELECT topic, count(*) AS jobs FROM _jobs WHERE status = 'processing' GROUP BY topic
  UNION ALL SELECT t.value, 0 FROM _jobs_workers AS w, json_each(w.topics) AS t WHERE w.seen > ${fromNow(`-${WORKER_SEEN_MS}`)}
  UNION ALL SELECT topic, 0 FROM _jobs_topics) GROUP BY topic`;

const isAfter = `${isListed} AND (topic, status, id) > (?1, ?2, ?3)`;

/** Finds the job that is ?5 jobs after the position ?1, ?2, ?3 in the order of topic, status and id, up to topic ?4. */
export const END_OF_PIECE = `
SELECT topic, status, id FROM _jobs INDEXED BY _jobs_listed WHERE ${isAfter} AND topic <= ?4
ORDER BY topic, status, id LIMIT 1 OFFSET ?5`;

const STATUSES = ['pending', 'completed', 'failed', 'cancelled'];
const jobsIn = (status: string): string => `sum(iif(status = '${status}', jobs, 0)) AS ${status}`;

/**
 * Counts the jobs after the position ?1, ?2, ?3, up to ?4, ?5, ?6, by topic and status. Small topics are one row without a name: all but
 * those that reach over an end of the piece, those in ?7, and the largest.
 */
export const COUNT_PIECE = `
WITH piece AS (
  SELECT topic, status, count(*) AS jobs FROM _jobs INDEXED BY _jobs_listed
  WHERE ${isAfter} AND (topic, status, id) <= (?4, ?5, ?6) GROUP BY topic, status),
by_topic AS (SELECT topic, sum(jobs) AS jobs, ${STATUSES.map(jobsIn).join(', ')} FROM piece GROUP BY topic),
placed AS (
  SELECT *, row_number() OVER (
    ORDER BY topic IN (?1, ?4) DESC, topic IN (SELECT value FROM json_each(?7)) DESC, jobs DESC, topic) AS place FROM by_topic)
SELECT iif(place <= ${NAMED_TOPICS_MAX + 2}, topic, NULL) AS topic, count(*) AS topics,
  ${STATUSES.map((status) => `sum(${status}) AS ${status}`).join(', ')}
FROM placed GROUP BY 1`;

const isRetryingAfter = `${isRetrying} AND (topic, id) > (?1, ?2)`;

/** Finds the job that is ?4 jobs after the position ?1, ?2, among those that wait for a retry, up to topic ?3. */
export const END_OF_RETRYING_PIECE = `
SELECT topic, id FROM ${retryingJobs} WHERE ${isRetryingAfter} AND topic <= ?3 ORDER BY topic, id LIMIT 1 OFFSET ?4`;

/** Counts the jobs that wait for a retry after the position ?1, ?2, up to ?3, ?4. Topics that are not in ?5 are one row without a name. */
export const COUNT_RETRYING_PIECE = `
SELECT iif(topic IN (SELECT value FROM json_each(?5)), topic, NULL) AS topic, count(*) AS retrying
FROM ${retryingJobs} WHERE ${isRetryingAfter} AND (topic, id) <= (?3, ?4) GROUP BY 1`;

const { restFactor, restMs, fastMs, fastRestMs, claimMs } = COUNT_PACE;
const workerRestMs = `max(${restFactor} * took_ms, iif(took_ms < ${fastMs}, ${fastRestMs}, ${restMs}))`;

/** Whether a count may start. Ignores times in the future, which a clock that was set back leaves. @param restMs SQL for milliseconds */
const mayCount = (
  restMs: string,
): string => `(c.claimed_until <= ${now} OR c.claimed_until > ${fromNow(`${2 * claimMs}`)})
  AND (c.counted <= ${fromNow(`-${restMs}`)} OR c.counted > ${now})`;

/** Without a record: whether the table may be large. Finished jobs are pruned oldest first, so row numbers have few gaps. */
export const isCountDue = `coalesce(
  (SELECT ${mayCount(workerRestMs)} FROM _jobs_counts AS c),
  (SELECT max(rowid) FROM _jobs) - (SELECT min(rowid) FROM _jobs) > ${SMALL_TABLE_JOBS}, 0)`;

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
