import { DatabaseRefusedError } from '../../core/errors.js';

/**
 * The meaning of a driver's error. A write may have been stored only after `unavailable`.
 * - `unavailable`: no reply.
 * - `closed`: this process has closed the connection; nothing was sent.
 * - `cancelled`: the statement took longer than its timeout, or was cancelled by an operator.
 * - `busy`: a deadlock, a serialization conflict, an outdated plan or a locked file; the same statement may succeed.
 * - `locked`: a lock on a row or a key was not released in time.
 * - `unique`: a unique index refused a row.
 * - `refused`: the data or the statement is wrong; trying again does not help.
 * - `denied`: a login, a privilege, a table or a setting is missing or wrong, whatever the data.
 */
export type SqlErrorKind = 'unavailable' | 'closed' | 'cancelled' | 'busy' | 'locked' | 'unique' | 'refused' | 'denied';

/** An error of any driver. Callers of the queue receive it as a `DatabaseRefusedError`, or translated. */
export class SqlError extends DatabaseRefusedError {
  readonly #thrown: unknown;

  constructor(
    readonly kind: SqlErrorKind,
    message: string,
    options: ErrorOptions,
    thrown = options.cause,
  ) {
    super(message, options);
    this.name = 'DatabaseRefusedError';
    this.#thrown = thrown;
  }

  /** The error as it was thrown: the cause, or TypeORM's wrapper. The wrapper holds parameters such as payloads: never log it. */
  get thrown(): unknown {
    return this.#thrown;
  }

  /** The driver's code: an SQLSTATE, or the name of a SQLite result. */
  get driverCode(): unknown {
    return (this.cause as { code?: unknown } | undefined)?.code;
  }
}

/** Converts an error of a driver, or TypeORM's wrapper of one. @param thrown what the caller of the driver has received. */
export function toSqlError(error: unknown, thrown = error): SqlError {
  if (error instanceof SqlError) {
    return error;
  }
  const cause = (error as { driverError?: unknown }).driverError ?? error;
  const { code, message, severity } = cause as Record<'code' | 'message' | 'severity', unknown>;
  const text = typeof message === 'string' ? message : 'unknown error';
  // A driver throws TypeError and RangeError for wrong arguments: our mistake, not an outage.
  const isWrongArgument = !CLOSED.test(text) && (cause instanceof TypeError || cause instanceof RangeError);
  const kind = isWrongArgument
    ? 'refused'
    : toKind(typeof code === 'string' ? code : '', text, typeof severity === 'string');
  return new SqlError(kind, text, { cause }, thrown);
}

/** The error text of `closed`. */
export const QUEUE_CLOSED = 'the queue is closed: its application has ended, or is about to';

/** The error text of `denied`. */
export function toDeniedText(error: SqlError): string {
  const advice = lacksTable(error)
    ? '; its tables are missing: run `npx nestjs-jobs migrate` or the TypeORM migrations `jobsMigrations`, or restart with `migrate: true`, which creates them' +
      ' (drop `_jobs_migrations` first if it is still there)'
    : '';
  return `the database refuses the queue: ${error.message}${advice}`;
}

/** Whether a table of the queue is missing. */
export function lacksTable({ message, driverCode }: SqlError): boolean {
  return (
    /\b_jobs(_rollup|_workers|_topics|_links|_groups|_meta)?\b/.test(message) &&
    (/no such table/.test(message) || driverCode === '42P01')
  );
}

/** The messages of the pool of `pg`, of `better-sqlite3` and of `sqlite3`. */
const CLOSED =
  /^(Cannot use a pool after calling end|The database connection is not open|SQLITE_MISUSE: Database .*closed)/;

/** @param isOfServer whether it has the fields of an error of a PostgreSQL server. */
function toKind(code: string, message: string, isOfServer: boolean): SqlErrorKind {
  if (CLOSED.test(message)) {
    return 'closed';
  }
  if (code.startsWith('SQLITE_')) {
    return toSqliteKind(code, message);
  }
  // Without an SQLSTATE the error comes from the socket (EPIPE only looks like an SQLSTATE), or the driver has no connection.
  return isOfServer && /^[0-9A-Z]{5}$/.test(code) ? toPostgresKind(code) : 'unavailable';
}

/** better-sqlite3 has extended codes. With sqlite3 only the message names the constraint. */
function toSqliteKind(code: string, message: string): SqlErrorKind {
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return 'busy';
  }
  if (/^SQLITE_CONSTRAINT(_UNIQUE|_PRIMARYKEY)?$/.test(code) && message.includes('UNIQUE constraint failed')) {
    return 'unique';
  }
  if (code === 'SQLITE_ERROR' && /^no such (table|column|index)|: no such (table|column|index)/.test(message)) {
    return 'denied';
  }
  return /^SQLITE_(CONSTRAINT|ERROR|MISMATCH|RANGE|TOOBIG)/.test(code) ? 'refused' : 'unavailable';
}

/**
 * Classes 08 connection, 53 resources, 57 operator intervention, 58 system, XX internal; 25006 is a read-only server, 25P03 and
 * 25P04 ended the session, and after 40003 the outcome is unknown.
 */
const unavailable = /^(08|25006|25P0[34]|40|53|57|58|XX)/;

/**
 * Classes 0L and 0P grants, 25 state of the transaction, 26 prepared statements, 28 login, 3D and 3F database and schema, 55 state
 * of an object, 72 snapshots, F0 the server's settings; and a privilege, a table, a column, a function or a type that is missing.
 * All others are caused by the data, including those that triggers of the application raise.
 */
const denied = /^(0L|0P|25|26|28|3D|3F|42(501|P01|703|883|704)|55|72|F0)/;

function toPostgresKind(code: string): SqlErrorKind {
  if (code === '23505') {
    return 'unique';
  }
  if (code === '55P03') {
    return 'locked';
  }
  // 0A000: the type of a column changed under a prepared statement; that connection is discarded.
  if (code === '40001' || code === '40P01' || code === '0A000') {
    return 'busy';
  }
  if (code === '57014') {
    return 'cancelled';
  }
  return unavailable.test(code) ? 'unavailable' : denied.test(code) ? 'denied' : 'refused';
}

/** Messages of `pg` and its pool without a code: no connection or no reply. TypeORM passes them on unchanged. */
const NO_CONNECTION = /^(timeout exceeded when trying to connect|Connection terminated|Query read timeout)/;

/** TypeORM's errors for a DataSource that is not connected. */
const NOT_CONNECTED = /NotConnectedError$|^(ConnectionIsNotSetError|QueryRunnerAlreadyReleasedError)$/;

/** Returns whether an error comes from a database, the queue's or the application's. Checks its shape: there may be two TypeORMs. */
export function isDatabaseError(error: object): boolean {
  const { code, name, message, severity } = error as Record<'code' | 'name' | 'message' | 'severity', unknown>;
  return (
    error instanceof SqlError ||
    'driverError' in error ||
    (typeof severity === 'string' && /^[0-9A-Z]{5}$/.test(String(code))) ||
    String(code).startsWith('SQLITE_') ||
    NOT_CONNECTED.test(String(name)) ||
    NO_CONNECTION.test(String(message)) ||
    CLOSED.test(String(message))
  );
}
