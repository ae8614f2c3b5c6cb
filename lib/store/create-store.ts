import type { DataSource } from 'typeorm';
import type { Clock } from '../core/clock.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { JobsSettings } from '../core/options.js';
import type { JobStore } from './job-store.js';
import type { MovedTime } from './runtime/moved-time.js';
import { detectDatabaseKind, isInMemory, mayPipeline, createOwnDataSource } from './own-data-source.js';
import { PostgresSession } from './postgres/session.js';
import { MovedTimeStore } from './postgres/moved-time-store.js';
import type { PostgresStoreOptions } from './postgres/postgres-store.js';
import { PostgresStore } from './postgres/postgres-store.js';
import { SqliteStore } from './sqlite/sqlite-store.js';

export interface CreatedStore {
  /** Not open yet. */
  readonly store: JobStore;
  /** The queue's own DataSource. The store opens and closes it. */
  readonly dataSource: DataSource;
}

type StoreSettings = Pick<JobsSettings, 'connections' | 'migrate' | 'sqlite' | 'leaseMs'>;

const STATEMENT_TIMEOUT_MIN_MS = 5_000;
const STATEMENT_TIMEOUT_MAX_MS = 30_000;
const LOCK_TIMEOUT_MS = 1_000;

/**
 * Creates the store for the database of an initialized DataSource of the application.
 *
 * @param time moves the clock of the store, for tests.
 * @throws InvalidOptionsError when the queue does not support that database.
 */
export function createStore(
  app: DataSource,
  settings: StoreSettings,
  clock: Clock,
  logger: JobsLogger,
  time?: MovedTime,
): CreatedStore {
  if (!app.isInitialized) {
    throw new InvalidOptionsError('dataSource', 'expected a DataSource that is initialized');
  }
  if (app.options.dropSchema) {
    // TypeORM empties the whole database while it initializes, including the queue's tables.
    logger.warn('the DataSource has dropSchema: true, so every start of the application deletes all jobs');
  }
  const { connections, migrate, leaseMs, sqlite } = settings;
  // A statement that takes longer than the lease is useless. At least 5 s, because some take longer than a short lease.
  const statementTimeoutMs = Math.min(Math.max(leaseMs, STATEMENT_TIMEOUT_MIN_MS), STATEMENT_TIMEOUT_MAX_MS);
  const session = new PostgresSession({ statementTimeoutMs, lockTimeoutMs: LOCK_TIMEOUT_MS }, mayPipeline(app));
  const dataSource = createOwnDataSource(app, { connections, session });
  const parts = { app, own: dataSource, clock, logger, migrate };
  const store =
    detectDatabaseKind(app) === 'postgres'
      ? createPostgresStore({ ...parts, connections, session }, time)
      : new SqliteStore({ ...parts, ...sqlite, isInMemory: isInMemory(app), time });
  return { store, dataSource };
}

function createPostgresStore(options: PostgresStoreOptions, time: MovedTime | undefined): PostgresStore {
  return time ? new MovedTimeStore(options, time) : new PostgresStore(options);
}
