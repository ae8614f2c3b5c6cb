import type { PostgresGround } from '../arena/ground.js';
import type { Fault } from './fault.js';

const READ_ONLY = 'read-only server';

/** The server falls, comes back as a standby that takes no write, and is promoted: a failover. */
export const readOnly: Fault = {
  name: READ_ONLY,
  hitMeans: 'enqueues refused',
  quick: { postgres: { strikes: 1, hits: 1 } },
  full: { postgres: { strikes: 30, hits: 100 } },
  strike: async (arena, strikes) => {
    const { server } = arena.ground as PostgresGround;
    for (let count = 0; count < strikes; count += 1) {
      await arena.victim('worker', 2);
      await arena.aWhile(300, 900);
      arena.strike({ what: READ_ONLY });
      await server.crash();
      await server.startReadOnly();
      await arena.aWhile(300, 2_500);
      await server.promote();
    }
  },
  hits: ({ history }) => history.filter(({ kind }) => kind === 'refused').length,
};
