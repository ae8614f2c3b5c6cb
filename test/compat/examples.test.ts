/**
 * @matrix all
 * @slow
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { useBuiltPackage } from '../processes/support/built-package.js';
import type { PostgresDatabase } from '../support/databases.js';
import { createPostgresDatabase } from '../support/databases.js';
import { findFreePort } from '../support/free-port.js';
import { until } from '../support/wait.js';
import type { ExampleName } from './support/installed-app.js';
import { InstalledApp } from './support/installed-app.js';
import { packPackage } from './support/packed-package.js';

const INSTALL_TIMEOUT_MS = 300_000;
/** Only commands about databases need the engine: any program will do, and nothing is downloaded. */
const WITHOUT_ENGINE = { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' };

let tarball: string;

useBuiltPackage();

beforeAll(async () => {
  ({ tarball } = await packPackage());
}, INSTALL_TIMEOUT_MS);

describe.each<ExampleName>(['prisma', 'drizzle'])('the example with %s, on PostgreSQL 18,', (name) => {
  let app: InstalledApp;
  let database: PostgresDatabase;
  let client: Client;
  let root: string;
  let stop: () => Promise<void>;
  let printed = '';

  beforeAll(async () => {
    [app, database] = await Promise.all([InstalledApp.installExample(name, tarball), createPostgresDatabase('18')]);
    await promisify(execFile)('npm', ['run', 'build'], { cwd: app.folder, env: { ...process.env, ...WITHOUT_ENGINE } });
    client = new Client({ connectionString: database.url });
    await client.connect();
    for (const sql of readPrismaMigrations(app.folder)) await client.query(sql);
    await start();
  }, INSTALL_TIMEOUT_MS);

  afterAll(async () => {
    await stop?.();
    await client?.end();
    await database?.drop();
  });

  async function start(): Promise<void> {
    const port = await findFreePort();
    root = `http://127.0.0.1:${port}`;
    const env = { ...process.env, DATABASE_URL: database.url, PORT: String(port), JOBS_ADMIN_TOKEN: 'secret' };
    const child = spawn(process.execPath, ['dist/main.js'], {
      cwd: app.folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const closed = once(child, 'close');
    stop = async () => {
      child.kill('SIGTERM');
      await closed;
    };
    await until(() => printed.includes('successfully started') || child.exitCode !== null, {
      message: () => `the start:\n${printed}`,
    });
  }

  const order = (item: string): Promise<Response> =>
    fetch(`${root}/orders`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ item }),
    });
  const find = async (id: number): Promise<unknown> => (await fetch(`${root}/orders/${id}`)).json();
  const query = async (sql: string): Promise<unknown[]> => (await client.query<Record<string, unknown>>(sql)).rows;

  it('has no TypeORM installed', () => {
    expect(app.has('node_modules/nestjs-jobs')).toBe(true);
    expect(['typeorm', '@nestjs/typeorm'].filter((each) => app.has(`node_modules/${each}`))).toEqual([]);
  });

  it('ships each order, also many at once', async () => {
    const responses = await Promise.all(Array.from({ length: 30 }, () => order('tea')));
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 30 }, () => 201));
    const placed = (await Promise.all(responses.map((response) => response.json()))) as { id: number }[];
    expect(placed[0]).toEqual({ id: placed[0]!.id, item: 'tea', status: 'new' });
    for (const { id } of placed) {
      await until(async () => ((await find(id)) as { status: string }).status === 'shipped');
    }
    const completed = await query(`SELECT payload->>'orderId' AS id FROM _jobs WHERE status = 'completed'`);
    expect(completed.map((row) => Number((row as { id: string }).id)).sort(byNumber)).toEqual(
      placed.map(({ id }) => id).sort(byNumber),
    );
  });

  it('refuses an order without stock, and leaves neither the order nor a job', async () => {
    const counts = 'SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM _jobs) AS jobs';
    const before = await query(counts);
    const responses = await Promise.all([order('coffee'), order('coffee')]);
    expect(responses.map(({ status }) => status)).toEqual([409, 409]);
    expect(await query(counts)).toEqual(before);
    expect((await fetch(`${root}/orders/1000000`)).status).toBe(404);
  });

  it('ends on SIGTERM, without a warning', async () => {
    await stop();
    expect(printed.split('\n').filter((line) => /\b(ERROR|WARN)\b/.test(line))).toEqual([]);
  });
});

const byNumber = (one: number, other: number): number => one - other;

/** `prisma migrate deploy` needs an engine that this test does not download. Drizzle's migrations run at the start of its example. */
function readPrismaMigrations(folder: string): string[] {
  const migrations = join(folder, 'prisma/migrations');
  if (!existsSync(migrations)) return [];
  const names = readdirSync(migrations).filter((name) => !name.endsWith('.toml'));
  return names.sort().map((name) => readFileSync(join(migrations, name, 'migration.sql'), 'utf8'));
}
