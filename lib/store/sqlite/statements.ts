import { IDEMPOTENCY_MS } from '../job-store.js';
import { USUAL_CLAIM } from '../row-mapper.js';

/*
 * Statements about jobs and their tables, but how attempts end (settle-statements.ts) and reports (report-statements.ts). Sets travel as one JSON array in ?1. Times are text of one fixed width, so that
 * text order is time order; 'now' stands still within one statement.
 */

const form = `'%Y-%m-%d %H:%M:%f'`;

export const now = `strftime(${form}, 'now')`;

/** `sql` milliseconds from now; negative ones lie in the past. */
export const fromNow = (sql: string): string => `strftime(${form}, 'now', printf('%+.3f seconds', (${sql}) / 1000.0))`;

/** A time as milliseconds since 1970. */
export const ms = (column: string): string => `CAST(round(unixepoch(${column}, 'subsec') * 1000) AS INTEGER)`;

const iso = (column: string): string => `replace(${column}, ' ', 'T') || 'Z'`;

/**
 * For the table in statements about jobs by their id. After an ANALYZE of a small table SQLite would read all of it for each
 * such statement, however large it has become since: 60 ms instead of 5 for a thousand of 200,000 rows.
 */
export const byId = 'INDEXED BY sqlite_autoindex__jobs_1';

const jobColumns = `id, topic, payload, status, ${ms('run_at')} AS run_at, ${ms('locked_until')} AS locked_until,
  locked_by, attempt, retries, max_retries, priority, timeout_ms, last_error, errors, result, progress, unique_key,
  metadata, cancel_requested, ${ms('started')} AS started, ${ms('finished')} AS finished, ${ms('created')} AS created,
  ${ms('updated')} AS updated`;

/** Idempotency keys of older jobs are not known any more. */
const keptSince = fromNow(`-${IDEMPOTENCY_MS}`);

/** Appends a failure to the last 19 of row `j`: the arguments are SQL for the new entry's message and stack. */
export const errorsWith = (message: string, stack: string): string => `json_insert(
  CASE WHEN json_array_length(coalesce(j.errors, '[]')) >= 20 THEN json_remove(j.errors, '$[0]') ELSE coalesce(j.errors, '[]') END,
  '$[#]', json_object('attempt', j.attempt, 'started', ${iso('j.started')}, 'finished', ${iso(now)},
    'message', ${message}, 'stack', ${stack}, 'worker', j.locked_by))`;

/** A write takes the lock at once: a read that turns into a write would fail instead of waiting. */
export const BEGIN = 'BEGIN IMMEDIATE';
export const COMMIT = 'COMMIT';
export const ROLLBACK = 'ROLLBACK';

/** What an application's `prepareDatabase` may have set otherwise: no wait blocks the tick, no lock outlives a statement. */
export const CONNECTION_PRAGMAS = ['PRAGMA busy_timeout = 0', 'PRAGMA locking_mode = NORMAL'] as const;

/** Readers and the one writer do not block each other. The mode stays with the file. */
export const WRITE_AHEAD_LOG = 'PRAGMA journal_mode = WAL';

/** Whether a commit waits for the disk. */
export const SYNCHRONOUS = { full: 'PRAGMA synchronous = FULL', normal: 'PRAGMA synchronous = NORMAL' } as const;

/** Which migrations have run, in the table TypeORM would make. */
export const CREATE_MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _jobs_migrations (
  id integer PRIMARY KEY AUTOINCREMENT NOT NULL, timestamp bigint NOT NULL, name varchar NOT NULL)`;
export const LIST_MIGRATIONS = 'SELECT name FROM _jobs_migrations';

/** Those of the queue's tables that are there. */
export const LIST_TABLES = `
SELECT name FROM sqlite_master
WHERE type = 'table' AND name IN ('_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_paused', '_jobs_migrations')`;

/** Once: on a driver that makes the tables step by step two processes may be at it. */
export const RECORD_MIGRATION = `
INSERT INTO _jobs_migrations (timestamp, name)
SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM _jobs_migrations WHERE name = ?2)`;

/** Fails unless every column that this version needs is there, and the table of paused topics. */
export const CHECK_TABLE = `
SELECT ${jobColumns}, backoff, idempotency_key, body_hash, (SELECT max(since) FROM _jobs_paused) FROM _jobs ${byId}
WHERE id = '' LIMIT 0`;

/**
 * Inserts jobs. A job that is there already, from a first try whose answer was lost, and one whose unique key is taken,
 * are left out; the answer has the others. WHERE true keeps the parser from reading ON as part of a join.
 */
export const INSERT_JOBS = `
INSERT INTO _jobs (id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, unique_key, metadata,
  idempotency_key, body_hash)
