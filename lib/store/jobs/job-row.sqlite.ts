import { BLOCKED_UNTIL } from '../links/link-store.js';
import { columnsWith } from './columns.js';
import { IDEMPOTENCY_MS } from './job-records.js';

/*
 * How statements read and match rows of `_jobs`. A set arrives as one JSON array in ?1. SQLite has no type for times: they are
 * text of one fixed width in UTC, so that text order is time order. 'now' is constant within a statement.
 */

const format = `'%Y-%m-%d %H:%M:%f'`;

/** The database's time. */
export const now = `strftime(${format}, 'now')`;

/** Now plus a number of milliseconds, which may be negative. @param sql an expression for the number. */
export const fromNow = (sql: string): string =>
  `strftime(${format}, 'now', printf('%+.3f seconds', (${sql}) / 1000.0))`;

/** A time plus a number of milliseconds; the arguments are SQL. */
export const timeAfter = (time: string, msSql: string): string =>
  `strftime(${format}, ${time}, printf('%+.3f seconds', (${msSql}) / 1000.0))`;

/** Converts milliseconds since 1970 to a time. NULL stays NULL. */
export const fromMs = (sql: string): string => `strftime(${format}, (${sql}) / 1000.0, 'unixepoch')`;

/** Converts a time to milliseconds since 1970. */
export const ms = (column: string): string => `CAST(round(unixepoch(${column}, 'subsec') * 1000) AS INTEGER)`;

/** Converts a time to ISO 8601. */
export const iso = (column: string): string => `replace(${column}, ' ', 'T') || 'Z'`;

/** Converts a time of the engine, a Date or ISO 8601 text, to the text of the tables. */
export function toSqliteTime(time: Date | string): string {
  return (typeof time === 'string' ? time : time.toISOString()).replace('T', ' ').replace('Z', '');
}

/** Converts the time of the database in microseconds, ISO 8601. The tables have milliseconds. */
export function toSqliteMoment(asOf: string | null): string | null {
  return asOf && toSqliteTime(asOf).slice(0, 'YYYY-MM-DD hh:mm:ss.000'.length);
}

/** The due time of a blocked job. */
export const blockedUntil = `'${toSqliteTime(BLOCKED_UNTIL)}'`;

/** Whether the job may still start. A job without expiry has NULL, and so has one that has started. */
export const isUnexpired = `(expires_at IS NULL OR expires_at > ${now})`;

/**
 * Whether the job has changed at `asOf` or before, and not since. `asOf` is a parameter; NULL: any job. `row` is a prefix such as `j.`. A
 * running job was written later only because of its progress.
 */
export const isUnchangedSince = (asOf: string, row = ''): string => `(${asOf} IS NULL OR ${asOf} >= coalesce(
  CASE ${row}status WHEN 'pending' THEN ${row}updated WHEN 'processing' THEN ${row}started ELSE ${row}finished END, ${row}updated))`;

/** Whether the job waits for parents: it is never due, and has a link. `row` is SQL for the row. */
export const isBlocked = (row: string): string => `(${row}.run_at = ${blockedUntil}
  AND EXISTS (SELECT 1 FROM _jobs_links AS k WHERE k.child_id = ${row}.id))`;

/** Whether a child of the job may still read it. `row` is SQL for the row. */
export const hasUnfinishedChild = (row: string): string => `EXISTS (
  SELECT 1 FROM _jobs_links AS k JOIN _jobs AS c ON c.id = k.child_id
  WHERE k.parent_id = ${row}.id AND c.status IN ('pending', 'processing'))`;

/** The columns of a whole job. */
export const jobColumns = columnsWith('field')
  .map(([name, { type }]) => (type === 'time' ? `${ms(name)} AS ${name}` : name))
  .join(', ');

/** Whether `uniqueFor` still keeps the row. */
export const isKeptUnique = `coalesce(unique_until > ${now}, 0)`;

/**
 * Whether row `j` holds its unique key against jobs that hold theirs until they have finished. The first line is the condition of the
 * index, without which SQLite does not use it.
 */
