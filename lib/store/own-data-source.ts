import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { jobsMigrations } from '../../migrations/index.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { DatabaseKind } from './jobs/job-schema.js';
import { createJobSchema } from './jobs/job-schema.js';
import { IDLE_MAX_MS } from './postgres/pool.js';
import type { PostgresSession } from './postgres/session.js';
import { clientTimeoutMs } from './postgres/session.postgres.js';

interface OwnDataSourceSettings {
  /** Size of the PostgreSQL pool. */
  readonly connections: number;
  /** Prepares each new connection to PostgreSQL. */
  readonly session: PostgresSession;
}

/**
 * How long the pool waits for a new or a free connection. The application's `connectTimeoutMS` does not count: a renewal that waits
 * for a minute would lose its lease.
 */
const CONNECTION_TIMEOUT_MS = 10_000;

/** Returns the kind of database of a DataSource. @throws InvalidOptionsError when the queue does not support it. */
export function detectDatabaseKind(app: DataSource): DatabaseKind {
  // TypeORM 0.3 knows 'sqlite', the driver `sqlite3`; 1.x does not.
  switch (app.options.type as string) {
    case 'postgres':
      return 'postgres';
    case 'better-sqlite3':
    case 'sqlite':
      return 'sqlite';
    default:
      throw new InvalidOptionsError(
        'dataSource',
        `expected type 'postgres', 'better-sqlite3' or 'sqlite', got '${app.options.type}'`,
      );
  }
}

/**
 * Creates the queue's own DataSource for the application's database, not initialized.
 *
 * The queue has its own connections for two reasons: handlers that use up the application's pool must not delay the renewal of
 * leases, and a SQLite DataSource is one shared connection, on which every statement joins the open transaction. It takes only the
 * options that lead to the database; `synchronize`, `dropSchema`, `migrationsRun`, subscribers and logging are set here.
 */
export function createOwnDataSource(app: DataSource, settings: OwnDataSourceSettings): DataSource {
  const kind = detectDatabaseKind(app);
  return new DataSource({
    ...(kind === 'postgres' ? postgresOptions(app.options, settings) : sqliteOptions(app)),
    entities: [createJobSchema(kind)],
    migrations: jobsMigrations,
    migrationsTableName: '_jobs_migrations',
    synchronize: false,
    dropSchema: false,
    migrationsRun: false,
    subscribers: [],
    logging: false,
    cache: false,
  } as unknown as DataSourceOptions);
}

/** Whether the queue may send statements ahead. `extra.pipeline: false` turns it off for proxies that do not support it. */
export function mayPipeline(app: DataSource): boolean {
  return (app.options.extra as Options | undefined)?.pipeline !== false;
}

/**
 * Returns whether the database is in the memory of the application's connection, which the queue then has to share. Reads this
 * from the connection: the driver also takes names with blanks around them and databases as bytes.
 */
export function isInMemory(app: DataSource): boolean {
  return app.options.type === 'better-sqlite3' && getConnection(app).memory;
}

function getConnection(app: DataSource): { readonly memory: boolean } {
  return (app.driver as unknown as { databaseConnection: { readonly memory: boolean } }).databaseConnection;
}

type Options = Readonly<Record<string, unknown>>;

function postgresOptions(options: DataSourceOptions, settings: OwnDataSourceSettings): Options {
  const given = options as unknown as Options;
  const primary = (given.replication as { master?: Options } | undefined)?.master ?? {};
  const { max: _max, min: _min, ...extra } = (given.extra ?? {}) as Options;
  const { connections, session } = settings;
  return {
    type: 'postgres',
    ...pick(given, ['url', 'host', 'port', 'username', 'password', 'database', 'ssl', 'driver']),
    ...pick(primary, ['url', 'host', 'port', 'username', 'password', 'database', 'ssl']),
    applicationName: 'nestjs-jobs',
    installExtensions: false,
    poolSize: connections,
    extra: {
      connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
      idleTimeoutMillis: IDLE_MAX_MS,
      ...extra,
      // The row mapper expects text.
      binary: false,
      // Switched on for each connection that can: see `PostgresSession`.
      pipeline: false,
      max: connections,
      // Idle connections do not keep the process alive.
      allowExitOnIdle: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      query_timeout: clientTimeoutMs(session.limits),
      // The pool calls it once for each new connection, before the first use.
      verify: session.prepare,
    },
  };
}

function sqliteOptions(app: DataSource): Options {
  const given = app.options as unknown as Options;
  return given.type === 'sqlite' ? sqlite3Options(given) : betterSqliteOptions(app, given);
}

function betterSqliteOptions(app: DataSource, given: Options): Options {
  if (given.readonly === true) {
    throw new InvalidOptionsError('dataSource', 'expected a database that can be written to, got readonly: true');
  }
  return {
    type: given.type,
    ...pick(given, ['database', 'nativeBinding', 'key', 'prepareDatabase', 'driver']),
    // A busy wait would block the event loop in which the application commits; the write queue waits instead.
    timeout: 0,
    ...(isInMemory(app) ? { driver: createSharedDriver(app), prepareDatabase: undefined, key: undefined } : {}),
  };
}

/** `OPEN_READONLY` among the flags of SQLite. */
const OPEN_READONLY = 1;

function sqlite3Options(given: Options): Options {
  const { database, flags } = given as { database: string; flags?: number };
  if (/^$|:memory:|[?&]mode=memory/.test(database)) {
    throw new InvalidOptionsError(
      'dataSource',
      `expected a file, got database '${database}': with sqlite3 the queue cannot reach a database in memory; ` +
        "use a file, or type 'better-sqlite3'",
    );
  }
  if (flags !== undefined && flags & OPEN_READONLY) {
    throw new InvalidOptionsError('dataSource', 'expected a database that can be written to, got OPEN_READONLY');
  }
  return { type: given.type, ...pick(given, ['database', 'key', 'flags', 'driver']) };
}

/**
 * Returns a driver for a database in memory, which exists only in the application's connection: its constructor returns that
 * connection, with a `close` that does nothing.
 */
function createSharedDriver(app: DataSource): new () => object {
  const connection = new Proxy(getConnection(app), {
    get(target, name) {
      if (name === 'close') {
        return () => undefined;
      }
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return class {
    constructor() {
      return connection;
    }
  };
}

function pick(source: Options, names: readonly string[]): Options {
  return Object.fromEntries(names.filter((name) => source[name] !== undefined).map((name) => [name, source[name]]));
}
