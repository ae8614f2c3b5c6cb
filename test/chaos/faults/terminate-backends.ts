import type { PostgresGround } from '../arena/ground.js';
import { hitsSeen } from '../checker/hits.js';
import { Probing } from '../arena/probing.js';
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
  strike: async (arena, strikes) => {
    const ground = arena.ground as PostgresGround;
    for (let ended = 0; ended < strikes;) {
      await arena.aWhile(200, 1_000);
      const hits = await arena.count(TERMINATE_ALL);
      arena.strike({ what: TERMINATE, hits });
      ended += hits;
    }
    await arena.drain();
    await Probing.of(ground, (probing) => probing.probe(arena, PROBES));
  },
  hits: (evidence) => hitsSeen(evidence, TERMINATE),
};