SELECT value ->> 'id', value ->> 'topic', value -> 'payload',
  coalesce(value ->> 'run_at', ${fromNow(`value ->> 'delay_ms'`)}), value ->> 'max_retries', value ->> 'priority',
  value ->> 'timeout_ms', nullif(value -> 'backoff', 'null'), value ->> 'unique_key', nullif(value -> 'metadata', 'null'),
  value ->> 'idempotency_key', value ->> 'body_hash'
FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING RETURNING id, id AS asked_id, ${ms('run_at')} AS run_at, ${ms('created')} AS created, false AS deduplicated`;

/** Frees idempotency keys whose job is older than such keys are kept. */
export const RELEASE_KEYS = `
UPDATE _jobs SET idempotency_key = NULL, body_hash = NULL
WHERE idempotency_key IN (SELECT value FROM json_each(?1)) AND created <= ${keptSince}`;

/** Who holds a key: the job itself when it is there already, that of a first request, or an unfinished one. */
export const FIND_HOLDER = `
SELECT id, ?1 AS asked_id, ${ms('run_at')} AS run_at, ${ms('created')} AS created,
  id <> ?1 AND (?4 IS NULL OR idempotency_key IS NOT ?4) AS deduplicated, iif(id <> ?1 AND idempotency_key = ?4, body_hash, NULL) AS replay_of
FROM _jobs
WHERE id = ?1 OR idempotency_key = ?4 OR (topic = ?2 AND unique_key = ?3 AND status IN ('pending', 'processing'))
ORDER BY id <> ?1, idempotency_key IS NOT ?4 LIMIT 1`;

/** Whole jobs by id. */
export const FIND_JOBS = `SELECT ${jobColumns} FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1))`;

/** Topics in the JSON array ?1 are paused from now on; those that are already keep their time. */
export const PAUSE = 'INSERT OR IGNORE INTO _jobs_paused (topic) SELECT value FROM json_each(?1)';
export const RESUME = 'DELETE FROM _jobs_paused WHERE topic IN (SELECT value FROM json_each(?1))';
export const PAUSED_TOPICS = `SELECT topic, ${ms('since')} AS since FROM _jobs_paused ORDER BY topic`;

/** Whether no job of a topic is to be claimed. */
const isPaused = (topic: string): string => `EXISTS (SELECT 1 FROM _jobs_paused AS p WHERE p.topic = ${topic})`;

/**
 * Which lanes have a due job, by their place in the list: asked before the write lock is taken for them. Those of paused topics
 * have none.
 */
export const DUE_LANES = `
SELECT lane.key AS place FROM json_each(?1) AS lane WHERE NOT ${isPaused(`lane.value ->> 'topic'`)} AND EXISTS (
  SELECT 1 FROM _jobs WHERE status = 'pending' AND topic = lane.value ->> 'topic'
    AND priority = lane.value ->> 'priority' AND run_at >= lane.value ->> 'from' AND run_at <= ${now})`;

/** Whether a job has nothing but what most jobs have at their first attempt, and what it has. */
const isUsual = `${Object.entries(USUAL_CLAIM)
  .map(([column, value]) => `${column} = ${value}`)
  .join(' AND ')} AND coalesce(timeout_ms, backoff, metadata) IS NULL`;
const unusual = `json_object('timeout_ms', timeout_ms, 'backoff', CAST(backoff AS text), 'metadata', CAST(metadata AS text), ${Object.keys(
  USUAL_CLAIM,
)
  .map((column) => `'${column}', ${column}`)
  .join(', ')})`;

/**
 * pending → processing, lane by lane until ?2 jobs are found, but nothing of a topic that was paused since somebody looked.
 * A join cannot have a limit for each lane, an array made by a subquery can: ?3 is the highest of them. What is usual is
 * answered as NULL, since each value of each row costs a twentieth of a microsecond, and all else in one column.
 */
export const CLAIM = `
UPDATE _jobs ${byId} SET status = 'processing', attempt = attempt + 1, locked_by = ?4, locked_until = ${fromNow('?5')},
  started = ${now}, updated = ${now}
WHERE id IN (
  SELECT due.value FROM json_each(?1) AS lane CROSS JOIN json_each(iif(${isPaused(`lane.value ->> 'topic'`)}, '[]', (
    SELECT json_group_array(id) FROM (
      SELECT id FROM _jobs WHERE status = 'pending' AND topic = lane.value ->> 'topic'
        AND priority = lane.value ->> 'priority' AND run_at >= lane.value ->> 'from' AND run_at <= ${now}
      ORDER BY run_at LIMIT ?3)))) AS due
  WHERE due.key < lane.value ->> 'limit' LIMIT ?2)
