import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../results/statistics.mjs';
import { checkRuns } from './exactly-once.mjs';
import { untilDrained } from './until-drained.mjs';

/** After this time all processes have started and know the others. */
const SETTLE_MS = 5_000;
/** How long the idle processes are watched. Longer than the ten seconds after which a quiet session reports what it did. */
const IDLE_MS = 12_000;
/** Between jobs. */
const PAUSE_MS = /** @type {[number, number]} */ ([20, 60]);

/**
 * Counts the transactions for each job on an idle queue of `processes` workers. One process stores the jobs; the count includes that.
 * `countedPerJob` is the count of PostgreSQL, which adds one for each listening session and NOTIFY, although the session runs nothing.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ count: number, processes: number }} input
 */
export async function herd(stand, { count, processes }) {
  const topics = ['work'];
  const arena = await stand.arena({ topics, count: 0 });
  try {
    const workers = [];
    for (let n = 0; n < processes; n += 1) workers.push(await arena.start());
    const producer = await arena.start();
    await producer.ask('fill', { topics: ['warm'], count: 10 });
    const actors = [...workers, producer];
    await Promise.all(workers.map((worker) => worker.ask('work', { topics, count, pickup: true })));
    await look(arena, actors);
    await sleep(SETTLE_MS);

    const idleSince = await look(arena, actors);
    await sleep(IDLE_MS);
    const since = await look(arena, actors);
    await producer.ask('produce', { how: 'paced', count, pauseMs: PAUSE_MS });
    await arena.untilSeen(workers, count);
    const now = await look(arena, actors);
    await untilDrained(workers[0], arena.place);

    const reports = await Promise.all(workers.map((worker) => worker.ask('report')));
    await checkRuns(arena, workers[0], reports, { topics, count });
    const pickupsMs = reports.flatMap((report) => report.pickupsMs);
    const perIdleSecond = (/** @type {'sent' | 'counted'} */ kind) =>
      (since[kind] - idleSince[kind]) / (IDLE_MS / 1_000);
    return {
      value: (now.sent - since.sent) / count,
      p50Ms: quantile(pickupsMs, 0.5),
      p99Ms: quantile(pickupsMs, 0.99),
      countedPerJob: (now.counted - since.counted) / count,
      idlePerProcess: perIdleSecond('sent') / processes,
      countedIdlePerProcess: perIdleSecond('counted') / processes,
      workersUsed: reports.filter((report) => report.pickupsMs.length > 0).length,
      facts: arena.facts,
    };
  } finally {
    await arena.close();
  }
}

/** @param {import('../arena.mjs').Arena} arena @param {import('../actor.mjs').Actor[]} actors */
async function look({ place }, actors) {
  const sent = await Promise.all(actors.map((actor) => actor.ask('transactions')));
  const [row] = await place.query(
    `SELECT xact_commit + xact_rollback AS counted FROM pg_stat_database WHERE datname = current_database()`,
  );
  return { sent: sent.reduce((sum, count) => sum + count, 0), counted: Number(row.counted) };
}
