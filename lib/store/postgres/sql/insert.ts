import { JOBS_CHANNEL } from './notification.js';
import { byIdOf, isKeyKept, ms } from './statement-parts.js';

const insertInput = `jsonb_to_recordset($1::jsonb) AS n(ord int, id uuid, topic text, payload jsonb, run_at timestamptz,
  delay_ms float8, max_retries int, priority int, timeout_ms bigint, backoff jsonb, unique_key text, metadata jsonb,
  idempotency_key text, body_hash text)`;

const insertColumns = `id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, unique_key, metadata,
  idempotency_key, body_hash`;

/** When a job is due that names no time: `delayMs` is SQL. */
const fromNow = (delayMs = 'delay_ms'): string => `statement_timestamp() + make_interval(secs => ${delayMs} / 1000.0)`;

/** A JSON null comes out of a recordset as an SQL null, also where the column is jsonb. */
const insertValues = `id, topic, coalesce(payload, 'null'),
  coalesce(run_at, ${fromNow()}),
  max_retries, priority, timeout_ms, backoff, unique_key, metadata, idempotency_key, body_hash`;

/** $2, a hint for other processes, is sent with the commit; NULL is none. */
const hint = `CASE WHEN $2::text IS NOT NULL THEN pg_notify('${JOBS_CHANNEL}', $2) END`;

/**
 * Inserts jobs. Left out are jobs that are there already, from a first try whose answer was lost, and those of which a key is
 * taken. One row: when that was, how many went in, and which, as a JSON array, unless it is all of them. The hint is sent
 * when a job went in.
 */
export const INSERT_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${insertColumns})
  SELECT ${insertValues} FROM ${insertInput}
  ORDER BY topic COLLATE "C", unique_key COLLATE "C", idempotency_key COLLATE "C", ord
  ON CONFLICT DO NOTHING RETURNING id)
SELECT ${ms('statement_timestamp()')} AS created, count(*),
  CASE WHEN count(*) < jsonb_array_length($1::jsonb) THEN array_to_json(array_agg(id))::text END AS ids,
  CASE WHEN count(*) > 0 THEN ${hint} END AS told
FROM stored`;

/** Fails when a row was left out, as triggers may: then none of the set is stored. */
const isWhole = '1 / (CASE WHEN count(*) = cardinality($1::uuid[]) THEN 1 ELSE 0 END) AS whole';

const plainColumns = 'id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, metadata';
const plainRunAt = `coalesce($5::timestamptz, ${fromNow('$6::float8')})`;

/**
 * Inserts jobs without keys, all of them: it fails when one is there already, or left out, and then `INSERT_JOBS` is the one to
 * ask. As arrays, and without a look for conflicts, it takes two thirds of that one's time.
 */
export const INSERT_PLAIN_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT id, topic, payload, coalesce(run_at, ${fromNow()}), max_retries, priority, timeout_ms, backoff, metadata
  FROM ROWS FROM (unnest($1::uuid[]), unnest($3::text[]), jsonb_array_elements($4::jsonb), unnest($5::timestamptz[]),
      unnest($6::float8[]), unnest($7::int[]), unnest($8::int[]), unnest($9::bigint[]), unnest($10::jsonb[]),
      unnest($11::jsonb[]))
    AS n(id, topic, payload, run_at, delay_ms, max_retries, priority, timeout_ms, backoff, metadata)
  RETURNING 1)
SELECT ${ms('statement_timestamp()')} AS created, count(*), ${hint} AS told, ${isWhole} FROM stored`;

/**
 * The same for jobs that differ in their ids and payloads alone, in nine tenths of the time: $1 and $4 are arrays, the rest is
 * that of `INSERT_PLAIN_JOB`.
 */
export const INSERT_ALIKE_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT id, $3::text, payload, ${plainRunAt}, $7::int, $8::int, $9::bigint, $10::jsonb, $11::jsonb
  FROM ROWS FROM (unnest($1::uuid[]), jsonb_array_elements($4::jsonb)) AS n(id, payload)
  RETURNING 1)
SELECT ${ms('statement_timestamp()')} AS created, count(*), ${hint} AS told, ${isWhole} FROM stored`;

/** The same for one job, in seven tenths of the time: most requests store one. */
export const INSERT_PLAIN_JOB = `
INSERT INTO _jobs (${plainColumns})
VALUES ($1::uuid, $3::text, $4::jsonb, ${plainRunAt}, $7::int, $8::int, $9::bigint, $10::jsonb, $11::jsonb)
RETURNING ${ms('statement_timestamp()')} AS created, 1 AS count, ${hint} AS told`;

/** The rows that stand for jobs that were left out: themselves, those of a first request, or unfinished ones of the same key. */
export const FIND_HOLDERS = `
SELECT n.id::text AS asked_id, x.id::text, x.deduplicated::int, x.replay_of, ${ms('x.run_at')} AS run_at, ${ms('x.created')} AS created
FROM jsonb_to_recordset($1::jsonb) AS n(id uuid, topic text, unique_key text, idempotency_key text)
CROSS JOIN LATERAL (
  SELECT j.id, j.run_at, j.created, false AS deduplicated, NULL AS replay_of FROM _jobs j WHERE j.id = n.id
  UNION ALL
  SELECT j.id, j.run_at, j.created, false, j.body_hash FROM _jobs j
  WHERE j.idempotency_key = n.idempotency_key AND ${isKeyKept}
  UNION ALL
  SELECT j.id, j.run_at, j.created, true, NULL FROM _jobs j
  WHERE j.topic = n.topic AND j.unique_key = n.unique_key AND j.status IN ('pending', 'processing')
  LIMIT 1) x`;

/** Frees the idempotency keys of jobs that are older than those are kept: the rows in order, as every write of several. */
export const RELEASE_KEYS = `
WITH old AS (
  SELECT j.id FROM jsonb_to_recordset($1::jsonb) AS n(idempotency_key text)
  JOIN _jobs j ON j.idempotency_key = n.idempotency_key AND NOT ${isKeyKept}
  ORDER BY j.id FOR NO KEY UPDATE OF j)
UPDATE _jobs j SET idempotency_key = NULL, body_hash = NULL FROM old WHERE ${byIdOf('old')}`;

/** Before a transaction takes several unique keys. */
export const MARK_KEYS = 'SAVEPOINT nestjs_jobs_keys';
/** Undoes what was stored since, and lets the keys go. */
export const LET_KEYS_GO = 'ROLLBACK TO SAVEPOINT nestjs_jobs_keys';
/** What was stored since is up to the transaction. */
export const KEEP_KEYS = 'RELEASE SAVEPOINT nestjs_jobs_keys';
