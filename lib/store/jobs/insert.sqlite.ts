import type { Column, ColumnName } from './columns.js';
import { columnsWith } from './columns.js';
import { byId, fromNow, holdsKey, holdsWaitingKey, isHere, keptSince, ms, now } from './job-row.sqlite.js';

/** The value of a column, computed from members of the new job in `value`. */
function toValue(name: ColumnName, { type, isNullable, insert }: Column): string {
  if (insert === undefined || 'sql' in insert) {
    return insert?.sql === 'key when due' ? keyWhenDue : now;
  }
  if ('member' in insert) {
    const later = fromNow(`value ->> '${insert.member}'`);
    const computed = isNullable ? `iif(value ->> '${insert.member}' IS NULL, NULL, ${later})` : later;
    return insert.at ? `coalesce(value ->> '${name}', ${computed})` : computed;
  }
  if (type === 'json' || type === 'texts') {
    return isNullable ? `nullif(value -> '${name}', 'null')` : `value -> '${name}'`;
  }
  return `value ->> '${name}'`;
}

/** A job with a concurrency key has a flow key from the moment at which it is due. */
const keyWhenDue = `iif(coalesce(value ->> 'run_at', ${fromNow(`value ->> 'delay_ms'`)}) <= ${now}, value ->> 'concurrency_key', NULL)`;

const written = columnsWith('insert');

const insertInto = (from: string): string => `
INSERT INTO _jobs AS j (${written.map(([name]) => name).join(', ')})
SELECT ${written.map(([name, column]) => toValue(name, column)).join(', ')}
FROM ${from}`;

/**
 * Inserts jobs, and returns a row for each inserted one. It skips a job whose id or unique key is taken; a retry after a lost
 * response finds its own id. ?2 is the queue's id in a transaction of the application.
 */
export const INSERT_JOBS = `${insertInto(`json_each(?1) WHERE ${isHere('?2')}`)}
ON CONFLICT DO NOTHING RETURNING id, id AS asked_id, ${ms('run_at')} AS run_at, ${ms('created')} AS created, false AS deduplicated`;

/**
 * Inserts debounced jobs, one for each key, or replaces the payload of the debounced job that waits with the key. A replaced job starts
 * after `delay_ms`, but not later than its first call has said. A job that was stored without debounce is left as it is. Returns a row for
 * each inserted or replaced job.
 *
 * A payload that is encoded for another job, `holder_payload`, replaces the payload of that job only.
 *
 * Leaves out a job that exists: its insert is repeated after a lost reply, and a later call may have replaced its payload. Also leaves
 * out a repeated request, and a job whose key `unique_until` keeps.
 */
export const INSERT_DEBOUNCED_JOBS = `${insertInto(`json_each(?1) AS n
WHERE ${isHere('?2')} AND NOT EXISTS (SELECT 1 FROM _jobs AS e ${byId} WHERE e.id = n.value ->> 'id')
  AND NOT EXISTS (SELECT 1 FROM _jobs AS e WHERE e.idempotency_key = n.value ->> 'idempotency_key')`)}
ON CONFLICT (topic, waiting_key) WHERE waiting_key IS NOT NULL AND (status = 'pending' AND attempt = 0 OR unique_until IS NOT NULL)
DO UPDATE SET payload = (
  SELECT iif(value ->> 'holder_id' IS NULL, excluded.payload, value -> 'holder_payload') FROM json_each(?1)
  WHERE value ->> 'id' = excluded.id), expires_at = excluded.expires_at, flow_key = NULL, updated = ${now},
  run_at = min(excluded.run_at, j.debounce_until)
WHERE j.id <> excluded.id AND j.status = 'pending' AND j.attempt = 0 AND j.debounce_until IS NOT NULL
  AND (SELECT coalesce(value ->> 'holder_id' = j.id, true) FROM json_each(?1) WHERE value ->> 'id' = excluded.id)
RETURNING id, topic, unique_key, ${ms('run_at')} AS run_at, ${ms('created')} AS created`;

/** Frees the idempotency keys in ?1 whose retention has ended. */
export const RELEASE_KEYS = `
UPDATE _jobs SET idempotency_key = NULL, body_hash = NULL
WHERE idempotency_key IN (SELECT value FROM json_each(?1)) AND created <= ${keptSince}`;

/** Clears `unique_until` where it has passed and keeps a key from the jobs of `source`. */
const releaseUniqueKeys = (source: string): string => `
UPDATE _jobs ${byId} SET unique_until = NULL WHERE unique_until <= ${now} AND id IN (
  SELECT j.id FROM ${source} AS n CROSS JOIN _jobs AS j INDEXED BY _jobs_unique_key
  ON j.topic = n.topic AND j.unique_key = n.unique_key AND j.waiting_key IS NULL AND j.unique_until IS NOT NULL
  UNION ALL
  SELECT j.id FROM ${source} AS n CROSS JOIN _jobs AS j INDEXED BY _jobs_waiting_key
  ON j.topic = n.topic AND j.waiting_key = n.unique_key AND j.unique_until IS NOT NULL)`;

/** Frees the unique keys of the jobs to insert in ?1. */
export const RELEASE_UNIQUE_KEYS = releaseUniqueKeys(
  `(SELECT value ->> 'topic' AS topic, value ->> 'unique_key' AS unique_key FROM json_each(?1))`,
);

/** Frees the unique keys of the stored jobs in ?1. */
export const RELEASE_KEYS_OF_JOBS = releaseUniqueKeys(
  `(SELECT topic, unique_key FROM _jobs ${byId} WHERE id IN (SELECT value FROM json_each(?1)))`,
);

/** Frees the unique keys of the jobs in ?1 and of their children. */
export const RELEASE_KEYS_OF_FAMILY = releaseUniqueKeys(`
  (SELECT topic, unique_key FROM _jobs ${byId} WHERE unique_key IS NOT NULL AND id IN (
    SELECT value FROM json_each(?1)
    UNION SELECT child_id FROM _jobs_links WHERE parent_id IN (SELECT value FROM json_each(?1))))`);

const holder = (isDeduplicated: boolean, bodyHash: string, condition: string): string => `
SELECT id, ?1 AS asked_id, ${ms('run_at')} AS run_at, ${ms('created')} AS created, ${isDeduplicated} AS deduplicated, ${bodyHash} AS replay_of
FROM _jobs ${condition}`;

/**
 * Finds the job that kept ?1 from being inserted: the job itself, the holder of its idempotency key ?4, or the holder of its unique
 * key in topic ?2: ?3, or ?5 for a key that a job holds until it has started. SQLite reads the parts one by one until a row is found.
 */
export const FIND_HOLDER = [
  holder(false, 'NULL', `${byId} WHERE id = ?1`),
  holder(false, 'body_hash', `INDEXED BY _jobs_idempotency_key WHERE idempotency_key = ?4`),
  holder(true, 'NULL', `INDEXED BY _jobs_unique_key WHERE topic = ?2 AND unique_key = ?3 AND ${holdsKey('_jobs')}`),
  holder(
    true,
    'NULL',
    `INDEXED BY _jobs_waiting_key WHERE topic = ?2 AND waiting_key = ?5 AND ${holdsWaitingKey('_jobs')}`,
  ),
]
  .join(' UNION ALL ')
  .concat(' LIMIT 1');
