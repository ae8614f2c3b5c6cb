/** @slow */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';
import type { PostgresDatabase, SqliteFile } from '../support/databases.js';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../support/databases.js';
import { packPackage } from './support/packed-package.js';

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const HOOK = join(__dirname, 'support/hide-packages.cjs');

let command: string;
let postgres: PostgresDatabase;
let sqlite: SqliteFile;

useBuiltPackage();

beforeAll(async () => {
  const { folder, manifest } = await packPackage();
  await symlink(join(ROOT, 'node_modules'), join(dirname(folder), 'node_modules'));
  command = join(folder, manifest.bin['nestjs-jobs']!);
  [postgres, sqlite] = await Promise.all([createPostgresDatabase(postgresVersions()[0]!), createSqliteFile()]);
});
afterAll(async () => {
  await postgres.drop();
  await sqlite.remove();
});

/** Runs the command of the packed package in a process of its own, without a terminal. */
function run(args: readonly string[], env: NodeJS.ProcessEnv = {}, node: readonly string[] = []): Promise<Result> {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...env }, cwd: dirname(sqlite.path) };
    const child = execFile(process.execPath, [...node, command, ...args], options, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
    child.stdin!.end();
  });
}

const runWithout = (hidden: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Result> =>
  run(args, { HIDDEN: hidden, ...env }, ['--require', HOOK]);

describe('the command of the packed package', () => {
  it.each([
    ['PostgreSQL', () => postgres.url],
    ['a SQLite file', () => `sqlite:${sqlite.path}`],
  ])('migrates, reports and checks on %s', async (_, url) => {
    const env = { DATABASE_URL: url() };
    expect(await run(['migrate'], env)).toMatchObject({ code: 0, err: '' });
    const status = await run(['status', '--json'], env);
    expect(JSON.parse(status.out)).toMatchObject({ stats: { total: 0 }, topics: [] });
    expect(await run(['doctor'], env)).toMatchObject({ code: 0, err: '' });
  });

  it('exits with 2 for wrong usage, and 3 for a failed check', async () => {
    const other = await createPostgresDatabase(postgresVersions()[0]!);
    expect(await run(['status', '--limit', '1', '--url', other.url])).toMatchObject({ code: 2, out: '' });
    expect(await run(['migrate', '--check', '--url', other.url])).toMatchObject({ code: 3, err: '' });
    await other.drop();
  });

  it('names the driver that is missing', async () => {
    expect(await runWithout('pg', ['status'], { DATABASE_URL: postgres.url })).toEqual({
      code: 1,
      out: '',
      err: "nestjs-jobs: the driver 'pg' is not installed; run 'npm install pg'\n",
    });
    const missing = await runWithout('better-sqlite3,sqlite3,node:sqlite', [
      'status',
      '--url',
      `sqlite:${sqlite.path}`,
    ]);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('npm install better-sqlite3') as string });
  });

  it('uses sqlite3 with TypeORM 0.3', async () => {
    const file = await createSqliteFile();
    const env = { TYPEORM: 'typeorm-0.3', DATABASE_URL: `sqlite:${file.path}` };
    expect(await runWithout('better-sqlite3', ['migrate'], env)).toMatchObject({ code: 0, err: '' });
    await file.remove();
  });

  it('ends quietly when the reader of its output ends', async () => {
    const child = spawn(process.execPath, [command, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(errors).toBe('');
  });
});
