import { READ_MESSAGE_CHARS } from '../../core/error-groups.js';
import type { KeyFilter } from '../../core/list-filter.js';
import type { JobFilterStatus } from '../../core/job-state.js';
import { SEARCHED_BYTES_MAX, VISITED_TOPICS_MAX } from './job-search.js';
import type { FailureKind } from '../reports/report-records.js';
import { ERROR_SLOT_MS, ERROR_SLOTS } from '../reports/report-records.js';
import {
  holdsKey,
  holdsWaitingKey,
  isoMicroseconds,
  isUnchangedSince,
  jobColumns,
  ms,
} from '../jobs/job-row.postgres.js';

/* Jobs by id, the list of jobs, and the lists behind its filters. */

const wholeJobs = `
SELECT ${jobColumns('_jobs', '_jobs.id::text AS id', '_jobs.cancel_requested::int AS cancel_requested')}
FROM _jobs`;

/** Reads whole jobs by id; also in the caller's transaction, where the application's parsers read the result. */
export const FIND_JOBS = `${wholeJobs} WHERE id = ANY($1::uuid[])`;

/** Reads the job of topic $1 that holds unique key $2. */
export const FIND_HOLDER = `
${wholeJobs} WHERE topic = $1 AND unique_key = $2 AND ${holdsKey('_jobs')}
UNION ALL ${wholeJobs} WHERE topic = $1 AND waiting_key = $2 AND ${holdsWaitingKey('_jobs')} LIMIT 1`;

/** Reads the current status of jobs, and whether they have changed since $2. */
export const JOB_SUMMARIES = `
SELECT id, topic, status, (run_at <= statement_timestamp())::int AS is_due, NOT ${isUnchangedSince('$2')} AS is_newer
FROM _jobs WHERE id = ANY ($1::uuid[])`;

export const isListed = `status <> 'processing'`;

/** The condition of the partial index of jobs that wait for a retry. */
export const isRetrying = `retries > 0 AND status = 'pending'`;

/** The condition of a filter on a job outside of the ranges. */
const hasStatus = (job: string, statuses: string): string =>
  `(${job}status = ANY (${statuses}::text[]) OR 'retrying' = ANY (${statuses}::text[]) AND ${job}retries > 0 AND ${job}status = 'pending')`;

/** NULL selects all topics. */
const isInTopics = (topic: string, topics: string): string =>
  `(${topics}::text[] IS NULL OR ${topic} = ANY (${topics}::text[]))`;

/**
 * Puts the topics with jobs, as `t`, before a query. A loose scan of `_jobs_listed`: it jumps from one topic to the next, however many
 * jobs each has.
 */
export const withListedTopics = (query: string, condition = isListed): string => `
WITH RECURSIVE t AS (
  (SELECT topic FROM _jobs WHERE ${condition} ORDER BY topic LIMIT 1)
  UNION ALL
  SELECT (SELECT topic FROM _jobs WHERE ${condition} AND topic > t.topic ORDER BY topic LIMIT 1)
  FROM t WHERE t.topic IS NOT NULL)
${query}`;

/** Lists the first $1 topics, and those of running jobs. */
export const TOPICS = withListedTopics(
  `(SELECT topic FROM t WHERE topic IS NOT NULL LIMIT $1::int) UNION SELECT topic FROM _jobs WHERE status = 'processing'`,
);

/** The condition of the partial index of failed and cancelled jobs. */
const isEnded = `finished IS NOT NULL AND status <> 'completed'`;

/** Lists the first $1 topics that have failed jobs, or jobs that wait for a retry. */
export const FAILING_TOPICS = {
  failed: withListedTopics(
    `
SELECT t.topic FROM (SELECT topic FROM t WHERE topic IS NOT NULL LIMIT ${VISITED_TOPICS_MAX}) t CROSS JOIN LATERAL (
  SELECT FROM _jobs j WHERE ${isListed} AND status = 'failed' AND j.topic = t.topic LIMIT 1) j LIMIT $1::int`,
    isEnded,
  ),
  retrying: withListedTopics('SELECT topic FROM t WHERE topic IS NOT NULL LIMIT $1::int', isRetrying),
};

const rareJobs = (status: string, condition: string): string => `
  (SELECT id FROM _jobs WHERE '${status}' = ANY ($1::text[]) AND ${condition} ORDER BY topic LIMIT $2::int)`;

