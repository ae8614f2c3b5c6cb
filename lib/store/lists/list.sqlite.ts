import { READ_MESSAGE_CHARS } from '../../core/error-groups.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import type { KeyFilter } from '../../core/list-filter.js';
import { SEARCHED_BYTES_MAX } from './job-search.js';
import type { FailureKind } from '../reports/report-records.js';
import { ERROR_SLOT_MS, ERROR_SLOTS } from '../reports/report-records.js';
import { byId, holdsKey, holdsWaitingKey, isUnchangedSince, jobColumns, ms, now } from '../jobs/job-row.sqlite.js';

/*
 * Lists of jobs. A statement of better-sqlite3 blocks the event loop, so each reads one range of one index, and the store goes
 * from range to range. PostgreSQL reads all ranges in one statement.
 */

/** Reads whole jobs by id. */
export const FIND_JOBS = `SELECT ${jobColumns} FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** Finds the job of topic ?1 that holds unique key ?2. */
export const FIND_HOLDER = `
SELECT ${jobColumns} FROM _jobs INDEXED BY _jobs_unique_key WHERE topic = ?1 AND unique_key = ?2 AND ${holdsKey('_jobs')}
UNION ALL
SELECT ${jobColumns} FROM _jobs INDEXED BY _jobs_waiting_key WHERE topic = ?1 AND waiting_key = ?2 AND ${holdsWaitingKey('_jobs')}
LIMIT 1`;

/** Reads the status of jobs, and whether they have changed since ?2. */
export const JOB_SUMMARIES = `
SELECT id, topic, status, run_at <= ${now} AS is_due, NOT ${isUnchangedSince('?2')} AS is_newer FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** The condition of the partial index for lists. The planner uses that index only when the statement repeats it. */
export const isListed = `status <> 'processing'`;

/** The condition of the partial index of jobs that wait for a retry, and the table with that index. */
export const isRetrying = `retries > 0 AND status = 'pending'`;
export const retryingJobs = '_jobs INDEXED BY _jobs_retrying';

/** The condition of a filter on a job outside of the ranges. */
const hasStatus = (statuses: string): string => `(_jobs.status IN (SELECT value FROM json_each(${statuses}))
    OR _jobs.status = 'pending' AND _jobs.retries > 0 AND 'retrying' IN (SELECT value FROM json_each(${statuses})))`;

/** NULL selects all topics. */
const isInTopics = (topic: string, topics: string): string =>
  `(${topics} IS NULL OR ${topic} IN (SELECT value FROM json_each(${topics})))`;

/** Failed and cancelled jobs. */
const endedJobs = `_jobs INDEXED BY _jobs_ended WHERE finished IS NOT NULL AND status <> 'completed'`;

const nextTopic = (jobs: string): string => `SELECT topic FROM ${jobs} AND topic > ?1 ORDER BY topic LIMIT 1`;

/** Finds the first topic after ?1, or the first one with jobs that ended or retry. */
export const NEXT_TOPIC = {
  any: nextTopic(`_jobs WHERE ${isListed}`),
  failed: nextTopic(endedJobs),
  retrying: nextTopic(`${retryingJobs} WHERE ${isRetrying}`),
};

/** Lists the topics of processing jobs. */
export const RUNNING_TOPICS = `SELECT DISTINCT topic FROM _jobs WHERE status = 'processing'`;

/** Whether topic ?1 has a failed job. */
export const HAS_FAILED = `SELECT 1 FROM _jobs WHERE ${isListed} AND topic = ?1 AND status = 'failed' LIMIT 1`;

/** Lists up to ?1 jobs of a status that has a partial index, or shares one. */
export const RARE_IDS = {
  failed: `SELECT id FROM ${endedJobs} AND status = 'failed' LIMIT ?1`,
  cancelled: `SELECT id FROM ${endedJobs} AND status = 'cancelled' LIMIT ?1`,
  retrying: `SELECT id FROM ${retryingJobs} WHERE ${isRetrying} LIMIT ?1`,
  processing: `SELECT id FROM _jobs WHERE status = 'processing' LIMIT ?1`,
};

