import { LEASE_MS } from '../arena/arena.js';
import type { PostgresGround } from '../arena/ground.js';
import { hitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const STALL = 'half-open network';

/** Nothing goes through any more and nobody is told, for longer than the leases last; then the connections break. */
export const stall: Fault = {
  name: STALL,
  hitMeans: 'stalls while handlers ran',
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 40, hits: 30 } },
  needs: { proxy: true },
  strike: async (arena, strikes) => {
    const network = (arena.ground as PostgresGround).network!;
    for (let count = 0; count < strikes; count += 1) {
      await arena.aWhile(600, 1_200);
      arena.strike({ what: STALL });
      network.stall();
      await arena.aWhile(1.2 * LEASE_MS, 3 * LEASE_MS);
      await network.close();
      await network.open();
    }
  },
  hits: (evidence) => hitsOnRunning(evidence, STALL),
};