RETURNING id, topic, payload, ${ms('run_at')} AS run_at, iif(created = run_at, NULL, ${ms('created')}) AS created,
  ${ms(now)} AS at, iif(${isUsual}, NULL, ${unusual}) AS unusual`;

/** The first waiting priority of a topic between two bounds, which are SQL. */
const nextPriority = (topic: string, after: string, before: string): string => `(
    SELECT min(priority) FROM _jobs
    WHERE status = 'pending' AND topic = ${topic} AND priority > ${after} AND priority < ${before})`;

/** The last row of a look. What has changed is gone from SQLite's indexes at once: the cost of a look does not grow. */
const look = `${ms(now)} AS at, 0 AS took_ms`;

/**
 * The first waiting job, due or not, of each priority in each gap, and of each lane of ?2 from its lower bound on. It looks from one priority to the next, so that the
 * cost is that of the lanes, however many jobs wait in them.
 */
export const SURVEY = `
WITH RECURSIVE lane (topic, priority, before) AS (
  SELECT value ->> 'topic', ${nextPriority(`value ->> 'topic'`, `value ->> 'after'`, `value ->> 'before'`)},
    value ->> 'before' FROM json_each(?1)
  UNION ALL
  SELECT topic, ${nextPriority('lane.topic', 'lane.priority', 'lane.before')}, before FROM lane
  WHERE priority IS NOT NULL)
SELECT lane.topic, lane.priority, ${ms(`(
  SELECT min(run_at) FROM _jobs AS j
  WHERE j.status = 'pending' AND j.topic = lane.topic AND j.priority = lane.priority)`)} - ${ms(now)} AS due_in_ms,
  ${isPaused('lane.topic')} AS is_paused, NULL AS at, NULL AS took_ms
FROM lane WHERE lane.priority IS NOT NULL
UNION ALL
SELECT topic, priority, ${ms('first')} - ${ms(now)}, ${isPaused('lane.topic')}, NULL, NULL FROM (
  SELECT value ->> 'topic' AS topic, value ->> 'priority' AS priority, (
    SELECT min(run_at) FROM _jobs AS j
    WHERE j.status = 'pending' AND j.topic = value ->> 'topic' AND j.priority = value ->> 'priority'
      AND j.run_at >= value ->> 'from') AS first
  FROM json_each(?2)) AS lane WHERE first IS NOT NULL
UNION ALL
SELECT NULL, NULL, NULL, NULL, ${look}`;

/** What a worker claimed, as pairs of id and attempt. */
export const tokens = `(SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt FROM json_each(?1))`;

/** Jobs that a worker still owns. */
const ownedTokens = `(id, attempt) IN ${tokens} AND +status = 'processing'`;

/** The guard of a worker's write; + keeps the planner from the index of processing rows, which an update would move. */
export const owned = `j.id = o.id AND j.attempt = o.attempt AND +j.status = 'processing'`;

/** processing → processing. */
export const RENEW = `
UPDATE _jobs ${byId} SET locked_until = ${fromNow('?2')} WHERE ${ownedTokens}
RETURNING id, attempt, cancel_requested`;

/** Claimed jobs that somebody asked to cancel. */
export const CANCEL_REQUESTS = `
SELECT id, attempt FROM _jobs ${byId} WHERE ${ownedTokens} AND cancel_requested`;

/** Keeps progress values, fenced; answers the rows it reached. */
export const RECORD_PROGRESS = `
WITH o AS MATERIALIZED (
  SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, nullif(value -> 'progress', 'null') AS progress
  FROM json_each(?1))
UPDATE _jobs AS j SET progress = o.progress, updated = ${now} FROM o WHERE ${owned} RETURNING id, attempt`;

const leaseLost = `'lease of attempt ' || j.attempt || ' lost: worker ' || coalesce(j.locked_by, '?') || ' stopped renewing it'`;

const expiredFrom = (from: string): string =>
  `_jobs WHERE status = 'processing' AND locked_until >= ${from} AND locked_until < ${now}`;

/** Whether any lease has expired: asked before the write lock is taken. */
export const LOOK_FOR_EXPIRED = `SELECT EXISTS (SELECT 1 FROM ${expiredFrom('?1')}) AS is_any_expired, ${look}`;

/** processing with an expired lease → pending, failed or cancelled; none of those that ended before ?2. */
export const RESCUE = `
UPDATE _jobs AS j ${byId} SET
  status = CASE WHEN cancel_requested THEN 'cancelled' WHEN retries >= max_retries THEN 'failed' ELSE 'pending' END,
  retries = retries + (NOT cancel_requested AND retries < max_retries),
  run_at = CASE WHEN cancel_requested OR retries >= max_retries THEN run_at ELSE ${now} END,
  last_error = ${leaseLost}, errors = ${errorsWith(leaseLost, 'NULL')}, locked_until = NULL, locked_by = NULL,
  finished = CASE WHEN cancel_requested OR retries >= max_retries THEN ${now} END, updated = ${now}
WHERE id IN (
  SELECT id FROM ${expiredFrom('?2')} ORDER BY locked_until LIMIT ?1)
