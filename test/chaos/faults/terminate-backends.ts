import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countObservedHits } from '../checker/hits.js';
import { Probing } from '../cluster/probing.js';
import type { Fault } from './fault.js';

const TERMINATE = 'terminated backends';
const TERMINATE_ALL = `
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS count FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'observer'`;
const PROBES = 4;

/** Every connection is ended by the server, the listening ones too. Polling is so rare that only notifications are quick. */
export const terminateBackends: Fault = {
  name: TERMINATE,
  hitMeans: 'connections ended',
  quick: { postgres: { strikes: 60, hits: 1 } },
  full: { postgres: { strikes: 2_000, hits: 2_000 } },
  options: { pollInterval: '60s' },
  strike: async (cluster, strikes) => {
    const target = cluster.target as PostgresChaosDatabase;
    for (let ended = 0; ended < strikes;) {
      await cluster.sleepRandomly(200, 1_000);
      const hits = await cluster.count(TERMINATE_ALL);
      cluster.recordStrike({ what: TERMINATE, hits });
      ended += hits;
    }
    await cluster.drain();
    await Probing.of(target, (probing) => probing.probe(cluster, PROBES));
  },
  hits: (evidence) => countObservedHits(evidence, TERMINATE),
};