export const holdsKey = (
  j: string,
): string => `${j}.waiting_key IS NULL AND (${j}.status IN ('pending', 'processing') OR ${j}.unique_until IS NOT NULL)
  AND (${j}.status IN ('pending', 'processing') OR ${j}.unique_until > ${now})`;

/** Whether row `j` holds its unique key against jobs that hold theirs until they have started. */
export const holdsWaitingKey = (
  j: string,
): string => `(${j}.status = 'pending' AND ${j}.attempt = 0 OR ${j}.unique_until IS NOT NULL)
  AND (${j}.status = 'pending' AND ${j}.attempt = 0 OR ${j}.unique_until > ${now})`;

/**
 * The index for statements that name jobs by id. After an ANALYZE of a small table SQLite would read the whole table for
 * each of them, however large it has grown since: 60 ms instead of 5 for a thousand of 200,000 rows. PostgreSQL has no hints.
 */
export const byId = 'INDEXED BY sqlite_autoindex__jobs_1';

/** The ages that topics declare, by status, in milliseconds; NULL: jobs are kept for ever. */
export const ownAges = `(
  SELECT t.topic, e.key AS status, iif(e.type = 'false', NULL, e.value) AS age_ms
  FROM _jobs_topics AS t, json_each(t.retention) AS e WHERE t.retention IS NOT NULL)`;

/** The age at which jobs of this topic `o` and status `a` are deleted. NULL: they are kept. */
const deletionAge = `iif(o.topic IS NULL, a.value ->> 'age_ms', o.age_ms)`;

/** Whether a job that finished at this time is over its age. `o` is its row of `ownAges`, `a` that of its status. */
export const isAged = (finished: string): string =>
  `(${deletionAge} IS NOT NULL AND ${finished} <= ${fromNow(`-${deletionAge}`)})`;

/** The claims that a worker names, as pairs of id and attempt. */
export const tokens = `(SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt FROM json_each(?1))`;

/**
 * The guard of a worker's write: the jobs that it still owns. + hides the status from the planner, which would choose the
 * index of processing rows, and an update that changes the status would move its entries.
 */
export const isOwnedClaim = `(id, attempt) IN ${tokens} AND +status = 'processing'`;

/** The same guard for a join of row `j` with entry `o`. */
export const isOwned = `j.id = o.id AND j.attempt = o.attempt AND +j.status = 'processing'`;

/** The oldest time of creation at which an idempotency key still counts. */
export const keptSince = fromNow(`-${IDEMPOTENCY_MS}`);

/** Appends an entry to the last 19 actions, with the time. @param entry SQL for the entry as JSON text; NULL: appends none. */
export const appendAction = (entry: string): string => `iif(${entry} IS NULL, actions, json_insert(
  CASE WHEN json_array_length(coalesce(actions, '[]')) >= 20 THEN json_remove(actions, '$[0]') ELSE coalesce(actions, '[]') END,
  '$[#]', json_set(${entry}, '$.time', ${iso(now)})))`;

/** Appends a failure to the last 19 of row `j`. The arguments are SQL for the new entry's message, stack and start. */
export const appendError = (message: string, stack: string, started = 'j.started'): string => `json_insert(
  CASE WHEN json_array_length(coalesce(j.errors, '[]')) >= 20 THEN json_remove(j.errors, '$[0]') ELSE coalesce(j.errors, '[]') END,
  '$[#]', json_object('attempt', j.attempt, 'started', ${iso(started)}, 'finished', ${iso(now)},
    'message', ${message}, 'stack', ${stack}, 'worker', j.locked_by))`;

/**
 * The last row of a scan: the database's time and how long the scan took. That is 0 here: SQLite removes changed entries from
 * its indexes at once, so scans do not slow down. PostgreSQL keeps dead entries and measures the time.
 */
export const scanTiming = `${ms(now)} AS at, 0 AS took_ms`;

/** Whether the statement runs in the queue's own database, or need not ask: the parameter is the queue's id or NULL. */
export const isHere = (parameter: string): string =>
  `(${parameter} IS NULL OR ${parameter} = (SELECT value FROM _jobs_meta WHERE name = 'id'))`;