/** Lists up to $2 jobs in each of the statuses $1. Each has a partial index, or shares one. */
export const RARE_IDS = [
  rareJobs('failed', `${isEnded} AND status = 'failed'`),
  rareJobs('cancelled', `${isEnded} AND status = 'cancelled'`),
  rareJobs('retrying', isRetrying),
  `(SELECT id FROM _jobs WHERE 'processing' = ANY ($1::text[]) AND status = 'processing' LIMIT $2::int)`,
].join(' UNION ALL ');

/** Returns a row when the table holds more than $1 jobs. */
export const HAS_MORE_THAN = `SELECT 1 FROM _jobs OFFSET $1::int LIMIT 1`;

/**
 * $1 first id, $2 id after the last, $3 ranges of topic and status, $4 topics of running jobs, $5 single ids with $6 topics, $7
 * statuses, and $8 whether they are due.
 */
const isInRange = `id >= $1::uuid AND id < $2::uuid`;

/** Subqueries are evaluated once, since the plan does not know the values. */
const isBetween = (from: string, before: string): string =>
  `created >= (SELECT coalesce(${from}::timestamptz, '-infinity')) AND created < (SELECT coalesce(${before}::timestamptz, 'infinity'))`;

const isDated = isBetween('$9', '$10');

const isDue = (due: string): string => `coalesce((run_at <= statement_timestamp()) = ${due}::boolean, true)`;

const retryingMatches = (condition: string, rangeLimit: string): string => `
  UNION ALL
  SELECT c.id FROM jsonb_to_recordset($3::jsonb) AS l(topic text, status text) CROSS JOIN LATERAL (
    SELECT id FROM _jobs WHERE ${isRetrying} AND topic = l.topic AND ${condition}
    ORDER BY id DESC LIMIT ${rangeLimit}) c
  WHERE l.status = 'retrying'`;

const matches = (condition: string, rangeLimit: string): string => `
  SELECT c.id FROM jsonb_to_recordset($3::jsonb) AS l(topic text, status text) CROSS JOIN LATERAL (
    SELECT id FROM _jobs WHERE ${isListed} AND topic = l.topic AND status = l.status AND ${condition}
    ORDER BY id DESC LIMIT ${rangeLimit}) c
  UNION ALL
  SELECT id FROM _jobs WHERE status = 'processing' AND topic = ANY ($4::text[]) AND ${condition}
  UNION ALL
  SELECT id FROM _jobs WHERE id = ANY ($5::uuid[]) AND ${isInTopics('topic', '$6')} AND ${hasStatus('', '$7')}
    AND ${isDue('$8')} AND ${condition}`;

/** Reads the ids of a page, and counts up to a limit. */
export interface ListStatements {
  readonly ids: string;
  readonly count: string;
}

/**
 * Lists by ranges; with `isFiltered`, by dates and changes since $11 too, which must read each row; with `hasRetrying`, also by ranges of
 * jobs that wait for a retry. The last parameters are limit and offset.
 */
const listRanges = (isFiltered: boolean, hasRetrying: boolean): ListStatements => {
  const condition = isFiltered
    ? `${isInRange} AND ${isDated} AND ${isDue('$8')} AND ${isUnchangedSince('$11')}`
    : isInRange;
  const [limit, offset] = isFiltered ? ['$12::int', '$13::int'] : ['$9::int', '$10::int'];
  const select = (rangeLimit: string): string =>
    matches(condition, rangeLimit) + (hasRetrying ? retryingMatches(condition, rangeLimit) : '');
  return {
    ids: `SELECT id FROM (${select(`${limit} + ${offset}`)}) m ORDER BY id DESC LIMIT ${limit} OFFSET ${offset}`,
    count: `SELECT count(*) AS total FROM (SELECT FROM (${select(limit)}) m LIMIT ${limit}) c`,
  };
};

/** By whether the list is filtered by dates or changes, and whether it contains jobs that wait for a retry. */
export const LIST_RANGES = {
  filtered: { retrying: listRanges(true, true), other: listRanges(true, false) },
  unfiltered: { retrying: listRanges(false, true), other: listRanges(false, false) },
};

/** Reads the newest ids of each range in $1 from $2 on, up to $3, with the number of the range. */
export const RANGE_PIECES = `
SELECT l.number, c.id FROM jsonb_to_recordset($1::jsonb) AS l(number int, topic text, status text, before uuid) CROSS JOIN LATERAL (
  SELECT id FROM _jobs WHERE ${isListed} AND topic = l.topic AND status = l.status AND id >= $2::uuid AND id < l.before
  ORDER BY id DESC LIMIT $3::int) c`;

