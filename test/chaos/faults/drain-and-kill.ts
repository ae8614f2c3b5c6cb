import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const TERM_KILL = 'SIGTERM then SIGKILL';

/** Sends SIGTERM to workers and kills them before they end. */
export const drainAndKill: Fault = {
  name: TERM_KILL,
  hitMeans: 'kills while a handler ran',
  quick: { postgres: { strikes: 4, hits: 1 }, sqlite: { strikes: 4, hits: 1 } },
  full: { postgres: { strikes: 100, hits: 30 }, sqlite: { strikes: 50, hits: 15 } },
  strike: async (cluster, strikes) => {
    for (let count = 0; count < strikes; count += 1) {
      await cluster.sleepRandomly(50, 300);
      const victim = await cluster.pickVictim('worker');
      victim.terminate();
      await cluster.sleepRandomly(0, 120);
      cluster.recordStrike({ what: TERM_KILL, at: victim.name });
      victim.kill();
    }
  },
  hits: (evidence) => countHitsOnRunning(evidence, TERM_KILL),
};
