/*
 * typeorm/: the only folder that imports TypeORM. In: a DataSource of the application. Out: plain settings from which the store opens its
 * own connections, the application's transactions, and the repository of `Job`.
 * Read this file first, then data-source-settings.ts, caller-transactions.ts (EntityManagers in which the queue writes), and for SQLite
 * transaction-serializer.ts (one transaction at a time).
 */
import { InvalidOptionsError } from '../core/errors.js';
import type { JobsOptions, JobsSettings } from '../core/options.js';
import type { CheckedParts, StoreParts } from '../store/create-store.js';
import { checkStoreParts, createPostgresStore, createSqliteStore } from '../store/create-store.js';
import type { JobStore } from '../store/job-store.js';
import type { DataSource } from './connect.js';
import { detectDatabaseKind, toPostgresDatabase, toSqliteSettings } from './data-source-settings.js';
import { createJobDataSource, StoreConnections } from './job-data-source.js';
import { countTransactions, openPostgresTransactions } from './postgres-transactions.js';
import { checkLockingMode, openSqliteTransactions } from './sqlite-transactions.js';

export interface CreatedStore {
  /** Not open yet. */
  readonly store: JobStore;
  /** The DataSource of the repository of `Job`. The store opens and closes it. */
  readonly dataSource: DataSource;
}

/**
 * Creates the store for the database of an initialized DataSource. Call `store.open()` before the engine starts and `store.close()` after
 * it has stopped. Use one store for one engine.
 *
 * @throws InvalidOptionsError for an invalid option, or a database that the queue does not support.
 */
export function createJobStore(app: DataSource, options: JobsOptions = {}, given: StoreParts = {}): CreatedStore {
  const { settings, parts } = checkStoreParts(options, given);
  if (!app.isInitialized) {
    throw new InvalidOptionsError('dataSource', 'expected a DataSource that is initialized');
  }
  if (app.options.dropSchema) {
    // TypeORM empties the whole database while it initializes, including the queue's tables.
    parts.logger.warn('the DataSource has dropSchema: true, so every start of the application deletes all jobs');
  }
  const create = detectDatabaseKind(app) === 'postgres' ? createOnPostgres : createOnSqlite;
  return create(app, settings, parts);
}

function createOnPostgres(app: DataSource, settings: JobsSettings, parts: CheckedParts): CreatedStore {
  const lent = new StoreConnections();
  const dataSource = createJobDataSource(app, lent);
  const store = createPostgresStore(settings, parts, {
    database: toPostgresDatabase(app),
    transactionsAtOnce: countTransactions(app),
    openTransactions: (pool, session) => {
      lent.postgres = { pool, session };
      return openPostgresTransactions(app, dataSource);
    },
  });
  return { store, dataSource };
}

function createOnSqlite(app: DataSource, settings: JobsSettings, parts: CheckedParts): CreatedStore {
  const database = toSqliteSettings(app);
  const lent = new StoreConnections();
  const dataSource = createJobDataSource(app, lent);
  const isInMemory = database.driver === 'better-sqlite3' && database.shared !== undefined;
  const store = createSqliteStore(settings, parts, {
    database,
    checkApplication: () => (isInMemory ? Promise.resolve() : checkLockingMode(app)),
    openTransactions: (own, listener) => {
      lent.sqlite = own;
      return openSqliteTransactions(app, dataSource, listener, { ...settings.sqlite, ...parts });
    },
  });
  return { store, dataSource };
}
