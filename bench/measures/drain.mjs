import { checkRuns } from './exactly-once.mjs';
import { untilDrained } from './until-drained.mjs';

/**
 * @typedef {object} DrainInput
 * @property {number} count
 * @property {number} [processes]
 * @property {string[]} [topics]
 * @property {number} [handlerMs]
 * @property {number} [padBytes]
 * @property {number} [markEvery]
 * @property {boolean} [holdSnapshot] whether another session keeps a view of the database meanwhile
 * @property {Partial<import('../arena.mjs').Filling>} [filling]
 */

/**
 * Runs a backlog of jobs down. The clock runs from the first call of a handler, so that nobody pays for how he starts,
 * to the moment at which the table holds no unfinished job. CPU seconds of the server are those from the order to work to that
 * moment, of Node to the answer that says so.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {DrainInput} input
 */
export async function drain(stand, input) {
  const { count, processes = 1, topics = ['work'], handlerMs, padBytes, markEvery, filling } = input;
  const arena = await stand.arena({ topics, count, padBytes, ...filling });
  try {
    if (input.holdSnapshot) await arena.holdSnapshot();
    const workers = [];
    for (let index = 0; index < processes; index += 1) workers.push(await arena.start());
    const serverSince = await arena.place.serverSeconds();
    const walSince = await arena.place.walBytes();
    await Promise.all(workers.map((worker) => worker.ask('work', { topics, count, handlerMs, markEvery })));
    await arena.untilSeen(workers, count);
    const { endMs, serverSeconds } = await untilDrained(workers[0], arena.place);
    const walBytes = ((await arena.place.walBytes()) - walSince) / count;
    const reports = await Promise.all(workers.map((worker) => worker.ask('report')));
    await checkRuns(arena, workers[0], reports, { topics, count, future: filling?.future });

    const firstMs = Math.min(...reports.filter((report) => report.firstMs > 0).map((report) => report.firstMs));
    const per100k = 100_000 / count;
    const nodeSeconds = reports.reduce((all, report) => all + report.nodeSeconds, 0);
    return {
      value: (count / (endMs - firstMs)) * 1_000,
      nodeSeconds: nodeSeconds * per100k,
      serverSeconds: (serverSeconds - serverSince) * per100k,
      walBytes: Number.isFinite(walBytes) ? walBytes : undefined,
      peakMb: Math.max(...reports.map((report) => report.peakMb)),
      marksMs: markEvery ? reports[0].marks.map((/** @type {number} */ mark) => mark - firstMs) : undefined,
      facts: arena.facts,
    };
  } finally {
    await arena.close();
  }
}
