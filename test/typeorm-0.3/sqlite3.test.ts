import { createJobStore, InvalidOptionsError, JobsModule } from 'nestjs-jobs';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { SqlErrorKind } from '../../lib/store/runtime/sql-error.js';
import { SqlError } from '../../lib/store/runtime/sql-error.js';
import type { Sqlite3Database } from '../../lib/store/sqlite/sqlite3-runner.js';
import { Sqlite3Runner } from '../../lib/store/sqlite/sqlite3-runner.js';
import type { SqliteFile } from '../support/databases.js';
import { createSqliteFile } from '../support/databases.js';
import { LogRecorder } from '../nest/support/log-recorder.js';
import { SQLITE3 } from '../support/typeorm.js';

const OPEN_READONLY = 1;
const OPEN_URI = 0x40;
const READWRITE_URI = 2 | 4 | OPEN_URI;

describe('sqlite3', () => {
  let file: SqliteFile;
  let dataSources: DataSource[];

  beforeEach(async () => {
    file = await createSqliteFile();
    dataSources = [];
  });
  afterEach(async () => {
    for (const createDataSource of dataSources.filter(({ isInitialized }) => isInitialized)) {
      await createDataSource.destroy();
    }
    await file.remove();
  });

  async function createDataSource(options: { database?: string; flags?: number } = {}): Promise<DataSource> {
    const made = new DataSource({ database: file.path, ...options, type: SQLITE3 });
    dataSources.push(made);
    return made.initialize();
  }

  const getDatabase = ({ driver }: DataSource): Sqlite3Database =>
    (driver as unknown as { databaseConnection: Sqlite3Database }).databaseConnection;

  describe.each([
    [':memory:', undefined],
    ['', undefined],
    ['file::memory:?cache=shared', READWRITE_URI],
    ['file:jobs?mode=memory&cache=shared', READWRITE_URI],
  ])('with %p, a database of one connection', (database, flags) => {
    it('is rejected with an error that names alternatives', async () => {
      const app = await createDataSource({ database, flags });
      expect(() => createJobStore(app)).toThrow(InvalidOptionsError);
      expect(() => createJobStore(app)).toThrow(/^dataSource: expected a file, got .* use a file, or .*better-sqlite3/);
    });
  });

  it('with :memory: does not start the application', async () => {
    const module = Test.createTestingModule({
      imports: [TypeOrmModule.forRoot({ type: SQLITE3, database: ':memory:', retryAttempts: 0 }), JobsModule.forRoot()],
    }).setLogger(new LogRecorder());
    await expect(module.compile()).rejects.toThrow(/^JobsModule.forRoot: dataSource: expected a file/);
  });

  it('is rejected when it is read-only', async () => {
    await (await createDataSource()).query('CREATE TABLE any_table (id integer)');
    const reader = await createDataSource({ flags: OPEN_READONLY });
    expect(() => createJobStore(reader)).toThrow(/^dataSource: expected a database that can be written to/);
  });

  describe('errors', () => {
    let app: DataSource;
    let runner: Sqlite3Runner;

    beforeEach(async () => {
      app = await createDataSource();
      runner = new Sqlite3Runner(getDatabase(app));
      await runner.query(
        'CREATE TABLE things (id integer PRIMARY KEY, name text UNIQUE, size integer CHECK (size > 0))',
        [],
      );
      await runner.query(`INSERT INTO things VALUES (1, 'one', 1)`, []);
      await runner.query('PRAGMA busy_timeout = 0', []);
    });

    async function readErrorKind(statement: string): Promise<SqlErrorKind | undefined> {
      const error: unknown = await runner.query(statement, []).catch((reason: unknown) => reason);
      return error instanceof SqlError ? error.kind : undefined;
    }

    it.each([
      ['unique', 'an existing key', `INSERT INTO things VALUES (1, 'two', 1)`],
      ['unique', 'an existing name', `INSERT INTO things VALUES (2, 'one', 1)`],
      ['refused', 'a value that violates a CHECK', `INSERT INTO things VALUES (2, 'two', 0)`],
      ['refused', 'a syntax error', 'INSERT things'],
    ])('have the kind %s: %s', async (kind, _what, statement) => {
      expect(await readErrorKind(statement)).toBe(kind);
    });

    it('have the kind busy: a lock of another connection', async () => {
      await (await createDataSource()).query('BEGIN IMMEDIATE');
      expect(await readErrorKind(`INSERT INTO things VALUES (2, 'two', 1)`)).toBe('busy');
    });

    it('have the kind closed: a closed connection', async () => {
      await app.destroy();
      expect(await readErrorKind('SELECT 1')).toBe('closed');
    });
  });
});