/** Lists the whole table, without ranges: $3, $4 the dates, $5 the time of the last change, $6 the statuses or none, $7 due or not. */
export const LIST_ALL: ListStatements = (() => {
  const condition = `${isInRange} AND ${isBetween('$3', '$4')} AND ${isUnchangedSince('$5')}
    AND (cardinality($6::text[]) = 0 OR ${hasStatus('', '$6')}) AND ${isDue('$7')}`;
  return {
    ids: `SELECT id FROM _jobs WHERE ${condition} ORDER BY id DESC LIMIT $8::int OFFSET $9::int`,
    count: `SELECT count(*) AS total FROM (SELECT FROM _jobs WHERE ${condition} LIMIT $8::int) c`,
  };
})();

const endedMatches = (condition: string, rangeLimit: string): string => `
  SELECT c.id, c.finished FROM jsonb_to_recordset($4::jsonb) AS l(topic text, status text) CROSS JOIN LATERAL (
    SELECT id, finished FROM _jobs WHERE ${isEnded} AND topic = l.topic AND status = l.status AND ${condition}
    ORDER BY finished DESC, id DESC LIMIT ${rangeLimit}) c
  UNION ALL
  SELECT id, finished FROM _jobs WHERE id = ANY ($5::uuid[]) AND ${isInTopics('topic', '$6')} AND ${hasStatus('', '$7')} AND ${condition}`;

/**
 * Lists failed and cancelled jobs before the moment $1 and the id $2, from the moment $3 on, the last one that ended first: $4 ranges of
 * topic and status, $5 single ids with $6 topics and $7 statuses. With `isFiltered`, by the dates of creation $8 and $9 and by changes
 * since $10 too, which must read each row. The last parameters are limit, offset,
 * and the limit of each range.
 */
const listEnded = (isFiltered: boolean): ListStatements => {
  const isInEndedRange = `(finished, id) < ($1::timestamptz, $2::uuid) AND finished >= $3::timestamptz`;
  const condition = isFiltered
    ? `${isInEndedRange} AND ${isBetween('$8', '$9')} AND ${isUnchangedSince('$10')}`
    : isInEndedRange;
  const [limit, offset, rangeLimit] = isFiltered
    ? ['$11::int', '$12::int', '$13::int']
    : ['$8::int', '$9::int', '$10::int'];
  return {
    ids: `SELECT id, ${isoMicroseconds('finished')} AS ended FROM (${endedMatches(condition, rangeLimit)}) m
ORDER BY finished DESC, id DESC LIMIT ${limit} OFFSET ${offset}`,
    count: `SELECT count(*) AS total FROM (SELECT FROM (${endedMatches(condition, limit)}) m LIMIT ${limit}) c`,
  };
};

/** By whether the list is filtered by dates or changes. */
export const LIST_ENDED = { filtered: listEnded(true), unfiltered: listEnded(false) };

/** Selects pending jobs by priority, by a loose scan: it jumps from one priority to the next, however many jobs each has. */
const waitingByPriority = (isKeyed: boolean, columns: string, condition: string, order: string): string => {
  const isWaiting = `status = 'pending' AND concurrency_key IS ${isKeyed ? 'NOT NULL' : 'NULL'} AND topic = l.topic`;
  return `(
    WITH RECURSIVE p AS (
      (SELECT priority FROM _jobs WHERE ${isWaiting} ORDER BY priority LIMIT 1)
      UNION ALL
      SELECT (SELECT priority FROM _jobs WHERE ${isWaiting} AND priority > p.priority ORDER BY priority LIMIT 1)
      FROM p WHERE p.priority IS NOT NULL)
    SELECT ${columns} FROM p CROSS JOIN LATERAL (
      SELECT id FROM _jobs WHERE ${isWaiting} AND priority = p.priority AND ${condition} ORDER BY ${order} LIMIT l.job_limit) w
    LIMIT l.job_limit)`;
};

/**
 * The first pending jobs of each topic that are due, or not due. Of the jobs with a concurrency key, those that are due have a flow
 * key, except for a moment.
 */
const firstWaiting = (comparison: '<=' | '>', columns: string, isOther = ''): string => {
  const isTimed = `run_at ${comparison} statement_timestamp()${isOther}`;
  const others = [
    waitingByPriority(false, columns, isTimed, 'run_at'),
    waitingByPriority(true, columns, `flow_key IS NULL AND ${isTimed}`, 'flow_key, run_at'),
    ...(comparison === '<='
      ? [waitingByPriority(true, columns, `flow_key IS NOT NULL${isOther}`, 'flow_key, run_at')]
      : []),
  ];
  return `
  jsonb_to_recordset($1::jsonb) AS l(topic text, job_limit int) CROSS JOIN LATERAL (
    SELECT * FROM (${others.join(' UNION ALL ')}) u LIMIT l.job_limit) n`;
};