/** Whether there are more than ?1 jobs. */
export const HAS_MORE_THAN = `SELECT 1 FROM _jobs LIMIT 1 OFFSET ?1`;

const inRange = 'id >= ?1 AND id < ?2';

const isDated = (from: string, to: string): string =>
  `(${from} IS NULL OR created >= ${from}) AND (${to} IS NULL OR created < ${to})`;

/** The filter on dates ?6 and ?7, on due or not as ?8 says, and on the last change ?9. It reads rows, not the index only. */
const isSelected = `${isDated('?6', '?7')} AND (?8 IS NULL OR (run_at <= ${now}) = ?8) AND ${isUnchangedSince('?9')}`;

const range = (columns: string, filter: string): string =>
  `SELECT ${columns} FROM _jobs WHERE ${isListed} AND topic = ?3 AND status = ?4 AND ${inRange} AND ${filter}`;

/** Lists ids of topic ?3 and status ?4, newest first: from ?1 to before ?2, up to ?5. */
export const RANGE_IDS = `${range('id', 'true')} ORDER BY id DESC LIMIT ?5`;
export const RANGE_IDS_DATED = `${range('id', isSelected)} ORDER BY id DESC LIMIT ?5`;

/** Counts the same jobs, up to ?5. */
export const RANGE_SIZE = `SELECT count(*) AS jobs FROM (${range('1', 'true')} LIMIT ?5)`;
export const RANGE_SIZE_DATED = `SELECT count(*) AS jobs FROM (${range('1', isSelected)} LIMIT ?5)`;

const retryingRange = (columns: string, filter: string): string =>
  `SELECT ${columns} FROM ${retryingJobs} WHERE ${isRetrying} AND topic = ?3 AND ${inRange} AND ${filter}`;

/** The same for jobs that wait for a retry, without the status ?4. */
export const RETRYING_IDS = `${retryingRange('id', 'true')} ORDER BY id DESC LIMIT ?5`;
export const RETRYING_IDS_DATED = `${retryingRange('id', isSelected)} ORDER BY id DESC LIMIT ?5`;
export const RETRYING_SIZE = `SELECT count(*) AS jobs FROM (${retryingRange('1', 'true')} LIMIT ?5)`;
export const RETRYING_SIZE_DATED = `SELECT count(*) AS jobs FROM (${retryingRange('1', isSelected)} LIMIT ?5)`;

/** Failed and cancelled jobs before the moment ?1 and the id ?2, from the moment ?3 on. */
const endedBefore = `(finished, id) < (?1, ?2) AND finished >= ?3`;
const endedRange = (columns: string, filter: string): string => `
SELECT ${columns} FROM ${endedJobs} AND topic = ?4 AND status = ?5 AND ${endedBefore} AND ${filter}`;
const isEndedSelected = `${isDated('?7', '?8')} AND ${isUnchangedSince('?9')}`;

/** Lists those of topic ?4 and status ?5, the last one that ended first, up to ?6. */
export const ENDED_IDS = `${endedRange('id, finished', 'true')} ORDER BY finished DESC, id DESC LIMIT ?6`;
export const ENDED_IDS_DATED = `${endedRange('id, finished', isEndedSelected)} ORDER BY finished DESC, id DESC LIMIT ?6`;

/** Counts the same jobs, up to ?6. */
export const ENDED_SIZE = `SELECT count(*) AS jobs FROM (${endedRange('1', 'true')} LIMIT ?6)`;
export const ENDED_SIZE_DATED = `SELECT count(*) AS jobs FROM (${endedRange('1', isEndedSelected)} LIMIT ?6)`;

/** Filters the ids in ?4 by the topics in ?5, the statuses in ?6, the end, the dates of creation ?7 and ?8, and the last change ?9. */
export const SINGLE_ENDED_IDS = `
SELECT id, finished FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?4)) AND ${isInTopics('topic', '?5')}
  AND ${hasStatus('?6')} AND ${endedBefore} AND ${isEndedSelected}`;

