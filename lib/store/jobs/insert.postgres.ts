import { holdsKey, holdsWaitingKey, matchesId, isKeyKept, ms } from './job-row.postgres.js';
import { JOBS_CHANNEL } from '../postgres/session.postgres.js';

/** The time at which a job without `runAt` is due; `delayMs` is SQL. */
const fromNow = (delayMs: string): string => `statement_timestamp() + make_interval(secs => ${delayMs} / 1000.0)`;

/** For `created` and `updated`. A default of the column would not read the time that tests move. */
const bothNow = 'statement_timestamp(), statement_timestamp()';

/** Sends the notification $2 with the commit, unless $2 is NULL. */
const notify = `CASE WHEN $2::text IS NOT NULL THEN pg_notify('${JOBS_CHANNEL}', $2) END`;

/* Plain jobs, which have no key of any kind and no expiry. */

const plainColumns =
  'id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, metadata, created, updated';
const plainRunAt = `coalesce($5::timestamptz, ${fromNow('$6::float8')})`;

/** Fails with a division by zero when a trigger left a row out, so that nothing is stored. */
const isWhole = '1 / (CASE WHEN count(*) = cardinality($1::uuid[]) THEN 1 ELSE 0 END) AS whole';

/**
 * Inserts plain jobs, all or none, from arrays. Fails when a job exists already; `INSERT_JOBS` sorts that out. Without the check for
 * conflicts and without JSON it takes two thirds of the time of `INSERT_JOBS`.
 */
export const INSERT_PLAIN_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT id, topic, payload, coalesce(run_at, ${fromNow('delay_ms')}), max_retries, priority, timeout_ms, backoff, metadata,
    ${bothNow}
  FROM ROWS FROM (unnest($1::uuid[]), unnest($3::text[]), jsonb_array_elements($4::jsonb), unnest($5::timestamptz[]),
      unnest($6::float8[]), unnest($7::int[]), unnest($8::int[]), unnest($9::bigint[]), unnest($10::jsonb[]),
      unnest($11::jsonb[]))
    AS n(id, topic, payload, run_at, delay_ms, max_retries, priority, timeout_ms, backoff, metadata)
  RETURNING 1)
SELECT ${ms('statement_timestamp()')} AS created, count(*), ${notify} AS notified, ${isWhole} FROM stored`;

/**
 * The same for jobs that differ in ids and payloads only, in nine tenths of the time: $1 and $4 are arrays, the other parameters
 * those of `INSERT_PLAIN_JOB`.
 */
export const INSERT_ALIKE_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT id, $3::text, payload, ${plainRunAt}, $7::int, $8::int, $9::bigint, $10::jsonb, $11::jsonb, ${bothNow}
  FROM ROWS FROM (unnest($1::uuid[]), jsonb_array_elements($4::jsonb)) AS n(id, payload)
  RETURNING 1)
SELECT ${ms('statement_timestamp()')} AS created, count(*), ${notify} AS notified, ${isWhole} FROM stored`;

/** The same for one job, in seven tenths of the time: most requests store one. */
export const INSERT_PLAIN_JOB = `
INSERT INTO _jobs (${plainColumns})
VALUES ($1::uuid, $3::text, $4::jsonb, ${plainRunAt}, $7::int, $8::int, $9::bigint, $10::jsonb, $11::jsonb, ${bothNow})
RETURNING ${ms('statement_timestamp()')} AS created, 1 AS count, ${notify} AS notified`;

/* Any jobs, as JSON. */

/** @param parameter the JSON array of jobs. @param more further columns. */
export const insertInput = (
  parameter: string,
  more = '',
): string => `jsonb_to_recordset(${parameter}::jsonb) AS n(ord int, id uuid, topic text, payload jsonb, run_at timestamptz,
  delay_ms float8, max_retries int, priority int, timeout_ms bigint, backoff jsonb, unique_key text, metadata jsonb,
  idempotency_key text, body_hash text, concurrency_key text, waiting_key text, unique_for_ms float8,
  debounce_max_ms float8, watched smallint, expires_at timestamptz, expires_in_ms float8${more})`;

