import { appendFileSync, chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Arena } from '../arena.mjs';
import { contenderNamed } from '../contenders/index.mjs';
import { environment } from '../environment.mjs';
import { PostgresStage } from '../stages/postgres.mjs';
import { SqliteStage } from '../stages/sqlite.mjs';
import { readSoakOrders } from './command-line.mjs';
import { BLOCK_JOBS, RETRIES_MAX, RETRY_DELAY_MS } from './plan.mjs';
import { Sampler } from './sampler.mjs';
import { growthTable, recoveryTable } from './tables.mjs';
import { measureGrowth, measureRecovery } from './verdict.mjs';

/* Runs the soak test. main.mjs starts it after the installation, with the right version of Node. */

const SAMPLE_SECONDS_MAX = 10;
/** After the last enqueue, the test stops when no job has ended for this long. */
const STALLED_SECONDS = 60;

/** How late the last sample, and with it the end, may be. */
const LATE_SECONDS_MAX = 60;

/** The settings that docs/performance.md advises. */
const AUTOVACUUM = `SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.02)`;
const TABLES = new Map([
  ['ours', '_jobs'],
  ['pg-boss', 'pgboss.job_common'],
  ['graphile-worker', 'graphile_worker._private_jobs'],
]);

/** @typedef {import('./command-line.mjs').SoakOrders} SoakOrders */

// Ends with the process that started it, together with its children and servers.
process.on('disconnect', () => process.exit(1));

