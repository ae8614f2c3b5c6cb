import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../results/statistics.mjs';
import { checkRuns } from './exactly-once.mjs';
import { untilDrained } from './until-drained.mjs';

/** Jobs of the first seconds are not counted: V8 has not compiled the code yet. */
const WARM_SECONDS = 2;
/** A queue falls behind if a job has not started this long after the last one was due. The measurement ends then. */
const BEHIND_MS = 5_000;

/**
 * Measures how long a job waits, from the call that enqueues it to the first line of its handler. A producer enqueues at a fixed rate,
 * each job in its own call. The value is the 99th percentile. A queue that falls behind has `reachedRate` instead, and no other figures.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ rate: number, seconds: number, processes: number, handlerMs: number }} input
 */
export async function steady(stand, { rate, seconds, processes, handlerMs }) {
  const topics = ['work'];
  const warm = rate * WARM_SECONDS;
  const count = warm + Math.ceil(rate * seconds);
  const arena = await stand.arena({ topics, count: 0 });
  try {
    const workers = await Promise.all(Array.from({ length: processes }, () => arena.start()));
    const producer = await arena.start();
    await producer.ask('fill', { topics: ['warm'], count: 10 });
    for (const worker of workers)
      await worker.ask('work', { topics, count, handlerMs, pickup: true, pickupFrom: warm });
    const serverSince = await arena.place.serverSeconds();
    const limitMs = (WARM_SECONDS + seconds) * 1_000 + BEHIND_MS;
    const ended = await Promise.race([
      Promise.all([producer.ask('produce', { how: 'steady', count, rate }), arena.untilSeen(workers, count)]),
      sleep(limitMs, undefined, { ref: false }),
    ]);
    if (ended === undefined) {
      const started = workers.reduce((all, worker) => all + worker.seen, 0);
      return { value: BEHIND_MS, reachedRate: (started / limitMs) * 1_000, facts: arena.facts };
    }
    const [produced] = ended;
    const { serverSeconds } = await untilDrained(workers[0], arena.place);
    const reports = await Promise.all(workers.map((worker) => worker.ask('report')));
    await checkRuns(arena, workers[0], reports, { topics, count });
    const pickupsMs = reports.flatMap((report) => report.pickupsMs);
    const nodeSeconds = reports.reduce((all, report) => all + report.nodeSeconds, produced.nodeSeconds);
    const per100k = 100_000 / count;
    return {
      value: Number(quantile(pickupsMs, 0.99)),
      p50Ms: quantile(pickupsMs, 0.5),
      p99Ms: quantile(pickupsMs, 0.99),
      p999Ms: quantile(pickupsMs, 0.999),
      nodeSeconds: nodeSeconds * per100k,
      serverSeconds: (serverSeconds - serverSince) * per100k,
      facts: { ...arena.facts, enqueueSeconds: (produced.endMs - produced.startMs) / 1_000 },
    };
  } finally {
    await arena.close();
  }
}

/** Rates to try, in this order, in jobs a second. */
const RATES = [250, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 13_000, 16_000, 20_000];
/** A job that waits for longer is late. */
const LATE_MS = 50;

/**
 * The highest rate at which 99 of 100 jobs start within 50 ms.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ seconds: number, processes: number, handlerMs: number }} input
 */
export async function highestRate(stand, input) {
  let best;
  for (const rate of RATES) {
    const figure = await steady(stand, { ...input, rate });
    if (figure.value >= LATE_MS) break;
    best = { ...figure, value: rate };
  }
  return best ?? { value: 0 };
}
