import type { PostgresGround } from '../arena/ground.js';
import { hitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const RESTART = 'server restart';

/** The server stops as in a crash, and comes back. */
export const restart: Fault = {
  name: RESTART,
  hitMeans: 'restarts while handlers ran',
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 50, hits: 40 } },
  strike: async (arena, strikes) => {
    const { server } = arena.ground as PostgresGround;
    for (let count = 0; count < strikes; count += 1) {
      await arena.victim('worker', 2);
      await arena.aWhile(300, 900);
      arena.strike({ what: RESTART });
      await server.crash();
      await arena.aWhile(100, 1_500);
      await server.start();
    }
  },
  hits: (evidence) => hitsOnRunning(evidence, RESTART),
};
