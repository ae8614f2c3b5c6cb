import { InvalidOptionsError } from '../core/errors.js';
import type { DatabaseOption } from '../core/options.js';
import { loadBetterSqlite, loadNodeSqlite, loadPg, loadSqlite3 } from './drivers.cjs';
import type { PostgresDatabase, PostgresDriver } from './postgres/own-pool.js';
import { connectionTimeoutMs } from './postgres/own-pool.js';
import type { SqlQuery } from './runtime/sql-runner.js';
import { toSqlError } from './runtime/sql-error.js';
import { BetterSqliteRunner } from './sqlite/better-sqlite-runner.js';
import { createDatabaseClass, isComplete } from './sqlite/node-sqlite.js';
import type { BetterSqliteSettings, Sqlite3Settings, SqliteSettings } from './sqlite/own-database.js';
import { openDatabase } from './sqlite/own-database.js';
import { Sqlite3Runner } from './sqlite/sqlite3-runner.js';

const SQLITE_URL = /^sqlite:(\/\/)?/i;

/** A database that the application names itself, with the driver that is installed. */
export type PlainDatabase =
  | { readonly kind: 'postgres'; readonly database: PostgresDatabase }
  | { readonly kind: 'sqlite'; readonly settings: SqliteSettings };

/**
 * Reads the option `database`, and loads its driver.
 *
 * @throws InvalidOptionsError without a driver.
 */
export function readPlainDatabase(option: DatabaseOption): PlainDatabase {
  if (typeof option === 'string' && SQLITE_URL.test(option)) {
    return { kind: 'sqlite', settings: toSqliteSettings(option.replace(SQLITE_URL, '')) };
  }
  const driver = loadPg() as PostgresDriver | undefined;
  if (!driver) {
    throw new InvalidOptionsError('database', "the driver 'pg' is not installed; run 'npm install pg'");
  }
  const config = typeof option === 'string' ? { connectionString: option } : option;
  return { kind: 'postgres', database: { driver, config } };
}

/** Prefers `node:sqlite`, which needs no installation. */
function toSqliteSettings(file: string): SqliteSettings {
  if (file === '' || file === ':memory:') {
    throw new InvalidOptionsError(
      'database',
      `expected a file, got 'sqlite:${file}': no other process could see its jobs`,
    );
  }
  const node = loadNodeSqlite() as Parameters<typeof isComplete>[0] | undefined;
  if (node && isComplete(node)) {
    return { driver: 'better-sqlite3', Database: createDatabaseClass(node), file };
  }
  const Database = loadBetterSqlite() as BetterSqliteSettings['Database'] | undefined;
  if (Database) {
    return { driver: 'better-sqlite3', Database, file };
  }
  const sqlite3 = loadSqlite3() as Pick<Sqlite3Settings, 'Database'> | undefined;
  if (!sqlite3) {
    throw new InvalidOptionsError(
      'database',
      "no driver for SQLite is installed; run 'npm install better-sqlite3', or use Node 22.16 or newer, which has one",
    );
  }
  return { driver: 'sqlite3', Database: sqlite3.Database, file };
}

/** A connection for single statements, before the queue is open. */
export interface PlainConnection {
  readonly query: SqlQuery;
  close(): Promise<void>;
}

/** Connects to a database. @throws what the driver throws when that fails. */
export async function connectPlain(plain: PlainDatabase): Promise<PlainConnection> {
  return plain.kind === 'postgres' ? connectPostgres(plain.database) : connectSqlite(plain.settings);
}

async function connectPostgres({ driver, config }: PostgresDatabase): Promise<PlainConnection> {
  const pool = new driver.Pool({ ...config, connectionTimeoutMillis: connectionTimeoutMs(config), max: 2 });
  pool.on('error', () => undefined);
  const query: SqlQuery = async (sql, params) => {
    try {
      return (await pool.query(sql, params)).rows;
    } catch (error) {
      throw toSqlError(error);
    }
  };
  try {
    await pool.query('');
  } catch (error) {
    await pool.end();
    throw error;
  }
  return { query, close: () => pool.end() };
}

async function connectSqlite(settings: SqliteSettings): Promise<PlainConnection> {
  const own = await openDatabase(settings);
  const runner =
    own.driver === 'better-sqlite3' ? new BetterSqliteRunner(own.database) : new Sqlite3Runner(own.database);
  return { query: async (sql, params) => runner.query(sql, params), close: () => own.close() };
}
