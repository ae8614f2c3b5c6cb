import { checkRuns } from './exactly-once.mjs';
import { untilDrained } from './until-drained.mjs';

/**
 * A producer with 64 callers in one process, a worker in another, from the first job enqueued to the last one finished.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ count: number, callers?: number }} input
 */
export async function together(stand, { count, callers = 64 }) {
  const topics = ['work'];
  const arena = await stand.arena({ topics, count: 0 });
  try {
    const worker = await arena.start();
    const producer = await arena.start();
    await producer.ask('fill', { topics: ['warm'], count: 10 });
    const serverSince = await arena.place.serverSeconds();
    await worker.ask('work', { topics, count });
    const [produced] = await Promise.all([
      producer.ask('produce', { how: 'callers', callers, count }),
      arena.untilSeen([worker], count),
    ]);
    const { endMs, serverSeconds } = await untilDrained(worker, arena.place);
    const report = await worker.ask('report');
    await checkRuns(arena, worker, [report], { topics, count });
    const per100k = 100_000 / count;
    return {
      value: (count / (endMs - produced.startMs)) * 1_000,
      nodeSeconds: (report.nodeSeconds + produced.nodeSeconds) * per100k,
      serverSeconds: (serverSeconds - serverSince) * per100k,
      peakMb: report.peakMb,
      facts: arena.facts,
    };
  } finally {
    await arena.close();
  }
}
