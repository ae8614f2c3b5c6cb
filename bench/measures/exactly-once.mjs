/**
 * Each job ran once, and the table agrees. A figure of a run in which this does not hold is no figure.
 *
 * @param {import('../arena.mjs').Arena} arena
 * @param {import('../actor.mjs').Actor} worker
 * @param {{ runs: string }[]} reports
 * @param {{ topics: string[], count: number, future?: number }} expected `future`: jobs that are not due yet
 */
export async function checkRuns(arena, worker, reports, { topics, count, future = 0 }) {
  const runs = new Uint32Array(count);
  for (const report of reports) Buffer.from(report.runs, 'base64').forEach((times, n) => (runs[n] += times));
  const odd = runs.findIndex((times) => times !== 1);
  if (odd >= 0) throw new Error(`job ${odd} of ${count} ran ${runs[odd]} times`);

  const tally = await worker.ask('tally', topics);
  const finished = arena.contender.keepsRows ? count : 0;
  if (tally.finished !== finished || tally.unfinished !== future || tally.repeated !== 0) {
    throw new Error(
      `expected ${finished} finished rows of one attempt and ${future} others, the table has ${JSON.stringify(tally)}`,
    );
  }
}
