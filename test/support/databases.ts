import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';

/** Label of a PostgreSQL server that this test run has: its major version, or `given` for JOBS_TEST_POSTGRES_URL. */
export type PostgresVersion = '18' | '15' | 'given';

export interface PostgresDatabase {
  url: string;
  /** Removes the database and ends its connections. */
  drop: () => Promise<void>;
}

export interface SqliteFile {
  path: string;
  /** Removes the file, its journals and its folder. */
  remove: () => Promise<void>;
}

/** The servers of this test run, for `describe.each(postgresVersions())('PostgreSQL %s', …)`. */
export function postgresVersions(): PostgresVersion[] {
  return process.env.JOBS_TEST_POSTGRES_URL ? ['given'] : ['18', '15'];
}

/** Creates an empty database on the server with that label. */
export async function createPostgresDatabase(version: PostgresVersion): Promise<PostgresDatabase> {
  const server = urlOfServer(version);
  const name = `jobs_${randomUUID().replaceAll('-', '')}`;
  await run(server, `CREATE DATABASE ${name}`);

  const url = new URL(server);
  url.pathname = name;
  return { url: url.href, drop: () => run(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

/** Creates a folder for a SQLite file, which does not exist yet. */
export async function createSqliteFile(): Promise<SqliteFile> {
  const folder = await mkdtemp(join(tmpdir(), 'sqlite-'));
  return { path: join(folder, 'jobs.sqlite'), remove: () => rm(folder, { recursive: true, force: true }) };
}

function urlOfServer(version: PostgresVersion): string {
  const variable = version === 'given' ? 'JOBS_TEST_POSTGRES_URL' : `JOBS_TEST_PG${version}_URL`;
  const url = process.env[variable];
  if (!url) throw new Error(`No PostgreSQL server '${version}' in this run: expected its URL in ${variable}`);
  return url;
}

async function run(server: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
