import type { PostgresGround } from '../arena/ground.js';
import { hinderedEnqueues } from '../checker/hits.js';
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
  strike: async (arena, strikes) => {
    const network = (arena.ground as PostgresGround).network!;
    for (let count = 0; count < strikes; count += 1) {
      arena.strike({ what: LAG });
      network.lag(arena.dice.whole(LAG_MIN_MS, LAG_MAX_MS));
      await arena.aWhile(500, 1_500);
      network.lag(0);
      await arena.aWhile(100, 500);
    }
  },
  hits: (evidence) => hinderedEnqueues(evidence, 2 * LAG_MIN_MS),
};
