import type { SqliteChaosDatabase } from '../cluster/chaos-database.js';
import type { Fault } from './fault.js';

const FULL = 'full disk';

/** The log of SQLite takes some writes without a new block, once a checkpoint has set its own free. */
const REFUSAL_MAX_MS = 10_000;

/** The disk is full for a while. */
export const fullDisk: Fault = {
  name: FULL,
  hitMeans: 'enqueues refused',
  quick: { sqlite: { strikes: 2, hits: 1 } },
  full: { sqlite: { strikes: 40, hits: 100 } },
  needs: { smallDisk: true },
  strike: async (cluster, strikes) => {
    const disk = (cluster.target as SqliteChaosDatabase).disk!;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.sleepRandomly(500, 1_000);
      cluster.recordStrike({ what: FULL });
      // Again and again: a log that is cut, or a file that goes, would leave room for a while.
      await cluster.untilRejection(REFUSAL_MAX_MS, () => disk.fill());
      await cluster.sleepRandomly(0, 2_000);
      disk.empty();
    }
  },
  hits: ({ history }) => history.filter(({ kind }) => kind === 'refused').length,
};
