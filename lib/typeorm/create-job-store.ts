/*
 * typeorm/: the only folder that imports TypeORM. In: a DataSource of the application. Out: plain settings from which the store opens its
 * own connections, the application's transactions, and the repository of `Job`.
 * Read this file first, then data-source-settings.ts, caller-transactions.ts (EntityManagers in which the queue writes), and for SQLite
 * transaction-serializer.ts (one transaction at a time).
 */
import type { DataSource } from 'typeorm';
import type { Clock } from '../core/clock.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger, silentLogger } from '../core/logger.js';
import type { JobsOptions, JobsSettings } from '../core/options.js';
import { readJobsOptions } from '../core/options.js';
import { systemClock } from '../store/runtime/system-clock.js';
import type { JobStore } from '../store/job-store.js';
import { MovedTimeStore } from '../store/postgres/moved-time-store.js';
import { PostgresStore } from '../store/postgres/postgres-store.js';
import { PostgresSession } from '../store/postgres/session.js';
import type { MovedTime } from '../store/runtime/moved-time.js';
import { SqliteStore } from '../store/sqlite/sqlite-store.js';
import { detectDatabaseKind, mayPipeline, toPostgresDatabase, toSqliteSettings } from './data-source-settings.js';
import { createJobDataSource, StoreConnections } from './job-data-source.js';
import { countTransactions, openPostgresTransactions } from './postgres-transactions.js';
import { checkLockingMode, openSqliteTransactions } from './sqlite-transactions.js';

export interface CreatedStore {
  /** Not open yet. */
  readonly store: JobStore;
  /** The DataSource of the repository of `Job`. The store opens and closes it. */
  readonly dataSource: DataSource;
}

/** What the application gives to its store. */
interface StoreParts {
  /** Default: the process's monotonic clock. */
  readonly clock?: Clock;
  /** Default: logs nothing. */
  readonly logger?: JobsLogger;
  /** Moves the clock of the store, for tests. */
  readonly time?: MovedTime | undefined;
}

const STATEMENT_TIMEOUT_MIN_MS = 5_000;
const STATEMENT_TIMEOUT_MAX_MS = 30_000;
const LOCK_TIMEOUT_MS = 1_000;

/**
 * Creates the store for the database of an initialized DataSource. Call `store.open()` before the engine starts and `store.close()` after
 * it has stopped. Use one store for one engine.
 *
 * @throws InvalidOptionsError for an invalid option, or a database that the queue does not support.
 */
export function createJobStore(
  app: DataSource,
  options: JobsOptions = {},
  { clock = systemClock, logger: given = silentLogger, time }: StoreParts = {},
): CreatedStore {
  const settings = readJobsOptions(options);
  const logger = guardLogger(given, settings.log);
  if (!app.isInitialized) {
    throw new InvalidOptionsError('dataSource', 'expected a DataSource that is initialized');
  }
  if (app.options.dropSchema) {
    // TypeORM empties the whole database while it initializes, including the queue's tables.
    logger.warn('the DataSource has dropSchema: true, so every start of the application deletes all jobs');
  }
  const create = detectDatabaseKind(app) === 'postgres' ? createPostgresStore : createSqliteStore;
  return create(app, settings, { clock, logger, time });
}

type Parts = Required<Pick<StoreParts, 'clock' | 'logger'>> & Pick<StoreParts, 'time'>;

function createPostgresStore(app: DataSource, settings: JobsSettings, { clock, logger, time }: Parts): CreatedStore {
  const { connections, migrate, leaseMs } = settings;
  // A statement that takes longer than the lease is useless. At least 5 s, because some take longer than a short lease.
  const statementTimeoutMs = Math.min(Math.max(leaseMs, STATEMENT_TIMEOUT_MIN_MS), STATEMENT_TIMEOUT_MAX_MS);
  const session = new PostgresSession({ statementTimeoutMs, lockTimeoutMs: LOCK_TIMEOUT_MS }, mayPipeline(app));
  const lent = new StoreConnections();
  const dataSource = createJobDataSource(app, lent);
  const options = {
    ...{ clock, logger, connections, migrate, session },
    database: toPostgresDatabase(app),
    transactionsAtOnce: countTransactions(app),
    openTransactions: (pool: NonNullable<StoreConnections['postgres']>['pool']) => {
      lent.postgres = { pool, session };
      return openPostgresTransactions(app, dataSource);
    },
  };
  return { store: time ? new MovedTimeStore(options, time) : new PostgresStore(options), dataSource };
}

function createSqliteStore(app: DataSource, settings: JobsSettings, { clock, logger, time }: Parts): CreatedStore {
  const { migrate, sqlite } = settings;
  const database = toSqliteSettings(app);
  const lent = new StoreConnections();
  const dataSource = createJobDataSource(app, lent);
  const isInMemory = database.driver === 'better-sqlite3' && database.shared !== undefined;
  const store = new SqliteStore({
    ...{ clock, migrate, time, database },
    synchronous: sqlite.synchronous,
    lockTimeoutMs: sqlite.lockTimeoutMs,
    checkApplication: () => (isInMemory ? Promise.resolve() : checkLockingMode(app)),
    openTransactions: (own, listener) => {
      lent.sqlite = own;
      return openSqliteTransactions(app, dataSource, listener, { ...sqlite, clock, logger });
    },
  });
  return { store, dataSource };
}
