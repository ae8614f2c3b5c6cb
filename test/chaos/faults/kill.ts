import { hitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const KILL = 'SIGKILL';
const ENQUEUER_SHARE = 0.1;

/** Processes are killed at random, workers mostly; others are started in their place. */
export const kill: Fault = {
  name: KILL,
  hitMeans: 'kills while a handler ran',
  quick: { postgres: { strikes: 8, hits: 1 }, sqlite: { strikes: 8, hits: 1 } },
  full: { postgres: { strikes: 1_000, hits: 500 }, sqlite: { strikes: 200, hits: 100 } },
  strike: async (arena, strikes) => {
    for (let count = 0; count < strikes;) {
      await arena.aWhile(50, 250);
      if (arena.dice.chance(ENQUEUER_SHARE)) {
        (await arena.victim('enqueuer')).kill();
        continue;
      }
      const victim = await arena.victim('worker');
      arena.strike({ what: KILL, at: victim.name });
      victim.kill();
      count += 1;
    }
  },
  hits: (evidence) => hitsOnRunning(evidence, KILL),
};
