import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const RESTART = 'server restart';

/** The server crashes and restarts. */
export const restart: Fault = {
  name: RESTART,
  hitMeans: 'restarts while handlers ran',
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 50, hits: 40 } },
  strike: async (cluster, strikes) => {
    const { server } = cluster.target as PostgresChaosDatabase;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.pickVictim('worker', 2);
      await cluster.sleepRandomly(300, 900);
      cluster.recordStrike({ what: RESTART });
      await server.crash();
      await cluster.sleepRandomly(100, 1_500);
      await server.start();
    }
  },
  hits: (evidence) => countHitsOnRunning(evidence, RESTART),
};
