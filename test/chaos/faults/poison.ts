import type { Arena } from '../arena/arena.js';
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
  strike: async (arena, strikes) => {
    for (let ended = 0; ended < strikes;) {
      await arena.aWhile(...LOOK_MS);
      ended = await restartWhenHeldUp(arena);
    }
    await arena.unload();
    while ((await arena.count(ENDLESS)) > 0) {
      await arena.aWhile(...LOOK_MS);
      await restartWhenHeldUp(arena);
    }
    for (let count = 0; count < strikes; count += 1) arena.strike({ what: POISON });
  },
  hits: ({ ledger, jobs }) => {
    const poisons = new Set(jobs.filter(({ topic }) => poisonTopics.includes(topic)).map(({ id }) => id));
    return ledger.filter(({ job_id: id, was, now }) => was === 'pending' && now === 'processing' && poisons.has(id))
      .length;
  },
};

/** Handlers that never settle keep their slots by design. An operator would restart such a worker, and so does this. */
async function restartWhenHeldUp(arena: Arena): Promise<number> {
  if ((await arena.count(ENDLESS)) > 0) {
    (await arena.victim('worker')).terminate();
  }
  return arena.count(ENDED);
}
