/*
 * Settings of connections, their ping, and notifications.
 *
 * Joins are nested loops that start from the input. They visit rows in the order of the input, which is the order of ids, so two
 * writers never wait for each other in a circle. Neither stale statistics nor a plan that was made while the table was empty can
 * make a statement for a set of ids scan the whole table. A scan without an index still happens in other statements, but its
 * estimated cost would trigger the compiler: hence `jit`.
 *
 * Planning takes as long as a small statement. By default the server keeps a plan only while a plan for the given values is hardly
 * cheaper: not for a claim with its limit, nor for a while after the table has grown. No statement of the queue has a better plan
 * for some values than for others, so each is planned without them: hence `plan_cache_mode`. The planner then does not know how few
 * rows a limit lets through, and would collect all rows first: hence `enable_bitmapscan`. Neither setting suits the queries of
 * `@InjectRepository(Job)`: a plan for any `status` cannot use the partial indexes.
 *
 * The driver parses times in one format only: hence `datestyle`.
 *
 * When the machine or the network of a process is gone, the server does not notice for hours. The locks of its transaction must not
 * last as long: hence `idle_in_transaction_session_timeout`, not shorter than a process waits for a result.
 */

/** Limits of the queue's statements, in milliseconds. */
export interface SessionLimits {
  /** How long a statement may run. */
  readonly statementTimeoutMs: number;
  /** How long it may wait for a lock. The queue then sends it again, behind the callers that wait for a connection. */
  readonly lockTimeoutMs: number;
}

/** Returns the client's own limit for a statement, for a network that drops packets silently. */
export function clientTimeoutMs({ statementTimeoutMs }: SessionLimits): number {
  return statementTimeoutMs + 1_000;
}

const planner = [
  ['enable_bitmapscan', 'off'],
  ['plan_cache_mode', 'force_generic_plan'],
] as const;

const settings = (limits: SessionLimits): readonly (readonly [string, string])[] => [
  ['statement_timeout', String(Math.round(limits.statementTimeoutMs))],
  ['lock_timeout', String(Math.round(limits.lockTimeoutMs))],
  ['idle_in_transaction_session_timeout', String(Math.round(clientTimeoutMs(limits)))],
  ['synchronous_commit', 'on'],
  ['enable_hashjoin', 'off'],
  ['enable_mergejoin', 'off'],
  ['enable_seqscan', 'off'],
  ['enable_tidscan', 'on'],
  ['jit', 'off'],
  ...planner,
  ['extra_float_digits', '1'],
  ['datestyle', 'ISO'],
];

const transactionDefaults = [
  ['default_transaction_isolation', 'read committed'],
  ['default_transaction_read_only', 'off'],
] as const;

/**
 * Sets up a session. Returns one row for each setting, with `is_standby` as text. If the server process is not `processId`, it sets
 * nothing and returns no row. Without a `processId` it does not check that.
 */
export const setForSession = (limits: SessionLimits, processId?: number): string => {
  const values = [...transactionDefaults, ...settings(limits)].map(([name, value]) => `('${name}', '${value}')`);
  const isDirect = processId === undefined ? 'true' : `pg_backend_pid() = ${Number(processId)}`;
  return `SELECT set_config(name, value, false), pg_is_in_recovery()::text AS is_standby
    FROM (VALUES ${values.join(', ')}) s(name, value) WHERE ${isDirect}`;
};

/** Resets the planner settings of a session. */
export const RESET_PLANNER = planner.map(([name]) => `RESET ${name}`).join('; ');

/**
 * Resets them for one transaction: the planner then knows the values of a statement, and may read an index that needs `bitmapscan`. Each is
 * a statement of its own, because the driver returns the results of several together in another form.
 */
export const RESET_PLANNER_LOCALLY = planner.map(([name]) => `SET LOCAL ${name} TO DEFAULT`);

/** Sets them again. */
export const SET_PLANNER = planner.map(([name, value]) => `SET ${name} = '${value}'`).join('; ');

/**
 * Sets up one transaction; it is its first statement. It does not set READ WRITE: a standby rejects that with an error that does
 * not say that it is a standby.
 */
export const setForTransaction = (limits: SessionLimits): string =>
  [
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ...settings(limits).map(([name, value]) => `SET LOCAL ${name} = '${value}'`),
  ].join('; ');

/** A transaction of several statements; the session's defaults apply. */
export const BEGIN = 'BEGIN';
export const COMMIT = 'COMMIT';
export const ROLLBACK = 'ROLLBACK';

/** Tests that a connection is alive. */
export const PING = 'SELECT 1';

/** Channel for new jobs: the payload names topics, or is empty for any topic. */
export const JOBS_CHANNEL = 'nestjs_jobs';
/** Channel for cancel requests. */
export const CANCEL_CHANNEL = 'nestjs_jobs_cancel';

/** Channel for changes of the list of live processes. */
export const WORKERS_CHANNEL = 'nestjs_jobs_workers';
/** A schedule has changed. */
export const SCHEDULES_CHANNEL = 'nestjs_jobs_schedules';
/** Channel for the test message of a new listening connection. */
export const ECHO_CHANNEL = 'nestjs_jobs_echo';

/** Sends a notification: $1 channel, $2 payload. */
export const NOTIFY = 'SELECT pg_notify($1, $2)';

/** Subscribes a connection to all channels. */
export const LISTEN = [JOBS_CHANNEL, CANCEL_CHANNEL, SCHEDULES_CHANNEL, WORKERS_CHANNEL, ECHO_CHANNEL]
  .map((channel) => `LISTEN ${channel}`)
  .join('; ');

/** The process of the server that serves this connection. */
export const BACKEND = 'SELECT pg_backend_pid() AS pid';