/** Lists pending jobs that are due. */
export const DUE_IDS = `SELECT n.id FROM ${firstWaiting('<=', 'w.id')}`;

/** Lists pending jobs that are not due. */
export const NOT_DUE_IDS = `SELECT n.id FROM ${firstWaiting('>', 'w.id')}`;

const isWrittenBefore = ' AND updated <= $2::timestamptz';

/** The same for jobs that have not changed since $2. */
export const DUE_IDS_AS_OF = `SELECT n.id FROM ${firstWaiting('<=', 'w.id', isWrittenBefore)}`;
export const NOT_DUE_IDS_AS_OF = `SELECT n.id FROM ${firstWaiting('>', 'w.id', isWrittenBefore)}`;

/** Counts pending jobs that are due, in each topic up to its limit. */
export const DUE_UP_TO = `SELECT l.topic, count(*) AS jobs FROM ${firstWaiting('<=', '1')} GROUP BY l.topic`;

/** Counts pending jobs that are not due, in each topic up to its limit. */
export const NOT_DUE_UP_TO = `SELECT l.topic, count(*) AS jobs FROM ${firstWaiting('>', '1')} GROUP BY l.topic`;

/** The newest jobs of a status in each topic, up to its limit. */
export const newestJobs = (status: JobFilterStatus, columns: string, condition = 'true', shares = '$1'): string => `
  jsonb_to_recordset(${shares}::jsonb) AS l(topic text, job_limit int) CROSS JOIN LATERAL (
    SELECT ${columns} FROM _jobs WHERE ${status === 'retrying' ? isRetrying : `${isListed} AND status = '${status}'`} AND topic = l.topic
      AND ${condition}
    ORDER BY id DESC LIMIT l.job_limit) n`;

/** Those that have not changed since `asOf`. */
const newestFailures = (kind: FailureKind, asOf: string): string =>
  newestJobs(kind, 'id, last_error', isUnchangedSince(asOf));

const forFailures = (statement: (kind: FailureKind) => string): Readonly<Record<FailureKind, string>> => ({
  failed: statement('failed'),
  retrying: statement('retrying'),
});

/** Counts jobs with an error, in each topic up to its limit. */
export const FAILED_UP_TO = forFailures(
  (kind) => `
SELECT l.topic, count(*) AS jobs FROM ${newestJobs(kind, 'id')} GROUP BY l.topic`,
);

/** Lists jobs whose error contains the text $2, among the newest of each topic. */
export const FAILED_WITH = forFailures(
  (kind) => `
SELECT n.id FROM ${newestFailures(kind, '$3')} WHERE strpos(lower(n.last_error COLLATE "C"), (SELECT lower($2 COLLATE "C"))) > 0`,
);

/** Lists the jobs of the topics $1 that hold one of the unique keys $2. */
export const HOLDERS_OF = `
SELECT j.id FROM unnest($1::text[]) AS t(topic) CROSS JOIN unnest($2::text[]) AS k(key) CROSS JOIN LATERAL (
  SELECT id FROM _jobs WHERE topic = t.topic AND unique_key = k.key AND ${holdsKey('_jobs')}
  UNION ALL SELECT id FROM _jobs WHERE topic = t.topic AND waiting_key = k.key AND ${holdsWaitingKey('_jobs')}) j`;

/** Letters of ASCII alone in lower case: a quarter of the time of a comparison by language. */
const hasText = (json: string): string => `strpos(lower(${json}::text COLLATE "C"), $3) > 0`;
const hasMember = (json: string): string =>
  `${json} #>> $4::text[] = $5 AND jsonb_typeof(${json} #> $4::text[]) IN ('string', 'number', 'boolean')`;

/** A compressed value may have a hundred times its stored size. The path {} is the whole value, decompressed. */
const sizeOf = (toValue: (json: string) => string): string =>
  `pg_column_size(${toValue('payload')}) + coalesce(pg_column_size(${toValue('metadata')}), 0)`;

/**
 * Finds those of the jobs $1 with one of the unique keys $2, with the text $3 in payload or metadata, or with the value $5 at the path $4
 * of one of these. Also returns how many bytes it has decompressed. OFFSET 0 makes PostgreSQL decompress once to measure.
 */
