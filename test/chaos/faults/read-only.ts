import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countDelayedEnqueues } from '../checker/hits.js';
import type { Fault } from './fault.js';

const READ_ONLY = 'read-only server';
/** The server is never back sooner; without a fault no enqueue takes as long. */
const HINDERED_MS = 300;

/** The server falls, comes back as a standby that takes no write, and is promoted: a failover. */
export const readOnly: Fault = {
  name: READ_ONLY,
  hitMeans: 'enqueues refused or kept waiting',
  quick: { postgres: { strikes: 1, hits: 1 } },
  full: { postgres: { strikes: 30, hits: 100 } },
  strike: async (cluster, strikes) => {
    const { server } = cluster.target as PostgresChaosDatabase;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.pickVictim('worker', 2);
      await cluster.sleepRandomly(300, 900);
      await cluster.untilEnqueue();
      cluster.recordStrike({ what: READ_ONLY });
      await server.crash();
      await server.startReadOnly();
      await cluster.sleepRandomly(300, 2_500);
      await server.promote();
    }
  },
  // An enqueue that meets the standby shortly before it is promoted is repeated, and stored.
  hits: (evidence) => countDelayedEnqueues(evidence, HINDERED_MS),
};
