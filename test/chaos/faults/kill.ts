import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const KILL = 'SIGKILL';
const ENQUEUER_SHARE = 0.1;

/** Kills random processes, mostly workers; new ones replace them. */
export const kill: Fault = {
  name: KILL,
  hitMeans: 'kills while a handler ran',
  quick: { postgres: { strikes: 8, hits: 1 }, sqlite: { strikes: 8, hits: 1 } },
  full: { postgres: { strikes: 1_000, hits: 500 }, sqlite: { strikes: 200, hits: 100 } },
  strike: async (cluster, strikes) => {
    for (let count = 0; count < strikes;) {
      await cluster.sleepRandomly(50, 250);
      if (cluster.dice.chance(ENQUEUER_SHARE)) {
        (await cluster.pickVictim('enqueuer')).kill();
        continue;
      }
      const victim = await cluster.pickVictim('worker');
      cluster.recordStrike({ what: KILL, at: victim.name });
      victim.kill();
      count += 1;
    }
  },
  hits: (evidence) => countHitsOnRunning(evidence, KILL),
};