export const SEARCH_CONTENTS = `
SELECT coalesce(jsonb_agg(jsonb_build_array(id, topic)) FILTER (WHERE is_found), '[]')::text AS found, coalesce(sum(bytes), 0)::float8 AS bytes FROM (
  SELECT id, topic, bytes, unique_key = ANY ($2::text[]) OR bytes <= ${SEARCHED_BYTES_MAX}
    AND (${['payload', 'metadata'].flatMap((json) => [hasText(json), hasMember(json)]).join(' OR ')}) AS is_found
  FROM (
    SELECT id, topic, unique_key, payload, metadata,
      CASE WHEN ${sizeOf((json) => json)} <= ${SEARCHED_BYTES_MAX} THEN ${sizeOf((json) => `${json} #> '{}'`)} END AS bytes
    FROM _jobs WHERE id = ANY ($1::uuid[]) OFFSET 0) j) f`;

/** As much of an error as tells groups apart, and more than is read of it. */
const message = `coalesce(left(last_error, ${READ_MESSAGE_CHARS + 1}), '')`;

/** Lists the ids of jobs by error, among the newest of each topic that have not changed since $2. */
export const FAILED_TEXTS = forFailures(
  (kind) => `
SELECT l.topic, ${message} AS message, string_agg(n.id::text, ' ') AS ids FROM ${newestFailures(kind, '$2')} GROUP BY 1, 2`,
);

/**
 * Lists the newest jobs with the concurrency key $1 in the topics $2 and the statuses $3. Sorted by the key too, or the planner might
 * read all jobs in the order of ids.
 */
const WITH_CONCURRENCY_KEY = `
SELECT id FROM _jobs WHERE concurrency_key = $1 AND ${isInTopics('topic', '$2')} AND ${hasStatus('', '$3')}
  AND ${isUnchangedSince('$5')}
ORDER BY concurrency_key DESC, id DESC LIMIT $4::int`;

/** Lists the newest members of group $1 in the topics $2 and the statuses $3. */
const IN_GROUP = `
SELECT j.id FROM _jobs_links l JOIN _jobs j ON j.id = l.parent_id
WHERE l.child_id = $1::uuid AND l.mode = 'member' AND ${isInTopics('j.topic', '$2')} AND ${hasStatus('j.', '$3')}
  AND ${isUnchangedSince('$5', 'j.')}
ORDER BY l.parent_id DESC LIMIT $4::int`;

/**
 * Lists the newest jobs with all labels of $1, joined by commas, in the topics $2 and the statuses $3. Its plan depends on the values: in the
 * order of ids if the labels are frequent, and by the index of labels if they are not. One plan for both takes ten times as long.
 */
const WITH_LABELS = `
SELECT id FROM _jobs WHERE labels @> string_to_array($1, ',') AND ${isInTopics('topic', '$2')} AND ${hasStatus('', '$3')}
  AND ${isUnchangedSince('$5')}
ORDER BY id DESC LIMIT $4::int`;

/** Finds the newest jobs with a key. */
export const WITH_KEY: Readonly<Record<KeyFilter, string>> = {
  concurrencyKey: WITH_CONCURRENCY_KEY,
  groupId: IN_GROUP,
  label: WITH_LABELS,
};

/**
 * Counts the newest failed jobs ($1) and the newest jobs that wait for a retry ($2) of each topic by message and by time, in slots
 * before now. A job that waits for a retry was written last when its attempt failed. Leaves out jobs without the labels $3, which are joined
 * by commas.
 */
export const ERRORS = `
SELECT topic, message, slot, sum(is_failed) AS failed, count(*) - sum(is_failed) AS retrying, ${ms('min(seen)')} AS first_seen,
  ${ms('max(seen)')} AS last_seen, max(id::text) AS sample_id
FROM (
  SELECT topic, ${message} AS message, id, seen, is_failed, least(greatest(
    floor(extract(epoch FROM statement_timestamp() - seen)::float8 * 1000 / ${ERROR_SLOT_MS}), 0), ${ERROR_SLOTS})::int AS slot
  FROM (
    SELECT l.topic, n.last_error, n.id, n.labels, n.finished AS seen, 1 AS is_failed
    FROM ${newestJobs('failed', 'id, last_error, labels, finished')}
    UNION ALL
    SELECT l.topic, n.last_error, n.id, n.labels, n.updated, 0
    FROM ${newestJobs('retrying', 'id, last_error, labels, updated', 'true', '$2')}) e
  WHERE $3::text IS NULL OR labels @> string_to_array($3, ',')) s
GROUP BY topic, message, slot`;

/** Reads the last errors of jobs. */
export const LAST_ERRORS = `
SELECT id, coalesce(last_error, '') AS message, errors -> -1 ->> 'stack' AS stack FROM _jobs WHERE id = ANY ($1::uuid[])`;
