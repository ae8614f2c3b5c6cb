import type { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../core/errors.js';
import { loadPg } from '../store/drivers.cjs';
import type { BetterSqliteDatabase } from '../store/sqlite/better-sqlite-runner.js';
import type { BetterSqliteSettings, Sqlite3Settings, SqliteSettings } from '../store/sqlite/own-database.js';
import type { PostgresDatabase, PostgresDriver } from '../store/postgres/own-pool.js';

/*
 * How the queue reaches the database of a DataSource: plain settings, from which the store opens connections of its own. It takes only
 * what leads to the database. `synchronize`, `dropSchema`, subscribers and logging of the application do not apply to the queue.
 */

/** The kinds of database the queue can live in. */
export type DatabaseKind = 'postgres' | 'sqlite';

type Options = Readonly<Record<string, unknown>>;

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

/** The part of TypeORM's PostgreSQL driver that is used. Checked with 0.3.26 to 1.1.1. */
interface PostgresInternals {
  /** The `pg.Pool` of the primary server. */
  readonly master: { readonly options: Options };
  /** The package `pg`, or its `native` member. */
  readonly postgres: PostgresDriver;
}

/** The part of TypeORM's SQLite drivers that is used. Checked with 0.3.26 to 1.1.1. */
interface SqliteInternals {
  /** The package. */
  readonly sqlite: unknown;
  /** The driver's own connection. */
  readonly databaseConnection: unknown;
}

/** Members of `pg.PoolConfig` that lead to the database. `pg` makes `password` not enumerable. */
const CONNECTION_MEMBERS = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl'];

/** Returns how to reach the PostgreSQL server of an initialized DataSource. With replication, that of the primary. */
export function toPostgresDatabase(app: DataSource): PostgresDatabase {
  const { master, postgres } = app.driver as unknown as PostgresInternals;
  const { max: _max, min: _min, ...extra } = (app.options.extra ?? {}) as Options;
  const given = (app.options as unknown as { readonly driver?: PostgresDriver }).driver;
  return {
    // The queue needs the driver in JavaScript, also where the application uses `pg-native`.
    driver: given ?? (loadPg() as PostgresDriver | undefined) ?? postgres,
    config: { ...pick(master.options, CONNECTION_MEMBERS), ...extra },
  };
}

/** Returns how to reach the SQLite database of an initialized DataSource. @throws InvalidOptionsError when the queue cannot use it. */
export function toSqliteSettings(app: DataSource): SqliteSettings {
  const given = app.options as unknown as Options;
  return given.type === 'sqlite' ? toSqlite3(app, given) : toBetterSqlite(app, given);
}

function toBetterSqlite(app: DataSource, given: Options): BetterSqliteSettings {
  if (given.readonly === true) {
    throw new InvalidOptionsError('dataSource', 'expected a database that can be written to, got readonly: true');
  }
  const { sqlite, databaseConnection } = app.driver as unknown as SqliteInternals;
  const { database, nativeBinding, key, prepareDatabase } = given;
  // Read from the connection: the driver also takes names with blanks around them and databases as bytes.
  const { memory } = databaseConnection as { readonly memory: boolean };
  return {
    driver: 'better-sqlite3',
    Database: sqlite as BetterSqliteSettings['Database'],
    file: database as string,
    nativeBinding: nativeBinding as string | undefined,
    key: key as string | undefined,
    prepare: prepareDatabase as BetterSqliteSettings['prepare'],
    shared: memory ? (databaseConnection as BetterSqliteDatabase) : undefined,
  };
}

/** `OPEN_READONLY` among the flags of SQLite. */
const OPEN_READONLY = 1;

function toSqlite3(app: DataSource, given: Options): Sqlite3Settings {
  const { database, flags, key } = given as { database: string; flags?: number; key?: string };
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
  const { sqlite } = app.driver as unknown as { readonly sqlite: Pick<Sqlite3Settings, 'Database'> };
  return { driver: 'sqlite3', Database: sqlite.Database, file: database, flags, key };
}

function pick(source: Options, names: readonly string[]): Options {
  return Object.fromEntries(names.filter((name) => source[name] !== undefined).map((name) => [name, source[name]]));
}
