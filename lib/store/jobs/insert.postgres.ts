import type { Column, ColumnName } from './columns.js';
import { columnsWith, INSERT_MEMBERS } from './columns.js';
import { holdsKey, holdsWaitingKey, isHere, matchesId, isKeyKept, ms } from './job-row.postgres.js';
import { JOBS_CHANNEL } from '../postgres/session.postgres.js';

/** The time at which a job without `runAt` is due; `delayMs` is SQL. */
const fromNow = (delayMs: string): string => `statement_timestamp() + make_interval(secs => ${delayMs} / 1000.0)`;

const now = 'statement_timestamp()';

/** A job with a concurrency key has a flow key from the moment at which it is due. */
const keyWhenDue = `CASE WHEN coalesce(run_at, ${fromNow('delay_ms')}) <= ${now} THEN concurrency_key END`;

/** Sends the notification $2 with the commit, unless $2 is NULL. */
const notify = `CASE WHEN $2::text IS NOT NULL THEN pg_notify('${JOBS_CHANNEL}', $2)::text END`;

/** The columns that an insert writes, with their values as SQL, computed from members of the new job. */
const written = columnsWith('insert').map(([name, column]) => ({ name, value: toValue(name, column) }));

function toValue(name: ColumnName, { type, isNullable, insert }: Column): string {
  if (insert === undefined || 'sql' in insert) {
    return insert?.sql === 'key when due' ? keyWhenDue : now;
  }
  if ('member' in insert) {
    return insert.at ? `coalesce(${name}, ${fromNow(insert.member)})` : fromNow(insert.member);
  }
  // A JSON null arrives as an SQL NULL, in columns of JSON too.
  return type === 'json' && !isNullable ? `coalesce(${name}, 'null')` : name;
}

/* Plain jobs, whose other columns have no value: no key of any kind, and no expiry. */

const plain = columnsWith('insert').filter(([, { insert }]) => insert.isPlain);
const plainColumns = plain.map(([name]) => name).join(', ');

/** Columns whose values differ between jobs. */
const INDIVIDUAL: readonly string[] = ['id', 'topic', 'payload'];

/** Settings that the jobs of a call usually share, bound from $5 on. $1 is the id, $3 the topic and $4 the payload. */
export const PLAIN_SETTINGS = INSERT_MEMBERS.filter(({ name, isPlain }) => isPlain && !INDIVIDUAL.includes(name));

const settingNames = PLAIN_SETTINGS.map(({ name }) => name);

const settingArrays = PLAIN_SETTINGS.map(({ type }, index) => `unnest($${index + 5}::${type}[])`).join(', ');

/** The values of all plain columns, where the settings are parameters. */
const plainValues = (topic: string, payload: string, id: string): string => {
  const given: Readonly<Record<string, string>> = { id, topic, payload };
  const parameters = new Map(PLAIN_SETTINGS.map(({ name, type }, index) => [name, `$${index + 5}::${type}`]));
  return plain
    .map(([name, { insert }]) => {
      const value = given[name] ?? parameters.get(name) ?? now;
      return 'member' in insert ? `coalesce(${value}, ${fromNow(parameters.get(insert.member)!)})` : value;
    })
    .join(', ');
};

/** Fails with a division by zero when a trigger left a row out, so that nothing is stored. */
const isWhole = '1 / (CASE WHEN count(*) = cardinality($1::uuid[]) THEN 1 ELSE 0 END) AS whole';

/**
 * Inserts plain jobs, all or none, from arrays. Fails when a job exists already; `INSERT_JOBS` sorts that out. Without the check for
 * conflicts and without JSON it takes two thirds of the time of `INSERT_JOBS`.
 */
export const INSERT_PLAIN_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT ${plain.map(([name, column]) => (name === 'payload' ? name : toValue(name, column))).join(', ')}
  FROM ROWS FROM (unnest($1::uuid[]), unnest($3::text[]), jsonb_array_elements($4::jsonb), ${settingArrays})
    AS n(id, topic, payload, ${settingNames.join(', ')})
  RETURNING 1)
SELECT ${ms('statement_timestamp()')} AS created, count(*), ${notify} AS notified, ${isWhole} FROM stored`;

/**
 * The same for jobs that differ in ids and payloads only, in nine tenths of the time: $1 and $4 are arrays, the other parameters
 * those of `INSERT_PLAIN_JOB`.
 */
export const INSERT_ALIKE_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${plainColumns})
  SELECT ${plainValues('$3::text', 'payload', 'id')}
  FROM ROWS FROM (unnest($1::uuid[]), jsonb_array_elements($4::jsonb)) AS n(id, payload)
  RETURNING 1)
SELECT ${ms('statement_timestamp()')} AS created, count(*), ${notify} AS notified, ${isWhole} FROM stored`;

/** The same for one job, in seven tenths of the time: most requests store one. */
export const INSERT_PLAIN_JOB = `
INSERT INTO _jobs (${plainColumns})
VALUES (${plainValues('$3::text', '$4::jsonb', '$1::uuid')})
RETURNING ${ms('statement_timestamp()')} AS created, 1 AS count, ${notify} AS notified`;

/* Any jobs, as JSON. */

/** @param parameter the JSON array of jobs. @param more further columns. */
export const insertInput = (parameter: string, more = ''): string =>
  `jsonb_to_recordset(${parameter}::jsonb) AS n(ord int, ${INSERT_MEMBERS.map(({ name, type }) => `${name} ${type}`).join(', ')}${more})`;

export const insertColumns = written.map(({ name }) => name).join(', ');

export const insertValues = written.map(({ value }) => value).join(', ');

/**
 * Inserts jobs, except those that exist already, from a first try whose result was lost, and those whose key is taken. Returns one
 * row: the time, the count, and the ids as a JSON array unless all were inserted. Notifies when at least one was inserted. Takes the
 * keys in one order, or two callers with the same keys would deadlock. $3 is the queue's id in a transaction of the application.
 */
export const INSERT_JOBS = `
WITH stored AS (
  INSERT INTO _jobs (${insertColumns})
  SELECT ${insertValues} FROM ${insertInput('$1')} WHERE ${isHere('$3')}
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
