import { insertColumns, insertInput, insertValues } from './insert.postgres.js';
import { holdsWaitingKey, isHere, matchesId, ms } from './job-row.postgres.js';
import { JOBS_CHANNEL } from '../postgres/session.postgres.js';

/* Unique keys that do more than allow one unfinished job. */

/**
 * Inserts debounced jobs, one for each key, or replaces the payload of the debounced job that waits with the key: $1 jobs, $2
 * notification or NULL, $3 as in `INSERT_JOBS`. A replaced job starts after `delay_ms`, but not later than its first call has said. A job that was stored without
 * debounce is left as it is. Returns a row for each inserted or replaced job.
 *
 * A payload that is encoded for another job, `holder_payload`, replaces the payload of that job only.
 *
 * Leaves out a job that exists: its insert is repeated after a lost reply, and a later call may have replaced its payload. Also leaves
 * out a repeated request, and a job whose key `unique_until` keeps.
 */
export const INSERT_DEBOUNCED_JOBS = `
WITH n AS MATERIALIZED (SELECT * FROM ${insertInput('$1', ', holder_id uuid, holder_payload jsonb')}),
stored AS (
  INSERT INTO _jobs AS j (${insertColumns})
  SELECT ${insertValues} FROM n
  WHERE ${isHere('$3')} AND NOT EXISTS (SELECT FROM _jobs e WHERE e.id = n.id)
    AND NOT EXISTS (SELECT FROM _jobs e WHERE e.idempotency_key = n.idempotency_key)
  ORDER BY topic COLLATE "C", unique_key COLLATE "C"
  ON CONFLICT (topic, waiting_key) WHERE waiting_key IS NOT NULL AND status = 'pending' AND attempt = 0
  DO UPDATE SET payload = (SELECT CASE WHEN n.holder_id IS NULL THEN excluded.payload ELSE coalesce(n.holder_payload, 'null') END
    FROM n WHERE n.id = excluded.id), expires_at = excluded.expires_at, flow_key = NULL, updated = statement_timestamp(),
    run_at = least(excluded.run_at, j.debounce_until)
  WHERE j.id <> excluded.id AND j.status = 'pending' AND j.attempt = 0 AND j.debounce_until IS NOT NULL
    AND (SELECT coalesce(n.holder_id = j.id, true) FROM n WHERE n.id = excluded.id)
  RETURNING j.id, j.topic, j.unique_key, j.run_at, j.created)
SELECT id, topic, unique_key, ${ms('run_at')} AS run_at, ${ms('created')} AS created,
  CASE WHEN $2::text IS NOT NULL THEN pg_notify('${JOBS_CHANNEL}', $2)::text END AS notified FROM stored`;

/**
 * Locks the waiting jobs that hold the waiting keys of $1, in the order of ids. Claims skip a locked job, so it starts after the
 * transaction and sees what that has written. A job that starts in this moment frees its key, and is left out.
 */
export const LOCK_WAITING_HOLDERS = `
SELECT j.id FROM jsonb_to_recordset($1::jsonb) AS n(topic text, waiting_key text)
JOIN _jobs j ON j.topic = n.topic AND j.waiting_key = n.waiting_key AND ${holdsWaitingKey('j')}
ORDER BY j.id FOR NO KEY UPDATE OF j`;

/** Clears `unique_until` where it has passed and keeps a key from the jobs of `source`, in the order of ids. */
const releaseUniqueKeys = (source: string): string => `
WITH n AS MATERIALIZED (${source}),
old AS MATERIALIZED (
  SELECT x.id FROM n CROSS JOIN LATERAL (
    (SELECT j.id FROM _jobs j WHERE j.topic = n.topic AND j.unique_key = n.unique_key AND j.waiting_key IS NULL
      AND j.unique_until <= statement_timestamp() LIMIT 1)
    UNION ALL
    (SELECT j.id FROM _jobs j WHERE j.topic = n.topic AND j.waiting_key = n.unique_key
      AND j.unique_until <= statement_timestamp() LIMIT 1)) x),
free AS (
  SELECT j.id FROM old JOIN _jobs j ON ${matchesId('old')} AND coalesce(j.unique_until <= statement_timestamp(), false)
  ORDER BY j.id FOR NO KEY UPDATE OF j)
UPDATE _jobs j SET unique_until = NULL FROM free WHERE ${matchesId('free')}`;

/** Frees the unique keys of the jobs to insert in $1. */
export const RELEASE_UNIQUE_KEYS = releaseUniqueKeys(
  'SELECT topic, unique_key FROM jsonb_to_recordset($1::jsonb) AS i(topic text, unique_key text)',
);

/** Frees the unique keys of the stored jobs in $1. */
export const RELEASE_KEYS_OF_JOBS = releaseUniqueKeys(
  'SELECT topic, unique_key FROM _jobs WHERE id = ANY ($1::uuid[])',
);

/** Frees the unique keys of the jobs in $1, a JSON array, and of their children. */
export const RELEASE_KEYS_OF_FAMILY = releaseUniqueKeys(`
  SELECT topic, unique_key FROM _jobs WHERE unique_key IS NOT NULL AND id = ANY (ARRAY(
    SELECT value::uuid FROM jsonb_array_elements_text($1::jsonb)
    UNION SELECT l.child_id FROM _jobs_links l WHERE l.parent_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid))))`);