RETURNING id, topic, attempt, status, retries, last_error AS message`;

const page = `(SELECT id, status, finished, created, idempotency_key FROM _jobs ${byId} WHERE id > ?1 ORDER BY id LIMIT ?2)`;

/** The jobs of that page that are over their age, but those of ?4. ?3 is a JSON array of status and age. */
const aged = `
  SELECT p.id FROM ${page} AS p JOIN json_each(?3) AS a ON a.value ->> 'status' = p.status
  WHERE p.finished <= ${fromNow(`-(a.value ->> 'age_ms')`)}
    AND (p.idempotency_key IS NULL OR p.created <= ${keptSince}) AND p.id NOT IN (SELECT value FROM json_each(?4))`;

/**
 * Where a page of the table ends, whether any of it is to be deleted, and whether to go on after it, which is as long as any
 * row of it is old: ids are made by clocks of applications, of which one may be late. ?5 is the youngest age in milliseconds.
 */
export const PRUNE_PAGE = `
SELECT max(id) AS last, count(*) = ?2 AND min(created) <= ${fromNow('-?5')} AS has_more, EXISTS (${aged}) AS is_any_aged
FROM ${page}`;

export const PRUNE = `DELETE FROM _jobs ${byId} WHERE id IN (${aged}) RETURNING id`;

/** A verb by request: each statement takes the ids as ?1. */
export interface MoveStatements {
  /** Answers the whole job. */
  readonly one: string;
  /** Answers what there is to say of each of many. */
  readonly several: string;
  /** How jobs stand that did not move. */
  readonly unmoved: string;
}

const asked = '(SELECT value FROM json_each(?1))';
const briefly = 'id, status, topic, attempt';

const requeue = (answer: string): string => `
UPDATE _jobs ${byId} SET status = 'pending', retries = 0, cancel_requested = 0, finished = NULL, result = NULL, progress = NULL,
  payload = coalesce(?2, payload), run_at = coalesce(?3, ${now}), max_retries = coalesce(?4, max_retries), updated = ${now}
WHERE id IN (
  SELECT id FROM (
    SELECT j.id, row_number() OVER (
      PARTITION BY j.topic, j.unique_key, iif(j.unique_key IS NULL, j.id, NULL) ORDER BY asked.key) AS place
    FROM json_each(?1) AS asked CROSS JOIN _jobs AS j ${byId} ON j.id = asked.value
    WHERE j.status IN ('failed', 'cancelled') AND NOT EXISTS (
      SELECT 1 FROM _jobs AS k
      WHERE k.topic = j.topic AND k.unique_key = j.unique_key AND k.status IN ('pending', 'processing')))
  WHERE place = 1)
RETURNING ${answer}`;

/** failed, cancelled → pending, when the key is free; of those that share one, the first in the list. */
export const REQUEUE: MoveStatements = {
  one: requeue(jobColumns),
  several: requeue(briefly),
  unmoved: `
SELECT j.id, j.status, j.topic, j.attempt, (
  SELECT k.id FROM _jobs AS k WHERE k.topic = j.topic AND k.unique_key = j.unique_key AND j.status IN ('failed', 'cancelled')
    AND k.status IN ('pending', 'processing')) AS holder_id
FROM _jobs AS j ${byId} WHERE j.id IN ${asked}`,
};

const unmoved = `SELECT ${briefly} FROM _jobs ${byId} WHERE id IN ${asked}`;

const promote = (answer: string): string => `
UPDATE _jobs ${byId} SET run_at = min(run_at, ${now}), updated = ${now} WHERE id IN ${asked} AND status = 'pending'
RETURNING ${answer}`;

/** pending → pending, due now; a job that is due keeps its place. */
export const PROMOTE: MoveStatements = { one: promote(jobColumns), several: promote(briefly), unmoved };

const cancel = (answer: string): string => `
UPDATE _jobs ${byId} SET status = iif(status = 'pending', 'cancelled', status), finished = iif(status = 'pending', ${now}, NULL),
  cancel_requested = 1, updated = ${now}
WHERE id IN ${asked} AND status IN ('pending', 'processing') RETURNING ${answer}`;

/** pending → cancelled; processing is marked. */
export const CANCEL: MoveStatements = { one: cancel(jobColumns), several: cancel(briefly), unmoved };

const remove = `DELETE FROM _jobs ${byId} WHERE id IN ${asked} AND status <> 'processing' RETURNING ${briefly}`;

/** any but processing → gone. */
export const DELETE: MoveStatements = { one: remove, several: remove, unmoved };

/** Of the connection that is asked. */
export const LOCKING_MODE = 'PRAGMA locking_mode';

/** Changes exactly when another connection has committed; costs about a microsecond. */
export const DATA_VERSION = 'PRAGMA data_version';
