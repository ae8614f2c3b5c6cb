import { hinderedEnqueues } from '../checker/hits.js';
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
  strike: async (arena, strikes) => {
    await arena.addLockers(LOCKERS);
    for (let count = 0; count < strikes; count += 1) {
      arena.strike({ what: STORM });
      await arena.aWhile(SECOND_MS, SECOND_MS);
    }
  },
  hits: (evidence) => hinderedEnqueues(evidence, HINDERED_MS),
};
