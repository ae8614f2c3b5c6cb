import { DataSource } from 'typeorm';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../support/databases.js';

describe.each(postgresVersions())('PostgreSQL %s', (version) => {
  it('opens a fresh database', async () => {
    const database = await createPostgresDatabase(version);
    const dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    const [row] = await dataSource.query<{ server_version: string }[]>('SHOW server_version');
    await dataSource.destroy();
    await database.drop();
    expect(row?.server_version).toMatch(version === 'given' ? /^\d+/ : new RegExp(`^${version}\\.`));
  });
});

describe('SQLite', () => {
  it('opens a fresh file', async () => {
    const file = await createSqliteFile();
    const dataSource = await new DataSource({ type: 'better-sqlite3', database: file.path }).initialize();
    const [row] = await dataSource.query<{ version: string }[]>('SELECT sqlite_version() AS version');
    await dataSource.destroy();
    await file.remove();
    expect(row?.version).toMatch(/^3\./);
  });
});