/** Lists processing jobs of the topics in ?3. There are few: + keeps the planner from the range of ids, the whole table. */
export const RUNNING_IDS = `
SELECT id FROM _jobs WHERE status = 'processing' AND topic IN (SELECT value FROM json_each(?3))
  AND +id >= ?1 AND +id < ?2 AND ${isDated('?4', '?5')} AND ${isUnchangedSince('?6')}`;

/** Filters the ids in ?3 by the topics in ?4, the statuses in ?5, the dates ?6 and ?7, due or not as ?8 says, and the last change ?9. */
export const SINGLE_IDS = `
SELECT id FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?3)) AND ${isInTopics('topic', '?4')}
  AND ${hasStatus('?5')} AND ${inRange} AND ${isSelected}`;

/** The whole table: ?3, ?4 the dates, ?5 the last change, ?6 the statuses or NULL, ?7 due or not. */
const all = (columns: string): string => `
SELECT ${columns} FROM _jobs WHERE ${inRange} AND ${isDated('?3', '?4')} AND ${isUnchangedSince('?5')}
  AND (?6 IS NULL OR ${hasStatus('?6')}) AND (?7 IS NULL OR (run_at <= ${now}) = ?7)`;

/** Lists its ids, newest first. */
export const ALL_IDS = `${all('id')} ORDER BY id DESC LIMIT ?8 OFFSET ?9`;

/** Counts its jobs, up to ?8. */
export const COUNT_ALL = `SELECT count(*) AS total FROM (${all('1')} LIMIT ?8)`;

/** Selects pending jobs of topic ?1 by priority. It skips from priority to priority. */
const waitingByPriority = (isKeyed: boolean, columns: string, condition: string): string => {
  // Without the hint, statistics of a small table make SQLite read another index of keyed jobs.
  const jobs = `_jobs INDEXED BY ${isKeyed ? '_jobs_keyed' : '_jobs_pending'}`;
  const isWaiting = `_jobs.status = 'pending' AND _jobs.concurrency_key IS ${isKeyed ? 'NOT NULL' : 'NULL'} AND _jobs.topic = ?1`;
  return `
SELECT * FROM (
  WITH RECURSIVE p(priority) AS (
    SELECT (SELECT priority FROM ${jobs} WHERE ${isWaiting} ORDER BY priority LIMIT 1)
    UNION ALL
    SELECT (SELECT priority FROM ${jobs} WHERE ${isWaiting} AND priority > p.priority ORDER BY priority LIMIT 1)
    FROM p WHERE p.priority IS NOT NULL)
  SELECT ${columns} FROM p CROSS JOIN ${jobs} WHERE ${isWaiting} AND _jobs.priority = p.priority AND ${condition} LIMIT ?2)`;
};

/**
 * Selects up to ?2 pending jobs of topic ?1 that are due, or not due. Of the jobs with a concurrency key, those that are due have a
 * flow key, except for a moment.
 */
const waiting = (comparison: '<=' | '>', columns: string, isOther = ''): string => {
  const isTimed = `run_at ${comparison} ${now}${isOther}`;
  const parts = [
    waitingByPriority(false, columns, isTimed),
    waitingByPriority(true, columns, `flow_key IS NULL AND ${isTimed}`),
    ...(comparison === '<=' ? [waitingByPriority(true, columns, `flow_key IS NOT NULL${isOther}`)] : []),
  ];
  return `SELECT * FROM (${parts.join(' UNION ALL ')}) LIMIT ?2`;
};

/** Finds pending jobs that are due, and those that are not. */
export const DUE_IDS = waiting('<=', 'id');
export const NOT_DUE_IDS = waiting('>', 'id');

/** Finds those of them that have not changed since ?3. */
export const DUE_IDS_AS_OF = waiting('<=', 'id', ' AND updated <= ?3');
export const NOT_DUE_IDS_AS_OF = waiting('>', 'id', ' AND updated <= ?3');

/** Counts the same jobs. */
export const DUE_UP_TO = `SELECT ?1 AS topic, count(*) AS jobs FROM (${waiting('<=', '1')})`;
export const NOT_DUE_UP_TO = `SELECT ?1 AS topic, count(*) AS jobs FROM (${waiting('>', '1')})`;

