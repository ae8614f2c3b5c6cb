import { countDelayedEnqueues } from '../checker/hits.js';
import type { Fault } from './fault.js';

const STORM = 'SQLITE_BUSY storm';
const LOCKERS = 8;
const HINDERED_MS = 50;
const SECOND_MS = 1_000;

/** Eight other processes take the write lock of the file in turns, for up to 150 ms each. A strike is a second of that. */
export const busyStorm: Fault = {
  name: STORM,
  hitMeans: 'enqueues kept waiting or refused',
  quick: { sqlite: { strikes: 3, hits: 1 } },
  full: { sqlite: { strikes: 60, hits: 300 } },
  strike: async (cluster, strikes) => {
    await cluster.addLockers(LOCKERS);
    for (let count = 0; count < strikes; count += 1) {
      cluster.recordStrike({ what: STORM });
      await cluster.sleepRandomly(SECOND_MS, SECOND_MS);
    }
  },
  hits: (evidence) => countDelayedEnqueues(evidence, HINDERED_MS),
};
