import type { SqliteGround } from '../arena/ground.js';
import type { Fault } from './fault.js';

const FULL = 'full disk';

/** The disk has no block left for a while. */
export const fullDisk: Fault = {
  name: FULL,
  hitMeans: 'enqueues refused',
  quick: { sqlite: { strikes: 2, hits: 1 } },
  full: { sqlite: { strikes: 40, hits: 100 } },
  needs: { smallDisk: true },
  strike: async (arena, strikes) => {
    const disk = (arena.ground as SqliteGround).disk!;
    for (let count = 0; count < strikes; count += 1) {
      await arena.aWhile(500, 1_000);
      arena.strike({ what: FULL });
      disk.fill();
      await arena.aWhile(300, 2_500);
      disk.empty();
    }
  },
  hits: ({ history }) => history.filter(({ kind }) => kind === 'refused').length,
};
