import { IDEMPOTENCY_MS } from '../../job-store.js';

/*
 * Parts of statements. Sets travel as one jsonb array in $1, or as arrays. `statement_timestamp()` is the clock: `now()` stands
 * still inside a transaction, and `clock_timestamp()` is volatile, so no index can serve it.
 */

/** A time as milliseconds since 1970: no client-side type parser has a say in it. */
export const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;

/** The same for times of which there are many at once: three times as quick, and exact until the year 2255. */
export const msOfMany = (column: string): string => `(date_part('epoch', ${column}) * 1000)`;

/** A time as ISO 8601 text in UTC, for the entries of `errors`. */
const iso = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** What a job is read from; `id` and `flag` are SQL for the columns `id` and `cancel_requested`. */
export const columnsOf = (row: string, id = `${row}.id`, flag = `${row}.cancel_requested`): string => {
  const texts = ['topic', 'status', 'locked_by', 'last_error', 'unique_key'];
  const numbers = ['attempt', 'retries', 'max_retries', 'priority', 'timeout_ms'];
  const plain = [...texts, ...numbers].map((name) => `${row}.${name}`);
  const json = ['payload', 'errors', 'result', 'progress', 'metadata'].map((name) => `${row}.${name}::text AS ${name}`);
  const times = ['run_at', 'locked_until', 'started', 'finished', 'created', 'updated'];
  const moments = times.map((name) => `${ms(`${row}.${name}`)} AS ${name}`);
  return [id, flag, ...plain, ...json, ...moments].join(', ');
};

export const finalStatuses = `('completed', 'failed', 'cancelled')`;

/** Appends a failure to the last 19: `j` is the row, the arguments are SQL for the new entry's message and stack. */
export const errorsWith = (message: string, stack: string, started = 'j.started'): string => `
  CASE WHEN jsonb_array_length(coalesce(j.errors, '[]')) >= 20 THEN j.errors - 0 ELSE coalesce(j.errors, '[]') END
  || jsonb_build_object('attempt', j.attempt, 'started', ${iso(started)},
    'finished', ${iso('statement_timestamp()')}, 'message', ${message}, 'stack', ${stack}, 'worker', j.locked_by)`;

/** Whether a repeated request is still known by its key. */
export const isKeyKept = `(j.created > statement_timestamp() - make_interval(secs => ${IDEMPOTENCY_MS / 1_000}))`;

/** The last row of a scan: its time and duration. PostgreSQL runs the earlier parts of the UNION ALL first. */
export const scanTiming = `${ms('statement_timestamp()')} AS at, ${ms('(clock_timestamp() - statement_timestamp())')} AS took_ms`;

/**
 * The row of a member of the set. Written like this it can only be looked up: with a plain `=` a plan that was made while the
 * table was empty, and is kept, may begin with the table and read all of it.
 */
export const byIdOf = (member: string): string => `j.id = ANY (ARRAY[${member}.id])`;

/** Rows that are to be written, but those that somebody writes. A foreign key that holds their ids is in nobody's way. */
export const unlessLocked = 'FOR NO KEY UPDATE SKIP LOCKED';

export const tokens = `jsonb_to_recordset($1::jsonb) AS o(id uuid, attempt int)`;

/**
 * The guard of a worker's write. `coalesce` hides the status from the planner, which knows of no way to estimate or to index
 * that. With a plain `=` it takes the partial index of running rows (183 ms against 15 ms for 1,000 rows). With any
 * condition that it can estimate, statistics of a moment at which nothing ran make it believe that one row is running: in
 * a table of 5,000 rows it then begins with the table, and compares each of its rows with each of the input
 * (180 ms; test/conformance/plans/set-plans.test.ts).
 */
export const owned = `${byIdOf('o')} AND j.attempt = o.attempt AND coalesce(j.status = 'processing', false)`;

/**
 * The same, where the claim left the row: to look there takes 3 µs less than to look for the id. The comparison of ids is
 * hidden as well, or the planner would look for the id in a small table.
 */
export const ownedInPlace = `j.ctid = o.place
  AND coalesce(j.id = o.id AND j.attempt = o.attempt AND j.status = 'processing', false)`;

/** A condition: from here on the statement waits for no lock longer than that. */
export const waitsAtMost = (ms: number): string => `(SELECT set_config('lock_timeout', '${ms}ms', true)) <> ''`;

/**
 * To wait for a lock costs nothing as long as no row is locked; to look for locked rows first costs a third of a completion.
 * A claim whose snapshot is older than that of another one locks the rows of that one for as long as it takes: with eight
 * busy processes on two cores a wait of 50 ms was not enough for two of five completions. The wait must be shorter than what is
 * left of the shortest lease, 200 ms of 300: these rows cannot be renewed meanwhile.
 */
export const waitsBriefly = waitsAtMost(150);
