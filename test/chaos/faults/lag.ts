import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countDelayedEnqueues } from '../checker/hits.js';
import type { Fault } from './fault.js';

const LAG = 'slow network';
const LAG_MIN_MS = 20;
const LAG_MAX_MS = 300;

/** What is sent arrives later, each way, by up to a third of a lease. */
export const lag: Fault = {
  name: LAG,
  hitMeans: 'enqueues kept waiting or refused',
  quick: { postgres: { strikes: 3, hits: 1 } },
  full: { postgres: { strikes: 50, hits: 200 } },
  needs: { proxy: true },
  strike: async (cluster, strikes) => {
    const network = (cluster.target as PostgresChaosDatabase).network!;
    for (let count = 0; count < strikes; count += 1) {
      cluster.recordStrike({ what: LAG });
      network.lag(cluster.dice.whole(LAG_MIN_MS, LAG_MAX_MS));
      await cluster.sleepRandomly(500, 1_500);
      network.lag(0);
      await cluster.sleepRandomly(100, 500);
    }
  },
  hits: (evidence) => countDelayedEnqueues(evidence, 2 * LAG_MIN_MS),
};
