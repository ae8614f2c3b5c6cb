import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countDelayedEnqueues } from '../checker/hits.js';
import type { Fault } from './fault.js';

const OUTAGE = 'standby outage';
const HINDERED_MS = 300;
/** Longer than the timeout of a statement. */
const LONG_MS = 8_000;
const LONG_SHARE = 0.2;

/** Stops the standby, so that commits wait. A commit may have happened although its caller got no reply. */
export const standbyOutage: Fault = {
  name: OUTAGE,
  hitMeans: 'enqueues kept waiting or refused',
  quick: { postgres: { strikes: 1, hits: 1 } },
  full: { postgres: { strikes: 30, hits: 100 } },
  needs: { replication: { isSynchronous: true } },
  strike: async (cluster, strikes) => {
    const { standby } = (cluster.target as PostgresChaosDatabase).pair!;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.sleepRandomly(300, 900);
      await cluster.untilEnqueue();
      cluster.recordStrike({ what: OUTAGE });
      await standby.crash();
      const isLong = cluster.dice.chance(LONG_SHARE);
      await cluster.sleepRandomly(isLong ? LONG_MS : HINDERED_MS, isLong ? LONG_MS : 3_000);
      await standby.startReadOnly();
    }
  },
  hits: (evidence) => countDelayedEnqueues(evidence, HINDERED_MS),
};
