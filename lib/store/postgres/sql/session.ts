/*
 * What statements run under. Joins are nested loops from the input on: they touch rows in the order of the input, which is
 * that of the ids, so that two writers never wait in a circle; and neither stale statistics nor a plan that was made while
 * the table was empty can turn a set of ids into a scan of the table. What has no index to go by is scanned all the same,
 * but seems so dear to the planner that it would compile it: hence `jit`.
 *
 * A plan takes as long as a small statement. By itself the server keeps one only while a plan that knows the values is hardly
 * cheaper: not for a claim with its limit, nor for a while after it has noticed that the table has grown. No statement of the
 * queue has a better plan for some values than for others, so each is planned without them: hence `plan_cache_mode`. Nor does
 * the planner know then how few rows a limit lets through, and would collect all that there are first: hence `enable_bitmapscan`.
 * Neither holds for what others ask by the repository of jobs: a plan for any `status` can use no index of some of them.
 *
 * What they are answered is read by the driver, which knows times in one form only: hence `datestyle`.
 *
 * Of a process whose machine or network is gone the server hears nothing, for hours. What its transaction has locked must not
 * stay so for as long: hence `idle_in_transaction_session_timeout`, not shorter than a process waits for an answer.
 */

/** Bounds of the queue's statements, in milliseconds. */
export interface SessionLimits {
  /** No statement takes longer. */
  readonly statementTimeoutMs: number;
  /** Nor does it wait longer for a lock; it is sent again then, behind what waits for a connection. */
  readonly lockTimeoutMs: number;
}

/** The client's own limit for a statement, for a network that goes silent without a word. */
export function clientTimeoutMs({ statementTimeoutMs }: SessionLimits): number {
  return statementTimeoutMs + 1_000;
}

const planning = [
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
  ...planning,
  ['extra_float_digits', '1'],
  ['datestyle', 'ISO'],
];

const defaultsOfTransactions = [
  ['default_transaction_isolation', 'read committed'],
  ['default_transaction_read_only', 'off'],
] as const;

/**
 * For a whole session, provided that the connection leads to the process that its greeting has named: one row for each
 * setting, none when it does not. Without a name it is taken for granted.
 */
export const setForSession = (limits: SessionLimits, processId?: number): string => {
  const values = [...defaultsOfTransactions, ...settings(limits)].map(([name, value]) => `('${name}', '${value}')`);
  const isDirect = processId === undefined ? 'true' : `pg_backend_pid() = ${Number(processId)}`;
  return `SELECT set_config(name, value, false) FROM (VALUES ${values.join(', ')}) s(name, value) WHERE ${isDirect}`;
};

/** For a session, while others ask by it: plans are left to the server. */
export const LEAVE_PLANNING = planning.map(([name]) => `RESET ${name}`).join('; ');

/** For a session, when the queue has it back. */
export const TAKE_PLANNING = planning.map(([name, value]) => `SET ${name} = '${value}'`).join('; ');

/**
 * The first statement of a transaction, for the rest of it. Whether it may write is left to the server: a standby would
 * refuse to be asked, in words that do not say that it is one.
 */
export const setForTransaction = (limits: SessionLimits): string =>
  [
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ...settings(limits).map(([name, value]) => `SET LOCAL ${name} = '${value}'`),
  ].join('; ');
