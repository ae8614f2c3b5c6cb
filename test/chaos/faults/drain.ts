import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const TERM = 'SIGTERM';

/** Sends SIGTERM to working workers. */
export const drain: Fault = {
  name: TERM,
  hitMeans: 'while a handler ran',
  quick: { postgres: { strikes: 4, hits: 1 }, sqlite: { strikes: 4, hits: 1 } },
  full: { postgres: { strikes: 100, hits: 50 }, sqlite: { strikes: 50, hits: 25 } },
  strike: async (cluster, strikes) => {
    for (let count = 0; count < strikes; count += 1) {
      await cluster.sleepRandomly(50, 300);
      const victim = await cluster.pickVictim('worker');
      cluster.recordStrike({ what: TERM, at: victim.name });
      victim.terminate();
    }
  },
  hits: (evidence) => countHitsOnRunning(evidence, TERM),
};
