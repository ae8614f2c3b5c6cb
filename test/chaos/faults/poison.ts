import type { Cluster } from '../cluster/cluster.js';
import { poisonTopics } from '../protocol.js';
import type { Fault } from './fault.js';

const POISON = 'poison jobs';
/** Between two looks whether a worker is held up, from and to. */
const LOOK_MS = [100, 250] as const;
const topics = poisonTopics.map((topic) => `'${topic}'`).join(', ');
const ENDED = `SELECT count(*) AS count FROM _jobs WHERE topic IN (${topics}) AND status IN ('completed', 'failed')`;
const ENDLESS = `SELECT count(*) AS count FROM _jobs WHERE topic = 'poison_endless' AND status IN ('pending', 'processing')`;

/** Handlers end the process, hold the event loop for longer than the lease, throw `undefined`, reject late, never settle. */
export const poison: Fault = {
  name: POISON,
  hitMeans: 'attempts at such jobs',
  quick: { postgres: { strikes: 6, hits: 1 }, sqlite: { strikes: 6, hits: 1 } },
  full: { postgres: { strikes: 300, hits: 500 }, sqlite: { strikes: 200, hits: 400 } },
  isPoisonous: true,
  strike: async (cluster, strikes) => {
    for (let ended = 0; ended < strikes;) {
      await cluster.sleepRandomly(...LOOK_MS);
      ended = await restartWhenHeldUp(cluster);
    }
    await cluster.unload();
    while ((await cluster.count(ENDLESS)) > 0) {
      await cluster.sleepRandomly(...LOOK_MS);
      await restartWhenHeldUp(cluster);
    }
    for (let count = 0; count < strikes; count += 1) cluster.recordStrike({ what: POISON });
  },
  hits: ({ ledger, jobs }) => {
    const poisons = new Set(jobs.filter(({ topic }) => poisonTopics.includes(topic)).map(({ id }) => id));
    return ledger.filter(({ job_id: id, was, now }) => was === 'pending' && now === 'processing' && poisons.has(id))
      .length;
  },
};

/** Handlers that never settle keep their slots by design. An operator would restart such a worker, and so does this. */
async function restartWhenHeldUp(cluster: Cluster): Promise<number> {
  if ((await cluster.count(ENDLESS)) > 0) {
    (await cluster.pickVictim('worker')).terminate();
  }
  return cluster.count(ENDED);
}