export const insertColumns = `id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, unique_key, metadata,
  idempotency_key, body_hash, concurrency_key, created, updated, flow_key, waiting_key, unique_until, watched, expires_at,
  debounce_until`;

/**
 * `jsonb_to_recordset` converts a JSON null to an SQL NULL, in jsonb columns too. A job with a concurrency key has a flow key from the
 * moment at which it is due.
 */
export const insertValues = `id, topic, coalesce(payload, 'null'),
  coalesce(run_at, ${fromNow('delay_ms')}),
  max_retries, priority, timeout_ms, backoff, unique_key, metadata, idempotency_key, body_hash, concurrency_key, ${bothNow},
  CASE WHEN coalesce(run_at, ${fromNow('delay_ms')}) <= statement_timestamp() THEN concurrency_key END,
  waiting_key, ${fromNow('unique_for_ms')}, watched, coalesce(expires_at, ${fromNow('expires_in_ms')}),
  ${fromNow('debounce_max_ms')}`;

/**
 * Inserts jobs, except those that exist already, from a first try whose result was lost, and those whose key is taken. Returns one
 * row: the time, the count, and the ids as a JSON array unless all were inserted. Notifies when at least one was inserted. Takes the
 * keys in one order, or two callers with the same keys would deadlock.
 */
export const INSERT_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${insertColumns})
  SELECT ${insertValues} FROM ${insertInput('$1')}
  ORDER BY topic COLLATE "C", unique_key COLLATE "C", waiting_key, idempotency_key COLLATE "C", ord
  ON CONFLICT DO NOTHING RETURNING id)
SELECT ${ms('statement_timestamp()')} AS created, count(*),
  CASE WHEN count(*) < jsonb_array_length($1::jsonb) THEN array_to_json(array_agg(id))::text END AS ids,
  CASE WHEN count(*) > 0 THEN ${notify} END AS notified
FROM stored`;

/** Finds the rows that conflict with jobs: the job itself, the holder of its idempotency key, or of its unique key. */
export const FIND_HOLDERS = `
SELECT n.id::text AS asked_id, x.id::text, x.deduplicated::int, x.replay_of, ${ms('x.run_at')} AS run_at, ${ms('x.created')} AS created
FROM jsonb_to_recordset($1::jsonb) AS n(id uuid, topic text, unique_key text, waiting_key text, idempotency_key text)
CROSS JOIN LATERAL (
  SELECT j.id, j.run_at, j.created, false AS deduplicated, NULL AS replay_of FROM _jobs j WHERE j.id = n.id
  UNION ALL
  SELECT j.id, j.run_at, j.created, false, j.body_hash FROM _jobs j
  WHERE j.idempotency_key = n.idempotency_key AND ${isKeyKept}
  UNION ALL
  SELECT j.id, j.run_at, j.created, true, NULL FROM _jobs j
  WHERE j.topic = n.topic AND j.unique_key = n.unique_key AND n.waiting_key IS NULL AND ${holdsKey('j')}
  UNION ALL
  SELECT j.id, j.run_at, j.created, true, NULL FROM _jobs j
  WHERE j.topic = n.topic AND j.waiting_key = n.waiting_key AND ${holdsWaitingKey('j')}
  LIMIT 1) x`;

/** Clears idempotency keys that have expired; locks the rows in the order of ids, as every write of several rows does. */
export const RELEASE_KEYS = `
WITH old AS (
  SELECT j.id FROM jsonb_to_recordset($1::jsonb) AS n(idempotency_key text)
  JOIN _jobs j ON j.idempotency_key = n.idempotency_key AND NOT ${isKeyKept}
  ORDER BY j.id FOR NO KEY UPDATE OF j)
UPDATE _jobs j SET idempotency_key = NULL, body_hash = NULL FROM old WHERE ${matchesId('old')}`;
