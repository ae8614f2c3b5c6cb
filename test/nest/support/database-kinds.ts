import type { DataSourceOptions } from 'typeorm';
import { createSqliteFile, postgresVersions } from '../../support/databases.js';
import { SpareDatabases } from '../../support/spare-databases.js';
import { hasSqlite3, SQLITE3 } from '../../support/typeorm.js';

/** A fresh database for one test, without tables. */
export interface TestDatabase {
  /** Connection options for an application. */
  readonly options: DataSourceOptions;
  remove(): Promise<void>;
}

/** A kind of database and its capabilities. Tests select by capability, not by label. */
export interface DatabaseKind {
  readonly label: string;
  /** Supports transactional handlers. */
  readonly canRunTransactionalHandlers: boolean;
  /** Supports several applications, or several connections, on one database. */
  readonly isShared: boolean;
  create(): Promise<TestDatabase>;
}

/** The spare databases of this test file. */
const spareDatabases = new SpareDatabases();
afterAll(() => spareDatabases.dropAll());

export const postgres: DatabaseKind = {
  label: `PostgreSQL ${postgresVersions()[0]}`,
  canRunTransactionalHandlers: true,
  isShared: true,
  async create() {
    const { url, drop } = await spareDatabases.take();
    return { options: { type: 'postgres', url }, remove: drop };
  },
};

export const sqliteFile: DatabaseKind = {
  label: 'a SQLite file',
  canRunTransactionalHandlers: false,
  isShared: true,
  async create() {
    const { path: database, remove } = await createSqliteFile();
    return { options: { type: 'better-sqlite3', database }, remove };
  },
};

export const sqliteMemory: DatabaseKind = {
  label: 'SQLite in memory',
  canRunTransactionalHandlers: false,
  isShared: false,
  create: () => Promise.resolve({ options: { type: 'better-sqlite3', database: ':memory:' }, remove: async () => {} }),
};

/** A file with the driver `sqlite3`, which TypeORM 1.x does not support. */
export const sqlite3File: DatabaseKind = {
  ...sqliteFile,
  label: 'a SQLite file with sqlite3',
  async create() {
    const { path: database, remove } = await createSqliteFile();
    return { options: { type: SQLITE3, database }, remove };
  },
};

/** Kinds that several applications can share. */
export const sharedKinds: readonly DatabaseKind[] = [postgres, hasSqlite3 ? sqlite3File : sqliteFile];
/** All kinds. */
export const everyKind: readonly DatabaseKind[] = [...sharedKinds, sqliteMemory];