/** The newest jobs of topic ?1 that failed, or that wait for a retry. */
const newest = (kind: FailureKind, columns: string, condition = 'true', limit = '?2'): string => {
  const jobs =
    kind === 'failed' ? `_jobs WHERE ${isListed} AND status = 'failed'` : `${retryingJobs} WHERE ${isRetrying}`;
  return `(SELECT ${columns} FROM ${jobs} AND topic = ?1 AND ${condition} ORDER BY id DESC LIMIT ${limit})`;
};

const forFailures = (statement: (kind: FailureKind) => string): Readonly<Record<FailureKind, string>> => ({
  failed: statement('failed'),
  retrying: statement('retrying'),
});

/** Counts jobs of a topic with an error, up to ?2. */
export const FAILED_UP_TO = forFailures((kind) => `SELECT ?1 AS topic, count(*) AS jobs FROM ${newest(kind, '1')}`);

/** Finds jobs whose error contains ?3. They have not changed since ?4. */
export const FAILED_WITH = forFailures(
  (kind) => `
SELECT id FROM ${newest(kind, 'id, last_error', isUnchangedSince('?4'))} WHERE instr(lower(last_error), lower(?3)) > 0`,
);

/** Finds the jobs of the topics ?1 that hold one of the unique keys ?2. */
export const HOLDERS_OF = ['unique', 'waiting']
  .map(
    (kind) => `
SELECT j.id FROM json_each(?1) AS t CROSS JOIN json_each(?2) AS k CROSS JOIN _jobs AS j INDEXED BY _jobs_${kind}_key
WHERE j.topic = t.value AND j.${kind}_key = k.value AND ${kind === 'unique' ? holdsKey('j') : holdsWaitingKey('j')}`,
  )
  .join(' UNION ALL ');

const hasText = (json: string): string => `instr(lower(${json}), ?3) > 0`;
/** -> returns numbers as they are written, and ->> returns text without quotes. */
const hasMember = (json: string): string => `CASE WHEN json_type(${json}, ?4) = 'text' THEN ${json} ->> ?4
  WHEN json_type(${json}, ?4) IN ('integer', 'real', 'true', 'false') THEN ${json} -> ?4 END = ?5`;

/**
 * Finds those of the jobs ?1 with one of the unique keys ?2, with the text ?3 in payload or metadata, or with the value ?5 at the path ?4
 * of one of these. Also returns how many bytes it has read: SQLite passes over a large payload to read the columns behind it.
 */
export const SEARCH_CONTENTS = `
SELECT json_group_array(json_array(id, topic)) FILTER (WHERE is_found) AS found, coalesce(sum(bytes), 0) AS bytes FROM (
  SELECT id, topic, bytes, unique_key IN (SELECT value FROM json_each(?2)) OR bytes <= ${SEARCHED_BYTES_MAX}
    AND (${['payload', 'metadata'].flatMap((json) => [hasText(json), hasMember(json)]).join(' OR ')}) AS is_found
  FROM (
    SELECT id, topic, unique_key, payload, metadata, octet_length(payload) + coalesce(octet_length(metadata), 0) AS bytes
    FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))))`;

/** As much of an error as tells groups apart, and more than is read of it. */
const message = `coalesce(substr(last_error, 1, ${READ_MESSAGE_CHARS + 1}), '')`;

/** Lists the ids of jobs by error. They have not changed since ?3. */
export const FAILED_TEXTS = forFailures(
  (kind) => `
SELECT ?1 AS topic, ${message} AS message, group_concat(id, ' ') AS ids
FROM ${newest(kind, 'id, last_error', isUnchangedSince('?3'))} GROUP BY 2`,
);

/** Finds the ?4 newest jobs with the concurrency key ?1 in the topics ?2 and the statuses ?3. */
const WITH_CONCURRENCY_KEY = `
SELECT id FROM _jobs INDEXED BY _jobs_concurrency_key
WHERE concurrency_key = ?1 AND ${isInTopics('topic', '?2')} AND ${hasStatus('?3')}
  AND ${isUnchangedSince('?5')}
ORDER BY id DESC LIMIT ?4`;

