import type { Clock } from '../core/clock.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger, silentLogger } from '../core/logger.js';
import type { JobsOptions, JobsSettings } from '../core/options.js';
import { readJobsOptions } from '../core/options.js';
import type { RunInTransaction } from '../core/jobs-transaction.js';
import type { JobStore } from './job-store.js';
import { readPlainDatabase } from './plain-database.js';
import { MovedTimeStore } from './postgres/moved-time-store.js';
import type { PostgresStoreOptions } from './postgres/postgres-store.js';
import { PostgresStore } from './postgres/postgres-store.js';
import { PostgresSession } from './postgres/session.js';
import type { MovedTime } from './runtime/moved-time.js';
import { systemClock } from './runtime/system-clock.js';
import type { SqliteStoreOptions } from './sqlite/sqlite-store.js';
import { SqliteStore } from './sqlite/sqlite-store.js';
import type { StoreTransaction } from './transactions/application-transactions.js';
import { NO_TRANSACTIONS } from './transactions/adapted-transactions.js';

/** What the application gives to its store. */
export interface StoreParts {
  /** Default: the process's monotonic clock. */
  readonly clock?: Clock;
  /** Default: logs nothing. */
  readonly logger?: JobsLogger;
  /** Moves the clock of the store, for tests. */
  readonly time?: MovedTime | undefined;
}

export type CheckedParts = Required<Pick<StoreParts, 'clock' | 'logger'>> & Pick<StoreParts, 'time'>;

/** Checks the options of a store, and adds the defaults of its parts. */
export function checkStoreParts(
  options: JobsOptions,
  { clock = systemClock, logger = silentLogger, time }: StoreParts,
): { settings: JobsSettings; parts: CheckedParts } {
  const settings = readJobsOptions(options);
  return { settings, parts: { clock, logger: guardLogger(logger, settings.log), time } };
}

/**
 * Creates the store for the database in the options, without TypeORM. Call `store.open()` before the engine starts and `store.close()`
 * after it has stopped.
 *
 * @throws InvalidOptionsError for an invalid option, or without a driver.
 */
export function createDatabaseStore(options: JobsOptions, given: StoreParts = {}): JobStore {
  const { settings, parts } = checkStoreParts(options, given);
  if (settings.database === undefined) {
    throw new InvalidOptionsError(
      'database',
      "expected 'postgres://user@host/database' or 'sqlite:path/to/file', got none",
    );
  }
  const plain = readPlainDatabase(settings.database);
  if (plain.kind === 'postgres') {
    return createPostgresStore(settings, parts, {
      database: plain.database,
      transactionsAtOnce: 0,
      openTransactions: () => Promise.resolve(NO_TRANSACTIONS),
    });
  }
  return createSqliteStore(settings, parts, {
    database: plain.settings,
    checkApplication: () => Promise.resolve(),
    openTransactions: () => Promise.resolve(NO_TRANSACTIONS),
  });
}

const STATEMENT_TIMEOUT_MIN_MS = 5_000;
const STATEMENT_TIMEOUT_MAX_MS = 30_000;
const LOCK_TIMEOUT_MS = 1_000;

type PostgresParts = Pick<PostgresStoreOptions, 'database' | 'transactionsAtOnce'> & {
  readonly openTransactions: (
    ...args: [...Parameters<PostgresStoreOptions['openTransactions']>, PostgresSession]
  ) => ReturnType<PostgresStoreOptions['openTransactions']>;
};

export function createPostgresStore(
  { connections, migrate, leaseMs, transactions, concurrency }: JobsSettings,
  { clock, logger, time }: CheckedParts,
  { openTransactions, ...given }: PostgresParts,
): PostgresStore {
  // A statement that takes longer than the lease is useless. At least 5 s, because some take longer than a short lease.
  const statementTimeoutMs = Math.min(Math.max(leaseMs, STATEMENT_TIMEOUT_MIN_MS), STATEMENT_TIMEOUT_MAX_MS);
  // Proxies that do not support pipelining need `pipeline: false` in the settings of `pg`.
  const mayPipeline = given.database.config.pipeline !== false;
  const session = new PostgresSession({ statementTimeoutMs, lockTimeoutMs: LOCK_TIMEOUT_MS }, mayPipeline);
  const options: PostgresStoreOptions = {
    ...{ clock, logger, connections, migrate, session },
    ...given,
    // Each handler takes a transaction of the ORM, whose pool the queue does not know.
    ...(transactions && { transactionsAtOnce: concurrency }),
    openTransactions: async (pool) => {
      const opened = await openTransactions(pool, session);
      return transactions ? { ...opened, run: (work) => runThrough(transactions, work) } : opened;
    },
  };
  return time ? new MovedTimeStore(options, time) : new PostgresStore(options);
}

/** How the last call of work has ended; `undefined`: it has not. */
type WorkEnd<T> = { readonly value: T } | { readonly error: unknown } | undefined;

/**
 * Runs work through the option `transactions`, whose function may call it again after a failure.
 *
 * @throws InvalidOptionsError when the function resolves although its last call of work failed, still runs, or was never made.
 */
async function runThrough<T>(run: RunInTransaction, work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
  let end: WorkEnd<T>;
  await run(async (tx) => {
    end = undefined;
    try {
      const value = await work(tx);
      end = { value };
      return value;
    } catch (error) {
      end = { error };
      throw error;
    }
  });
  const last = end;
  if (last && 'value' in last) {
    return last.value;
  }
  throw new InvalidOptionsError(
    'transactions',
    'must return the promise of work and pass on its rejection: (work) => prisma.$transaction((tx) => work(fromPrisma(tx)))',
    last && { cause: last.error },
  );
}

export function createSqliteStore(
  { migrate, sqlite }: JobsSettings,
  { clock, time }: CheckedParts,
  given: Pick<SqliteStoreOptions, 'database' | 'checkApplication' | 'openTransactions'>,
): SqliteStore {
  const { synchronous, lockTimeoutMs } = sqlite;
  return new SqliteStore({ ...{ clock, migrate, time, synchronous, lockTimeoutMs }, ...given });
}
