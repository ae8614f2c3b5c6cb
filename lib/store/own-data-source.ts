import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { jobsMigrations } from '../../migrations/index.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { DatabaseKind } from './job-schema.js';
import { jobSchema } from './job-schema.js';
import { IDLE_MAX_MS } from './postgres/driver/pool.js';
import type { PostgresSession } from './postgres/driver/session.js';
import { clientTimeoutMs } from './postgres/sql/session.js';

/** What the queue's DataSource takes from the settings. */
export interface OwnDataSourceSettings {
  /** Size of the PostgreSQL pool. */
  readonly connections: number;
  /** What its connections to PostgreSQL are prepared by. */
  readonly session: PostgresSession;
}

/**
 * How long the pool waits for a connection, a new one or a free one. Not what the application's options say: its `connectTimeoutMS`
 * knows nothing of leases, which a renewal that waits for a minute would lose.
 */
const CONNECTION_TIMEOUT_MS = 10_000;

/** Which kind of database a DataSource speaks to. @throws InvalidOptionsError when the queue cannot live there. */
export function databaseKindOf(app: DataSource): DatabaseKind {
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
 * The queue's own DataSource, beside the application's, to the same database. Not initialized yet.
 *
 * Its own connections, since handlers that exhaust the application's pool must not starve the renewal of leases, and
 * since a SQLite DataSource is one shared connection, on which anybody's statement joins anybody's transaction. Of the
 * application's options only what leads to the database is taken; `synchronize`, `dropSchema`, `migrationsRun`,
 * subscribers and logging are each set here.
 */
export function ownDataSource(app: DataSource, settings: OwnDataSourceSettings): DataSource {
  const kind = databaseKindOf(app);
  return new DataSource({
    ...(kind === 'postgres' ? postgresOptions(app.options, settings) : sqliteOptions(app)),
    entities: [jobSchema(kind)],
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

/** Whether `extra.pipeline` leaves it to the queue to send statements ahead; `false` is for a proxy that does not bear it. */
export function mayPipeline(app: DataSource): boolean {
  return (app.options.extra as Options | undefined)?.pipeline !== false;
}

/**
 * Whether the database lives in one connection's memory, so that the application's connection has to be shared. The connection
 * says so itself: the driver takes names with blanks around them, and databases that are given as bytes.
 */
export function isInMemory(app: DataSource): boolean {
  return app.options.type === 'better-sqlite3' && connectionOf(app).memory;
}

function connectionOf(app: DataSource): { readonly memory: boolean } {
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
      // Answers are read as text.
      binary: false,
      // Switched on for each connection that can: see `PostgresSession`.
      pipeline: false,
      max: connections,
      // What is idle is no reason for a process to go on.
      allowExitOnIdle: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      query_timeout: clientTimeoutMs(session.limits),
      // Asked once for each new connection, before anybody gets it.
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
    // A busy wait would block the event loop in which the application wants to commit; the write lane waits instead.
    timeout: 0,
    ...(isInMemory(app) ? { driver: facadeOf(app), prepareDatabase: undefined, key: undefined } : {}),
  };
}

/** `OPEN_READONLY` among the flags of SQLite. */
const OPEN_READONLY = 1;

function sqlite3Options(given: Options): Options {
  const { database, flags } = given as { database: string; flags?: number };
  if (/^$|:memory:|[?&]mode=memory/.test(database)) {
    throw new InvalidOptionsError(
      'dataSource',
      `expected a file, got database '${database}': with sqlite3 the queue cannot reach what is in memory; ` +
        "use a file, or type 'better-sqlite3'",
    );
  }
  if (flags !== undefined && flags & OPEN_READONLY) {
    throw new InvalidOptionsError('dataSource', 'expected a database that can be written to, got OPEN_READONLY');
  }
  return { type: given.type, ...pick(given, ['database', 'key', 'flags', 'driver']) };
}

/**
 * A database in memory exists in the application's connection only. TypeORM asks `driver` for a constructor; this one
 * hands out that connection, without the right to close it.
 */
function facadeOf(app: DataSource): new () => object {
  const facade = new Proxy(connectionOf(app), {
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
      return facade;
    }
  };
}

function pick(source: Options, names: readonly string[]): Options {
  return Object.fromEntries(names.filter((name) => source[name] !== undefined).map((name) => [name, source[name]]));
}
