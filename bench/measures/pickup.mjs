import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../results/statistics.mjs';
import { checkRuns } from './exactly-once.mjs';
import { untilDrained } from './until-drained.mjs';

/** What a worker does first, and once, is over by then. */
const SETTLE_MS = 1_500;

/**
 * How long a job waits on an idle queue: from before the call that enqueues it to the first line of its handler, the
 * storing included. The value is the median.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ count: number, sameProcess?: boolean, pauseMs?: [number, number], filling?: Partial<import('../arena.mjs').Filling> }} input
 */
export async function pickup(stand, { count, sameProcess = false, pauseMs, filling }) {
  const topics = ['work'];
  const arena = await stand.arena({ topics, count: 0, ...filling });
  try {
    const worker = await arena.start();
    const producer = sameProcess ? worker : await arena.start();
    await producer.ask('fill', { topics: ['warm'], count: 10 });
    await worker.ask('work', { topics, count, pickup: true });
    await sleep(SETTLE_MS);
    await producer.ask('produce', { how: 'paced', count, pauseMs });
    await arena.untilSeen([worker], count);
    await untilDrained(worker, arena.place);
    const report = await worker.ask('report');
    await checkRuns(arena, worker, [report], { topics, count, future: filling?.future });
    return {
      value: Number(quantile(report.pickupsMs, 0.5)),
      p50Ms: quantile(report.pickupsMs, 0.5),
      p95Ms: quantile(report.pickupsMs, 0.95),
      p99Ms: quantile(report.pickupsMs, 0.99),
      facts: arena.facts,
    };
  } finally {
    await arena.close();
  }
}
