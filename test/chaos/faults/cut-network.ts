import { LEASE_MS } from '../cluster/cluster.js';
import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const CUT = 'cut network';
/** Longer than the timeout of a statement. */
const LONG_MS = 8_000;
const LONG_SHARE = 0.2;

/** Drops the packets of half of the workers for longer than their leases, without an error. Then packets arrive again. */
export const cutNetwork: Fault = {
  name: CUT,
  hitMeans: 'cuts while handlers ran',
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 40, hits: 30 } },
  needs: { namespace: true },
  strike: async (cluster, strikes) => {
    const { cable } = cluster.target as PostgresChaosDatabase;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.pickVictim('worker', 2);
      await cluster.sleepRandomly(300, 1_200);
      cluster.recordStrike({ what: CUT });
      cable!.namespace.cut();
      const isLong = cluster.dice.chance(LONG_SHARE);
      await cluster.sleepRandomly(isLong ? LONG_MS : 1.2 * LEASE_MS, isLong ? LONG_MS : 3 * LEASE_MS);
      cable!.namespace.restore();
    }
  },
  hits: (evidence) => countHitsOnRunning(evidence, CUT),
};
