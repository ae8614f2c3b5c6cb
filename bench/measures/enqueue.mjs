import { quantile } from '../results/statistics.mjs';

/**
 * Enqueues into an empty queue without a worker. Each promise resolves when its job is stored.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {import('../child/producer.mjs').ProducerInput} input
 */
export async function enqueue(stand, input) {
  const arena = await stand.arena({ topics: ['work'], count: 0 });
  try {
    const producer = await arena.start();
    // The first connection, the first statement of its kind: what a process does once.
    await producer.ask('fill', { topics: ['warm'], count: 10 });
    const serverSince = await arena.place.serverSeconds();
    const report = await producer.ask('produce', input);
    const serverSeconds = (await arena.place.serverSeconds()) - serverSince;
    const tally = await producer.ask('tally', ['work']);
    if (tally.unfinished !== input.count) {
      throw new Error(`expected ${input.count} waiting jobs, the table has ${JSON.stringify(tally)}`);
    }
    const per100k = 100_000 / input.count;
    return {
      value: (input.count / (report.endMs - report.startMs)) * 1_000,
      p50Ms: quantile(report.timesMs, 0.5),
      p99Ms: quantile(report.timesMs, 0.99),
      nodeSeconds: report.nodeSeconds * per100k,
      serverSeconds: serverSeconds * per100k,
      facts: arena.facts,
    };
  } finally {
    await arena.close();
  }
}
