import { InvalidOptionsError, JobsError, QueueUnavailableError, UnknownDataSourceError } from '../../core/errors.js';
import type { JobsTransaction } from '../../core/jobs-transaction.js';
import type { SqlRow, SqlRunner } from '../runtime/sql-runner.js';
import { toAnonymousParameters } from '../runtime/sql-runner.js';
import { lacksTable, toSqlError } from '../runtime/sql-error.js';
import { FAIL_TRANSACTION } from './refuse.postgres.js';
import type {
  ApplicationTransactions,
  PostgresTransactions,
  SqliteTransactions,
  StoreTransaction,
  TransactionCall,
} from './application-transactions.js';

/** A transaction that an adapter of this package has made. */
export interface AdaptedTransaction extends JobsTransaction {
  /** Name of the ORM. */
  readonly orm: string;
  /** The object that the adapter expects. */
  readonly expected: string;
  /** Set where the driver is synchronous and the transaction ends with its callback. Then `query` is not used. */
  readonly querySync?: ((sql: string, params: readonly unknown[]) => readonly SqlRow[]) | undefined;
}

export function isJobsTransaction(tx: StoreTransaction): tx is JobsTransaction {
  const { query, handle } = (tx ?? {}) as Partial<JobsTransaction>;
  // The transaction of Knex and of postgres.js is a function.
  return (
    typeof query === 'function' && (typeof handle === 'function' || (typeof handle === 'object' && handle !== null))
  );
}

/** The object that identifies a transaction: two calls of an adapter make two objects for one transaction. */
export function identifyTransaction(tx: StoreTransaction): object {
  return isJobsTransaction(tx) ? tx.handle : tx;
}

/** Whether the transaction does not tell its end. */
export function endsUnseen(tx: StoreTransaction): boolean {
  return isJobsTransaction(tx) && tx.onEnd === undefined;
}

/** Whether the transaction ends with its callback, within the tick. */
export function endsWithTick(tx: StoreTransaction): boolean {
  return isJobsTransaction(tx) && (tx as Partial<AdaptedTransaction>).querySync !== undefined;
}

/** Returns an error that names the ORM, and what to pass. @param got what is wrong with the transaction. */
export function toTransactionRefusal(
  { orm, expected }: Pick<AdaptedTransaction, 'orm' | 'expected'>,
  got: string,
  options?: ErrorOptions,
): InvalidOptionsError {
  return new InvalidOptionsError('tx', `${orm}: expected ${expected}, got ${got}`, options);
}

/** Returns the transactions of the application, and those of any ORM through an adapter. */
export function acceptAdapters<T extends ApplicationTransactions>(transactions: T, database: 'postgres' | 'sqlite'): T {
  return {
    ...transactions,
    createRunner: (tx) => (isJobsTransaction(tx) ? createAdaptedRunner(tx, database) : transactions.createRunner(tx)),
    join: (tx, onEnd) =>
      isJobsTransaction(tx) ? joinJobsTransaction(tx, onEnd, database) : transactions.join(tx, onEnd),
  };
}

/** The transactions of an application without TypeORM: each comes through an adapter. */
export const NO_TRANSACTIONS: PostgresTransactions & SqliteTransactions = {
  atOnce: 0,
  run: () => refuse(),
  createRunner: () => refuse(),
  join: () => refuse(),
  close: () => Promise.resolve(),
  isOpen: () => false,
  describeOpen: () => undefined,
  makeCommitsDurable: () => undefined,
};

function refuse(): never {
  throw new InvalidOptionsError(
    'tx',
    'expected an open transaction through its adapter, such as fromPrisma(tx) of nestjs-jobs/orm',
  );
}

/**
 * Adds a call to a transaction of an ORM. Nothing keeps such a transaction from ending before the call has finished. After a failed
 * statement PostgreSQL rolls back at COMMIT; SQLite has nothing like it.
 */
function joinJobsTransaction(
  tx: JobsTransaction,
  onEnd: (committed: boolean) => void,
  database: 'postgres' | 'sqlite',
): TransactionCall {
  tx.onEnd?.(onEnd);
  const fail = async (): Promise<void> => void (await tx.query(FAIL_TRANSACTION, []));
  return {
    finish: (refusal?: Error) => (refusal && database === 'postgres' ? fail().catch(() => undefined) : undefined),
  };
}

/** Runs statements of the queue in a transaction of an ORM. @param database decides how parameters are written. */
function createAdaptedRunner(tx: JobsTransaction, database: 'postgres' | 'sqlite'): SqlRunner {
  const adapted = describe(tx);
  const prepare = database === 'postgres' ? toTextParameters : toOrderedParameters;
  const { querySync } = adapted;
  const run = <T>(
    work: (text: string, params: readonly unknown[]) => T,
    sql: string,
    params: readonly unknown[],
  ): T => {
    const prepared = prepare(sql, params);
    return work(prepared.text, prepared.params);
  };
  return {
    query: async (sql, params) => {
      try {
        return await run((text, values) => tx.query(text, values), sql, params);
      } catch (error) {
        throw toAdaptedError(adapted, error);
      }
    },
    querySync:
      querySync &&
      ((sql, params) => {
        try {
          return run(querySync, sql, params);
        } catch (error) {
          throw toAdaptedError(adapted, error);
        }
      }),
  };
}

interface PreparedSql {
  readonly text: string;
  readonly params: readonly unknown[];
}

