import { LEASE_MS } from '../cluster/cluster.js';
import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const STALL = 'half-open network';

/** The network drops everything silently for longer than the leases; then the connections break. */
export const stall: Fault = {
  name: STALL,
  hitMeans: 'stalls while handlers ran',
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 40, hits: 30 } },
  needs: { proxy: true },
  strike: async (cluster, strikes) => {
    const network = (cluster.target as PostgresChaosDatabase).network!;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.sleepRandomly(600, 1_200);
      cluster.recordStrike({ what: STALL });
      network.stall();
      await cluster.sleepRandomly(1.2 * LEASE_MS, 3 * LEASE_MS);
      await network.close();
      await network.open();
    }
  },
  hits: (evidence) => countHitsOnRunning(evidence, STALL),
};