/** Finds the ?4 newest members of group ?1 in the topics ?2 and the statuses ?3. */
const IN_GROUP = `
SELECT _jobs.id FROM _jobs_links AS l CROSS JOIN _jobs ${byId} ON _jobs.id = l.parent_id
WHERE l.child_id = ?1 AND l.mode = 'member'
  AND ${isInTopics('_jobs.topic', '?2')} AND ${hasStatus('?3')}
  AND ${isUnchangedSince('?5', '_jobs.')}
ORDER BY l.parent_id DESC LIMIT ?4`;

/** The given labels, which are joined by commas. */
const eachLabel = (labels: string): string => `json_each('["' || replace(${labels}, ',', '","') || '"]') AS w`;

const hasLabels = (
  id: string,
  labels: string,
): string => `NOT EXISTS (SELECT 1 FROM ${eachLabel(labels)} WHERE NOT EXISTS (
    SELECT 1 FROM _jobs_labels AS o WHERE o.label = w.value AND o.job_id = ${id}))`;

/**
 * Finds the ?4 newest jobs with all labels of ?1 in the topics ?2 and the statuses ?3: among those with the rarest of the labels. Labels of
 * more than 10,000 jobs count as equally frequent. Reads no jobs where all topics and statuses count: rows that are far apart take most of
 * the time.
 */
const WITH_LABELS = `
SELECT l.job_id AS id FROM _jobs_labels AS l
WHERE l.label = (
    SELECT w.value FROM ${eachLabel('?1')}
    ORDER BY (SELECT count(*) FROM (SELECT 1 FROM _jobs_labels AS c WHERE c.label = w.value LIMIT 10001)), w.value LIMIT 1)
  AND (instr(?1, ',') = 0 OR ${hasLabels('l.job_id', '?1')})
  AND (?2 IS NULL AND ?3 = '${JSON.stringify(JOB_STATUSES)}' AND ?5 IS NULL OR EXISTS (
    SELECT 1 FROM _jobs ${byId} WHERE id = l.job_id AND ${isInTopics('topic', '?2')} AND ${hasStatus('?3')} AND ${isUnchangedSince('?5')}))
ORDER BY l.job_id DESC LIMIT ?4`;

/** Finds the newest jobs with a key. */
export const WITH_KEY: Readonly<Record<KeyFilter, string>> = {
  concurrencyKey: WITH_CONCURRENCY_KEY,
  groupId: IN_GROUP,
  label: WITH_LABELS,
};

/**
 * Counts jobs by error message and by time, in slots before now: the ?2 newest failed jobs of topic ?1, and the ?3 newest that wait for
 * a retry. These were written last when their attempt failed. Leaves out jobs without the labels ?4, which are joined by commas.
 */
export const ERRORS = `
SELECT ?1 AS topic, message, slot, sum(is_failed) AS failed, count(*) - sum(is_failed) AS retrying, min(seen) AS first_seen,
  max(seen) AS last_seen, max(id) AS sample_id
FROM (
  SELECT message, id, is_failed, seen, min(max((now - seen) / ${ERROR_SLOT_MS}, 0), ${ERROR_SLOTS}) AS slot
  FROM (SELECT ${ms(now)} AS now) CROSS JOIN (
    SELECT ${message} AS message, id, ${ms('finished')} AS seen, 1 AS is_failed FROM ${newest('failed', 'id, last_error, finished')}
    UNION ALL
    SELECT ${message}, id, ${ms('updated')}, 0 FROM ${newest('retrying', 'id, last_error, updated', 'true', '?3')}) AS e
  WHERE ?4 IS NULL OR ${hasLabels('e.id', '?4')})
GROUP BY message, slot`;

/** Reads the last errors of jobs. */
export const LAST_ERRORS = `
SELECT id, coalesce(last_error, '') AS message, errors ->> '$[#-1].stack' AS stack
FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;