function toOrderedParameters(sql: string, params: readonly unknown[]): PreparedSql {
  const { text, order } = toAnonymousParameters(sql);
  return { text, params: order ? order.map((at) => params[at]) : params };
}

/** postgres.js would encode the text of a JSON parameter once more, and ORMs write arrays in ways of their own. */
function toTextParameters(sql: string, params: readonly unknown[]): PreparedSql {
  return {
    text: sql.replace(/(\$\d+)::jsonb/g, '$1::text::jsonb'),
    params: params.map((value) => (Array.isArray(value) ? toQuotedArray(value) : value)),
  };
}

function toQuotedArray(values: readonly unknown[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : JSON.stringify(typeof value === 'string' ? value : JSON.stringify(value)))).join(',')}}`;
}

/** A transaction that the application has adapted itself is named by the class of its handle. */
function describe(tx: JobsTransaction): AdaptedTransaction {
  const { orm, expected } = tx as Partial<AdaptedTransaction>;
  return orm !== undefined && expected !== undefined
    ? (tx as AdaptedTransaction)
    : {
        query: (sql, params) => tx.query(sql, params),
        handle: tx.handle,
        orm: tx.handle.constructor?.name ?? 'object',
        expected: 'an open transaction',
      };
}

/** `in_failed_sql_transaction`: an earlier statement of the transaction has failed. */
const TRANSACTION_HAS_FAILED = '25P02';
/** `read_only_sql_transaction`, and the code of SQLite. */
const READ_ONLY = /^(25006|SQLITE_READONLY.*)$/;

function toAdaptedError(tx: AdaptedTransaction, error: unknown): unknown {
  if (error instanceof JobsError) {
    return error;
  }
  const cause = findDriverError(error);
  if (!cause) {
    const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
    return toTransactionRefusal(tx, `one that refuses statements (${reason}); await every queue call inside it`, {
      cause: error,
    });
  }
  const failure = toSqlError(cause, error);
  const code = String(failure.driverCode);
  if (code === TRANSACTION_HAS_FAILED) {
    return toTransactionRefusal(
      tx,
      'one in which an earlier statement has failed; roll it back, as a whole or to a savepoint',
      { cause: failure },
    );
  }
  if (READ_ONLY.test(code)) {
    return new QueueUnavailableError(
      `${tx.orm}: the transaction is read-only; pass ${tx.expected} that may write, on the primary server`,
      { cause: failure },
    );
  }
  if (lacksTable(failure)) {
    return new UnknownDataSourceError(toOtherDatabaseText(tx), { cause: failure });
  }
  return failure;
}

/** The id to look for: an EntityManager has been compared by its DataSource, and the queue's own transactions need no check. */
export function idToFind(tx: StoreTransaction | undefined, queueId: string | null): string | null {
  return tx && isJobsTransaction(tx) ? queueId : null;
}

/** @param rows of `IS_HERE`. @throws UnknownDataSourceError when the transaction is one of another database. */
export function assertQueueIsHere(tx: StoreTransaction, [row]: readonly SqlRow[]): void {
  if (Number(row?.is_here) !== 1) {
    throw new UnknownDataSourceError(toOtherDatabaseText(tx));
  }
}

/** The text of the error for a transaction of another database. */
function toOtherDatabaseText(tx: StoreTransaction): string {
  const subject = isJobsTransaction(tx) ? `${describe(tx).orm}: ${describe(tx).expected}` : 'the EntityManager';
  return `${subject} must belong to the queue's database, got one of another database; the job and your writes would not commit together`;
}

/** Members in which ORMs keep the error of their driver. */
const INNER = ['cause', 'original', 'parent', 'driverError', 'previous', 'driverAdapterError', 'meta'] as const;
const DEPTH_MAX = 6;

/** Finds the error of the driver below the errors of an ORM. `undefined`: the ORM itself has refused the call. */
function findDriverError(error: unknown, depth = 0): object | undefined {
  if (typeof error !== 'object' || error === null || depth > DEPTH_MAX) {
    return undefined;
  }
  const inner = error as Partial<Record<(typeof INNER)[number], unknown>>;
  for (const name of INNER) {
    const found = findDriverError(inner[name], depth + 1);
    if (found) {
      return found;
    }
  }
  return toDriverError(error);
}

interface PossibleError {
  readonly code?: unknown;
  readonly severity?: unknown;
  readonly message?: unknown;
  /** Prisma's names. */
  readonly originalCode?: unknown;
  readonly originalMessage?: unknown;
}

/** No connection, or no reply: Node, `pg`, postgres.js and Prisma. */
const NO_CONNECTION = /^(E[A-Z]{4,}|CONNECT_TIMEOUT|CONNECTION_[A-Z]+|P1\d{3})$/;
const NO_CONNECTION_TEXT = /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout)/;

const SQL_STATE = /^[0-9A-Z]{5}$/;

function toDriverError(error: PossibleError): object | undefined {
  if (typeof error.originalCode === 'string') {
    return toPlainError(error.originalCode, error.originalMessage);
  }
  const { code, message, severity } = error;
  const isKnown =
    (typeof code === 'string' && (code.startsWith('SQLITE_') || NO_CONNECTION.test(code))) ||
    NO_CONNECTION_TEXT.test(String(message)) ||
    (typeof severity === 'string' && SQL_STATE.test(String(code)));
  return isKnown ? error : undefined;
}

/** Prisma passes on the code and the text of the driver's error only. */
function toPlainError(code: string, message: unknown): object {
  return Object.assign(new Error(String(message)), { code, severity: 'ERROR' });
}
