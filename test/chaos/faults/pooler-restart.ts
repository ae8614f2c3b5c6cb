import type { PoolMode } from '../../support/pgbouncer.js';
import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countHitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

/** Restarts the PgBouncer that workers and enqueuers use. */
const restart = (pooler: PoolMode): Fault => {
  const name = `PgBouncer restart, ${pooler} mode`;
  return {
    name,
    hitMeans: 'restarts while handlers ran',
    quick: { postgres: { strikes: 2, hits: 1 } },
    full: { postgres: { strikes: 50, hits: 40 } },
    needs: { pooler },
    strike: async (cluster, strikes) => {
      const target = cluster.target as PostgresChaosDatabase;
      for (let count = 0; count < strikes; count += 1) {
        await cluster.pickVictim('worker', 2);
        await cluster.sleepRandomly(300, 1_500);
        cluster.recordStrike({ what: name });
        await target.stopPooler();
        await cluster.sleepRandomly(0, 1_500);
        await target.startPooler();
      }
    },
    hits: (evidence) => countHitsOnRunning(evidence, name),
  };
};

export const sessionPoolerRestart = restart('session');
export const transactionPoolerRestart = restart('transaction');