const orders = readSoakOrders(process.argv.slice(2));
if (orders) {
  const folder = mkdtempSync(join(orders.folder ?? tmpdir(), 'nestjs-jobs-soak-'));
  // PostgreSQL may run as another user.
  chmodSync(folder, 0o755);
  const out = orders.out ?? fileURLToPath(new URL('../soak.jsonl', import.meta.url));
  const write = (/** @type {object} */ line) => appendFileSync(out, `${JSON.stringify(line)}\n`);
  const kept = { ...orders, folder: undefined, out: undefined };
  try {
    const machine = environment(folder);
    const run = (/** @type {string} */ name) =>
      soak(name, orders, folder, { orders: kept, environment: machine }, write);
    if (orders.together) await Promise.all(orders.contenders.map(run));
    else for (const name of orders.contenders) await run(name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\nsamples: ${out}`);
  process.removeAllListeners('disconnect').disconnect();
}

/**
 * Tests one contender on its own server or file.
 *
 * @param {string} name @param {SoakOrders} orders @param {string} folder @param {object} head @param {(line: object) => void} write
 */
async function soak(name, orders, folder, head, write) {
  const contender = soakContender(name, orders);
  const stage = await (contender.engine === 'postgres'
    ? PostgresStage.start('embedded-postgres', folder)
    : SqliteStage.start(folder));
  try {
    const run = `${name} ${new Date().toISOString()}`;
    write({ run, contender: name, options: contender.options, stage: await stage.facts(), ...head });
    const arena = await Arena.open(contender, stage, { topics: ['work'], count: 0 });
    try {
      const result = await load(arena, orders, (sample) => write({ run, sample }));
      write({ run, ...result });
      print(name, result);
      if (result.check.lost + result.check.repeated > 0) process.exitCode = 1;
    } finally {
      await arena.close();
    }
  } finally {
    await stage.stop();
  }
}

/**
 * Returns the contender with the options for retention and retries.
 *
 * @param {string} name @param {SoakOrders} orders
 * @returns {import('../contenders/index.mjs').Contender}
 */
function soakContender(name, { retentionSeconds }) {
  const contender = contenderNamed(name);
  const { base, options } = contender;
  const intervalSeconds = Math.max(1, Math.min(60, Math.round(retentionSeconds / 4)));
  /** @type {Record<string, any>} */
  const given = options;
  switch (base) {
    case 'pg-boss':
      return {
        ...contender,
        options: {
          ...given,
          boss: { superviseIntervalSeconds: intervalSeconds, maintenanceIntervalSeconds: intervalSeconds },
          queue: {
            ...given.queue,
            deleteAfterSeconds: retentionSeconds,
            retryLimit: RETRIES_MAX,
            retryDelay: RETRY_DELAY_MS / 1_000,
          },
          work: { ...given.work, perJobResults: true },
        },
      };
    case 'graphile-worker':
      return {
        ...contender,
        options: { ...given, maxAttempts: RETRIES_MAX + 1, removeFailedMs: intervalSeconds * 1_000 },
      };
    default:
      return {
        ...contender,
        options: {
          ...given,
          retention: retentionSeconds * 1_000,
          maxRetries: RETRIES_MAX,
          backoff: { type: 'fixed', delay: RETRY_DELAY_MS },
        },
      };
  }
}

/**
 * @param {Arena} arena @param {SoakOrders} orders @param {(sample: import('./sampler.mjs').Sample) => void} onSample
 */
async function load(arena, orders, onSample) {
  const { seconds, rate, retentionSeconds, autovacuum, snapshotSeconds, snapshotFromSeconds } = orders;
  const { contender, place } = arena;
  const isPostgres = contender.engine === 'postgres';
  if (isPostgres && autovacuum === 'advised')
    await place.query(`ALTER TABLE ${TABLES.get(contender.base)} ${AUTOVACUUM}`);
  const worker = await arena.start();
  const producer = await arena.start();
  await worker.ask('soakWork', { jobsMax: Math.ceil(rate * (seconds + LATE_SECONDS_MAX)) });
  // Peers cannot store this rate with one job in each call.
  await producer.ask('soakProduce', { rate, batch: contender.base.startsWith('ours') ? 1 : BLOCK_JOBS });

  const sampler = new Sampler(arena, worker, producer);
  const holdFrom = isPostgres && snapshotSeconds > 0 ? snapshotFromSeconds : Infinity;
  const sampleSeconds = Math.min(SAMPLE_SECONDS_MAX, retentionSeconds / 6);
  const startMs = performance.now();
  const elapsed = () => (performance.now() - startMs) / 1_000;
  /** @type {import('./sampler.mjs').Sample[]} */
  const samples = [];
  let isHeld = false;
  for (let next = sampleSeconds; next <= seconds; next += sampleSeconds) {
    await sleep(Math.max(0, next - elapsed()) * 1_000);
    const sample = await sampler.sample(isHeld);
    samples.push(sample);
    onSample(sample);
    progress(contender.name, sample);
    const wantsHold = elapsed() >= holdFrom && elapsed() < holdFrom + snapshotSeconds;
    if (wantsHold && !isHeld) await arena.holdSnapshot();
    if (!wantsHold && isHeld) await arena.releaseSnapshot();
    isHeld = wantsHold;
  }
  await arena.releaseSnapshot();
  const sent = await producer.ask('soakStop');
  await untilEnded(sampler, sent.sent - sent.rejected.length);
  return {
    jobs: sent.sent,
    rejected: sent.rejected.length,
    check: await worker.ask('soakCheck', sent),
    growth: measureGrowth(
      samples.filter(({ seconds: at }) => at <= holdFrom),
      retentionSeconds,
    ),
    recovery: measureRecovery(samples, retentionSeconds),
  };
}

/** Resolves when `count` jobs have ended, or when none has ended for a minute. @param {Sampler} sampler @param {number} count */
async function untilEnded(sampler, count) {
  let last = -1;
  for (let quietSeconds = 0; quietSeconds < STALLED_SECONDS; quietSeconds += 1) {
    const { ended } = await sampler.worker.ask('soakSample');
    if (ended >= count) return;
    if (ended > last) quietSeconds = 0;
    last = ended;
    await sleep(1_000);
  }
}

/** @param {string} name @param {import('./sampler.mjs').Sample} sample */
function progress(
  name,
  { seconds, rate, p99Ms = NaN, waiting, tableMb, indexMb = 0, fileMb = NaN, deadRows = NaN, workerMb, isHeld },
) {
  const size = (tableMb === undefined ? fileMb : tableMb + indexMb).toFixed(0);
  console.error(
    `${name} ${seconds} s: ${rate.toFixed(0)} jobs/s, p99 ${p99Ms.toFixed(1)} ms, ${waiting} waiting, ${size} MB, ` +
      `${deadRows} dead rows, worker ${workerMb.toFixed(0)} MB${isHeld ? ', snapshot held' : ''}`,
  );
}

/** @param {string} name @param {Awaited<ReturnType<typeof load>>} result */
function print(name, { jobs, rejected, check, growth, recovery }) {
  console.log(`\n${name}: ${jobs} jobs, ${rejected} rejected, ${check.lost} lost, ${check.repeated} repeated`);
  if (check.examples.length > 0) console.log(JSON.stringify(check.examples));
  console.log(growthTable(growth));
  if (recovery) console.log(`\n${recoveryTable(recovery)}`);
}
