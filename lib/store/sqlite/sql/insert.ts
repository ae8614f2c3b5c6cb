import { fromNow, keptSince, ms } from './statement-parts.js';

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
