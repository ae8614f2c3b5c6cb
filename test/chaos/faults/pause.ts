import { LEASE_MS } from '../cluster/cluster.js';
import { countRejections } from '../checker/hits.js';
import type { Fault } from './fault.js';

const PAUSE = 'SIGSTOP';
const AT_ONCE = 2;

/** Suspends workers for longer than their leases, two at a time, and resumes them. */
export const pause: Fault = {
  name: PAUSE,
  hitMeans: 'refused outcomes',
  quick: { postgres: { strikes: 6, hits: 1 }, sqlite: { strikes: 4, hits: 1 } },
  full: { postgres: { strikes: 300, hits: 50 }, sqlite: { strikes: 60, hits: 10 } },
  strike: async (cluster, strikes) => {
    let left = strikes;
    const pauseOn = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await cluster.sleepRandomly(100, 400);
        const victim = await cluster.pickVictim('worker');
        victim.pause();
        cluster.recordStrike({ what: PAUSE, at: victim.name });
        await cluster.sleepRandomly(1.2 * LEASE_MS, 3 * LEASE_MS);
        victim.resume();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, pauseOn));
  },
  hits: countRejections,
};
