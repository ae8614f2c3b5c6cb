import { fromNow, keptSince, ms, now } from './job-row.js';

/**
 * Inserts jobs, and returns a row for each inserted one. It skips a job whose id or unique key is taken; a retry after a lost
 * response finds its own id. `WHERE true` keeps SQLite's parser from reading ON as part of a join.
 */
export const INSERT_JOBS = `
INSERT INTO _jobs (id, topic, payload, run_at, max_retries, priority, timeout_ms, backoff, unique_key, metadata,
  idempotency_key, body_hash, concurrency_key, created, updated, flow_key)
SELECT value ->> 'id', value ->> 'topic', value -> 'payload',
  coalesce(value ->> 'run_at', ${fromNow(`value ->> 'delay_ms'`)}), value ->> 'max_retries', value ->> 'priority',
  value ->> 'timeout_ms', nullif(value -> 'backoff', 'null'), value ->> 'unique_key', nullif(value -> 'metadata', 'null'),
  value ->> 'idempotency_key', value ->> 'body_hash', value ->> 'concurrency_key', ${now}, ${now},
  iif(coalesce(value ->> 'run_at', ${fromNow(`value ->> 'delay_ms'`)}) <= ${now}, value ->> 'concurrency_key', NULL)
FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING RETURNING id, id AS asked_id, ${ms('run_at')} AS run_at, ${ms('created')} AS created, false AS deduplicated`;

/** Frees the idempotency keys in ?1 whose retention has ended. */
export const RELEASE_KEYS = `
UPDATE _jobs SET idempotency_key = NULL, body_hash = NULL
WHERE idempotency_key IN (SELECT value FROM json_each(?1)) AND created <= ${keptSince}`;

/**
 * Finds the job that kept ?1 from being inserted: the job itself, the holder of its idempotency key ?4, or the unfinished
 * holder of its unique key ?3 in topic ?2.
 */
export const FIND_HOLDER = `
SELECT id, ?1 AS asked_id, ${ms('run_at')} AS run_at, ${ms('created')} AS created,
  id <> ?1 AND (?4 IS NULL OR idempotency_key IS NOT ?4) AS deduplicated, iif(id <> ?1 AND idempotency_key = ?4, body_hash, NULL) AS replay_of
FROM _jobs
WHERE id = ?1 OR idempotency_key = ?4 OR (topic = ?2 AND unique_key = ?3 AND status IN ('pending', 'processing'))
ORDER BY id <> ?1, idempotency_key IS NOT ?4 LIMIT 1`;
