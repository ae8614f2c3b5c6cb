import { FILTER_STATUSES } from '../../core/job-state.js';
import { ms } from '../jobs/job-row.postgres.js';
import { isListed, isRetrying } from '../lists/list.postgres.js';
import { COUNT_PACE, NAMED_TOPICS_MAX, WORKER_SEEN_MS } from './report-records.js';

/* Counts of jobs by topic and status, and the record of the last full count. */

/** Reads two indexes, and the rows that were written lately. */
const countJobs = (condition: string): string => `
  SELECT topic, status, count(*) AS jobs FROM _jobs WHERE ${isListed} AND ${condition} GROUP BY topic, status
  UNION ALL
  SELECT topic, status, count(*) FROM _jobs WHERE status = 'processing' AND ${condition} GROUP BY topic, status
  UNION ALL
  SELECT topic, 'retrying', count(*) FROM _jobs WHERE ${isRetrying} AND ${condition} GROUP BY topic`;

const jobsIn = (status: string): string => `coalesce(sum(jobs) FILTER (WHERE status = '${status}'), 0) AS ${status}`;

/** Counts by topic. @param topic SQL for the name; NULL for topics that are summed. @param place SQL for a column that `topic` may read. */
const countTopics = (condition: string, topic: string, place: string): string => `
WITH counted AS (${countJobs(condition)}),
by_topic AS (
  SELECT topic, ${FILTER_STATUSES.map(jobsIn).join(', ')} FROM counted GROUP BY topic),
placed AS (SELECT *, ${place} AS place FROM by_topic)
SELECT ${topic} AS topic, count(*) AS topics, ${FILTER_STATUSES.map((status) => `sum(${status}) AS ${status}`).join(', ')}
FROM placed GROUP BY 1`;

/** Topics that a live process handles, and topics with settings. Callers who only enqueue cannot add any. */
const isPreferred = `(topic IN (
  SELECT jsonb_array_elements_text(topics) FROM _jobs_workers
  WHERE seen > statement_timestamp() - interval '${WORKER_SEEN_MS} milliseconds'
  UNION ALL SELECT topic FROM _jobs_topics))`;

/** Counts jobs by topic and status at one moment. The topics beyond `NAMED_TOPICS_MAX` are one row without a name. */
export const COUNTS = countTopics(
  'true',
  `CASE WHEN place <= ${NAMED_TOPICS_MAX} THEN topic END`,
  `row_number() OVER (ORDER BY ${isPreferred} DESC, pending + processing + completed + failed + cancelled DESC, topic COLLATE "C")`,
);

/** The same for the topics in $1, each by its name. */
export const COUNTS_OF_TOPICS = countTopics('topic = ANY ($1::text[])', 'topic', '0');

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
export const isCountDue = `coalesce((SELECT ${mayCount(workerRest)} FROM _jobs_counts c),
  pg_relation_size('_jobs') > ${heapBytes})`;

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
