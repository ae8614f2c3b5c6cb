import { DatabaseRefusedError } from '../core/errors.js';

/**
 * What a driver's error means for the caller.
 * - `unavailable`: no answer; whether a write was stored is unknown.
 * - `closed`: this process has ended the connection; nothing was sent.
 * - `cancelled`: it took longer than the statement timeout, or somebody cancelled it; nothing was stored.
 * - `busy`: a deadlock, a serialization conflict, an outdated plan or a locked file; nothing was stored, the same statement
 *   may succeed.
 * - `locked`: a row or a key was not set free in time; nothing was stored.
 * - `unique`: a unique index refused a row.
 * - `refused`: the data, or the statement, is wrong and will be wrong again.
 * - `denied`: a login, a privilege, a table or a setting stands in the way, whatever the data; nothing was stored.
 */
export type SqlErrorKind = 'unavailable' | 'closed' | 'cancelled' | 'busy' | 'locked' | 'unique' | 'refused' | 'denied';

/** Every driver's error in one shape. Callers of the queue meet it as a `DatabaseRefusedError`, and others translated. */
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

  /** What came: the cause, or TypeORM's wrapping of it. That has parameters, payloads for example, which no log is to show. */
  get thrown(): unknown {
    return this.#thrown;
  }

  /** What the driver calls it: an SQLSTATE, or the name of a result of SQLite's. */
  get driverCode(): unknown {
    return (this.cause as { code?: unknown } | undefined)?.code;
  }
}

/** Any driver's error, or TypeORM's wrapping of it, in the one shape. */
export function toSqlError(error: unknown): SqlError {
  if (error instanceof SqlError) {
    return error;
  }
  const cause = (error as { driverError?: unknown }).driverError ?? error;
  const { code, message, severity } = cause as Record<'code' | 'message' | 'severity', unknown>;
  const text = typeof message === 'string' ? message : 'unknown error';
  // The driver's complaints about its own arguments are slips of ours, not news of the connection.
  const isSlip = !CLOSED.test(text) && (cause instanceof TypeError || cause instanceof RangeError);
  const kind = isSlip ? 'refused' : kindOf(typeof code === 'string' ? code : '', text, typeof severity === 'string');
  return new SqlError(kind, text, { cause }, error);
}

/** What callers hear of `closed`. */
export const QUEUE_CLOSED = 'the queue is closed: its application has ended, or is about to';

/** The error text of `denied`. */
export function deniedText(error: SqlError): string {
  const advice = lacksTable(error)
    ? '; its tables are missing: run the TypeORM migrations `jobsMigrations`, or restart with `migrate: true`, which creates them' +
      ' (drop `_jobs_migrations` first if it is still there)'
    : '';
  return `the database refuses the queue: ${error.message}${advice}`;
}

/** Whether a table of the queue is missing. */
function lacksTable({ message, driverCode }: SqlError): boolean {
  return (
    /\b_jobs(_rollup|_workers|_topics)?\b/.test(message) && (/no such table/.test(message) || driverCode === '42P01')
  );
}

/** What the pool of `pg`, `better-sqlite3` and `sqlite3` say, in this order. */
const CLOSED =
  /^(Cannot use a pool after calling end|The database connection is not open|SQLITE_MISUSE: Database .*closed)/;

/** @param isOfServer whether it has what errors of a PostgreSQL server have beside their code. */
function kindOf(code: string, message: string, isOfServer: boolean): SqlErrorKind {
  if (CLOSED.test(message)) {
    return 'closed';
  }
  if (code.startsWith('SQLITE_')) {
    return sqliteKindOf(code, message);
  }
  // Without a SQLSTATE the error is the socket's (EPIPE looks like one), or the driver's word for "no connection".
  return isOfServer && /^[0-9A-Z]{5}$/.test(code) ? postgresKindOf(code) : 'unavailable';
}

/** better-sqlite3 gives extended codes. sqlite3 has the plain ones, and only SQLite's own words say which constraint it was. */
function sqliteKindOf(code: string, message: string): SqlErrorKind {
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
 * 25P04 ended the session, and of 40003 nobody knows.
 */
const unavailable = /^(08|25006|25P0[34]|40|53|57|58|XX)/;

/**
 * Classes 0L and 0P grants, 25 state of the transaction, 26 prepared statements, 28 login, 3D and 3F database and schema, 55 state
 * of an object, 72 snapshots, F0 the server's settings; and a privilege, a table, a column, a function or a type that is missing.
 * All others are the data's fault, those that triggers of the application make up among them.
 */
const denied = /^(0L|0P|25|26|28|3D|3F|42(501|P01|703|883|704)|55|72|F0)/;

function postgresKindOf(code: string): SqlErrorKind {
  if (code === '23505') {
    return 'unique';
  }
  if (code === '55P03') {
    return 'locked';
  }
  // 0A000: somebody has changed the type of a column that a prepared statement answers; that connection is given up.
  if (code === '40001' || code === '40P01' || code === '0A000') {
    return 'busy';
  }
  if (code === '57014') {
    return 'cancelled';
  }
  return unavailable.test(code) ? 'unavailable' : denied.test(code) ? 'denied' : 'refused';
}

/** What `pg` and its pool say without a code when there is no connection or no answer; TypeORM hands it on as it came. */
const NO_CONNECTION = /^(timeout exceeded when trying to connect|Connection terminated|Query read timeout)/;

/** What TypeORM says of a DataSource that is not connected, or not any more. */
const NOT_CONNECTED = /NotConnectedError$|^(ConnectionIsNotSetError|QueryRunnerAlreadyReleasedError)$/;

/** Whether an error comes from a database, of the queue or of the application: by its shape, since there may be two TypeORMs. */
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
