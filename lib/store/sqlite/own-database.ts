import type { BetterSqliteDatabase } from './better-sqlite-runner.js';
import type { Sqlite3Database } from './sqlite3-runner.js';

/** How the queue reaches a SQLite database through `better-sqlite3`. */
export interface BetterSqliteSettings {
  readonly driver: 'better-sqlite3';
  /** The class that the package exports. */
  readonly Database: new (file: string, options: object) => ClosableDatabase;
  readonly file: string;
  readonly nativeBinding?: string | undefined;
  /** Key of an encrypted file. */
  readonly key?: string | undefined;
  /** Prepares a new connection. */
  readonly prepare?: ((database: BetterSqliteDatabase) => unknown) | undefined;
  /** A connection of the application to a database in memory, which exists only there. The queue neither opens nor closes it. */
  readonly shared?: BetterSqliteDatabase | undefined;
}

/** How the queue reaches a SQLite database through `sqlite3`. */
export interface Sqlite3Settings {
  readonly driver: 'sqlite3';
  /** The class that the package exports. */
  readonly Database: Sqlite3Class;
  readonly file: string;
  /** Flags of `sqlite3_open_v2`. */
  readonly flags?: number | undefined;
  /** Key of an encrypted file. */
  readonly key?: string | undefined;
}

export type SqliteSettings = BetterSqliteSettings | Sqlite3Settings;

export interface ClosableDatabase extends BetterSqliteDatabase {
  pragma(text: string): unknown;
  close(): unknown;
}

interface ClosableSqlite3 extends Sqlite3Database {
  run(sql: string, done: (error: Error | null) => void): unknown;
  close(done: (error: Error | null) => void): void;
}

interface Sqlite3Class {
  new (file: string, done: (error: Error | null) => void): ClosableSqlite3;
  new (file: string, flags: number, done: (error: Error | null) => void): ClosableSqlite3;
}

/** The queue's own connection, or the application's to a database in memory. */
export type OwnDatabase = { readonly close: () => Promise<void> } & (
  | { readonly driver: 'better-sqlite3'; readonly database: BetterSqliteDatabase }
  | { readonly driver: 'sqlite3'; readonly database: Sqlite3Database }
);

/**
 * Opens the queue's own connection. A SQLite DataSource of TypeORM is one connection, on which every statement joins the open transaction
 * of the application; the queue's writes would vanish with its rollback.
 */
export function openDatabase(settings: SqliteSettings): Promise<OwnDatabase> {
  return settings.driver === 'better-sqlite3' ? openBetterSqlite(settings) : openSqlite3(settings);
}

const ENFORCE_FOREIGN_KEYS = 'foreign_keys = ON';

async function openBetterSqlite(settings: BetterSqliteSettings): Promise<OwnDatabase> {
  const { Database, file, nativeBinding, key, prepare, shared, driver } = settings;
  if (shared) {
    return { driver, database: shared, close: () => Promise.resolve() };
  }
  // A busy wait would block the event loop in which the application commits; the write queue waits instead.
  const database = new Database(file, { timeout: 0, ...(nativeBinding === undefined ? {} : { nativeBinding }) });
  try {
    if (key !== undefined) {
      database.pragma(`key = ${JSON.stringify(key)}`);
    }
    await prepare?.(database);
    database.pragma(ENFORCE_FOREIGN_KEYS);
  } catch (error) {
    database.close();
    throw error;
  }
  return { driver, database, close: async () => void database.close() };
}

async function openSqlite3({ Database, file, flags, key, driver }: Sqlite3Settings): Promise<OwnDatabase> {
  const database = await new Promise<ClosableSqlite3>((resolve, reject) => {
    const done = (error: Error | null): void => (error ? reject(error) : resolve(opened));
    const opened = flags === undefined ? new Database(file, done) : new Database(file, flags, done);
  });
  const call = (send: (done: (error: Error | null) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => send((error) => (error ? reject(error) : resolve())));
  const close = (): Promise<void> => call((done) => database.close(done));
  try {
    for (const pragma of [...(key === undefined ? [] : [`key = ${JSON.stringify(key)}`]), ENFORCE_FOREIGN_KEYS]) {
      await call((done) => void database.run(`PRAGMA ${pragma}`, done));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { driver, database, close };
}
