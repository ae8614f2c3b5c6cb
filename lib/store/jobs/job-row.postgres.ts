import { BLOCKED_UNTIL } from '../links/link-store.js';
import { columnsWith } from './columns.js';
import { IDEMPOTENCY_MS } from './job-records.js';

/*
 * How statements read, match and lock rows of `_jobs`; `j` is the row. Sets arrive as one jsonb array in $1, or as arrays.
 *
 * The clock is `statement_timestamp()`: `now()` is constant inside a transaction, and `clock_timestamp()` is volatile, so no index
 * can serve it.
 */

/** A time as milliseconds since 1970, which no type parser of the client changes. */
export const ms = (time: string): string => `(extract(epoch FROM ${time}) * 1000)::float8`;

/** The same for many times at once: three times as fast, and exact until the year 2255. */
export const msOfMany = (time: string): string => `(date_part('epoch', ${time}) * 1000)`;

/** A time as ISO 8601 text in UTC, for the entries of `errors`. */
export const iso = (time: string): string => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** The same in microseconds. */
export const isoMicroseconds = (time: string): string =>
  `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** The columns of a whole job; `id` and `flag` are SQL for the columns `id` and `cancel_requested`. */
export const jobColumns = (row: string, id = `${row}.id`, flag = `${row}.cancel_requested`): string =>
  columnsWith('field')
    .map(([name, { type }]) => {
      if (name === 'id' || name === 'cancel_requested') {
        return name === 'id' ? id : flag;
      }
      switch (type) {
        case 'json':
          return `${row}.${name}::text AS ${name}`;
        case 'texts':
          return `array_to_json(${row}.${name})::text AS ${name}`;
        case 'time':
          return `${ms(`${row}.${name}`)} AS ${name}`;
        default:
          return `${row}.${name}`;
      }
    })
    .join(', ');

/** The due time of a blocked job. */
export const blockedUntil = `'${BLOCKED_UNTIL.toISOString()}'::timestamptz`;

/** Whether the job may still start; `row` is SQL for the row. A job without expiry has NULL, and so has one that has started. */
export const isUnexpired = (row: string): string =>
  `(${row}.expires_at IS NULL OR ${row}.expires_at > statement_timestamp())`;

/** Whether the job waits for parents: it is never due, and a link is open. `row` is SQL for the row. */
export const isBlocked = (row: string): string => `(${row}.run_at = ${blockedUntil}
  AND EXISTS (SELECT FROM _jobs_links k WHERE k.child_id = ${row}.id AND k.outcome IS NULL))`;

/** Whether a child of the job may still read it. `row` is SQL for the row. */
export const hasUnfinishedChild = (row: string): string => `EXISTS (
  SELECT FROM _jobs_links k JOIN _jobs c ON c.id = k.child_id
  WHERE k.parent_id = ${row}.id AND c.status IN ('pending', 'processing'))`;

/**
 * Whether the job has changed at `asOf` or before, and not since. `asOf` is SQL for a time; NULL: any job. `row` is a prefix such as `l.`.
 * A running job was written later only because of its progress.
 */
export const isUnchangedSince = (
  asOf: string,
  row = '',
): string => `(${asOf}::timestamptz IS NULL OR ${asOf}::timestamptz >= coalesce(
  CASE ${row}status WHEN 'pending' THEN ${row}updated WHEN 'processing' THEN ${row}started ELSE ${row}finished END, ${row}updated))`;

export const finalStatuses = `('completed', 'failed', 'cancelled')`;

/** Appends an entry to the last 19 actions of a row, with the time. @param entry SQL for the entry as JSON; NULL: appends none. */
export const appendAction = (entry: string, row = 'l'): string => `
  CASE WHEN ${entry} IS NULL THEN ${row}.actions ELSE
    CASE WHEN jsonb_array_length(${row}.actions) >= 20 THEN ${row}.actions - 0 ELSE coalesce(${row}.actions, '[]') END
    || jsonb_build_array(${entry} || jsonb_build_object('time', ${iso('statement_timestamp()')})) END`;

/** Appends a failure to `errors` and keeps the last 20; the arguments are SQL. */
export const appendError = (message: string, stack: string, started = 'j.started'): string => `
  CASE WHEN jsonb_array_length(coalesce(j.errors, '[]')) >= 20 THEN j.errors - 0 ELSE coalesce(j.errors, '[]') END
  || jsonb_build_object('attempt', j.attempt, 'started', ${iso(started)},
    'finished', ${iso('statement_timestamp()')}, 'message', ${message}, 'stack', ${stack}, 'worker', j.locked_by)`;

/**
 * The retentions that topics declare: one object for all of them. A join would read every topic for each row, when the planner expects
 * few rows.
 */
export const ownRetentions =
  'SELECT jsonb_object_agg(topic, retention) AS ages FROM _jobs_topics WHERE retention IS NOT NULL';

const ownAge = `((SELECT ages FROM own) -> j.topic -> j.status)`;

/** Jobs like `j` that finished later are kept, by their topic in `own` or their status `a`. NULL: all are kept. */
export const latestFinish = `statement_timestamp() - make_interval(secs => CASE WHEN ${ownAge} IS NULL THEN a.age_ms
  WHEN ${ownAge} <> 'false' THEN ${ownAge}::float8 END / 1000.0)`;

/** Whether the idempotency key of the row is still valid. */
export const isKeyKept = `(j.created > statement_timestamp() - make_interval(secs => ${IDEMPOTENCY_MS / 1_000}))`;

/** The last row of a scan: its time, and how long the database took. PostgreSQL reads the rows above it in the UNION ALL first. */
export const scanTiming = `${ms('statement_timestamp()')} AS at, ${ms('(clock_timestamp() - statement_timestamp())')} AS took_ms`;

/**
 * Matches the row of a member of the set. In this form the planner can only use the primary key. With a plain `=`, a plan that was
 * made while the table was empty may read the whole table later.
 */
export const matchesId = (member: string): string => `j.id = ANY (ARRAY[${member}.id])`;

/** Whether `uniqueFor` still keeps the row. */
export const isKeptUnique = `coalesce(j.unique_until > statement_timestamp(), false)`;

/** Whether a row holds its unique key against jobs that hold theirs until they have finished. */
export const holdsKey = (row: string): string =>
  `${row}.waiting_key IS NULL AND (${row}.status IN ('pending', 'processing') OR ${row}.unique_until > statement_timestamp())`;

/** Whether a row holds its unique key against jobs that hold theirs until they have started. */
export const holdsWaitingKey = (row: string): string =>
  `(${row}.status = 'pending' AND ${row}.attempt = 0 OR ${row}.unique_until > statement_timestamp())`;

/** Locks rows for a write and skips locked ones. Foreign keys that refer to the rows do not conflict with it. */
export const skipLocked = 'FOR NO KEY UPDATE SKIP LOCKED';

export const tokens = `jsonb_to_recordset($1::jsonb) AS o(id uuid, attempt int)`;

/**
 * The guard of a worker's write: id, attempt and status. `coalesce` hides the status from the planner, which can neither estimate
 * nor index it. With a plain `=` the planner takes the partial index of running rows (183 ms against 15 ms for 1,000 rows). With any
 * condition that it can estimate, statistics of a moment at which nothing ran make it expect one running row: in a table of 5,000
 * rows it then compares each row of the table with each of the input (180 ms; test/conformance/plans/batch-plans.test.ts).
 */
export const isOwned = `${matchesId('o')} AND j.attempt = o.attempt AND coalesce(j.status = 'processing', false)`;

/**
 * The same by the row's ctid, as the claim returned it: 3 µs faster than by id. The comparison of ids is hidden as well, or the
 * planner would look up the id in a small table.
 */
export const isOwnedByRowRef = `j.ctid = o.row_ref
  AND coalesce(j.id = o.id AND j.attempt = o.attempt AND j.status = 'processing', false)`;

/**
 * Waiting costs nothing while no row is locked; to skip locked rows costs a third of a completion. A claim with an older snapshot
 * than another claim locks that one's rows for as long as it runs: with eight busy processes on two cores, 50 ms was too short for
 * two of five completions. The wait must be shorter than what is left of the shortest lease, 200 ms of 300: the rows cannot be
 * renewed while it lasts. The condition is always true.
 */
export const waitBriefly = `(SELECT set_config('lock_timeout', '150ms', true)) <> ''`;

/** Whether the statement runs in the queue's own database, or need not ask: the parameter is the queue's id or NULL. */
export const isHere = (parameter: string): string =>
  `(${parameter}::text IS NULL OR ${parameter} = (SELECT value FROM _jobs_meta WHERE name = 'id'))`;
