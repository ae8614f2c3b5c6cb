import { countLimitedClaims } from '../checker/limits.js';
import type { Cluster } from '../cluster/cluster.js';
import { LEASE_MS } from '../cluster/cluster.js';
import type { Fault } from './fault.js';

const KILL = 'SIGKILL at a limit';
const PAUSE = 'SIGSTOP at a limit';
const CLAIMS_BETWEEN = 40;
const PAUSED_SHARE = 0.3;

/** Jobs of topics with limits and rates. Now and then a worker is killed, or suspended for longer than its leases. */
export const limitsUnderKills: Fault = {
  name: 'limits under kills',
  hitMeans: 'claims of limited topics',
  quick: { postgres: { strikes: 4, hits: 160 }, sqlite: { strikes: 4, hits: 160 } },
  full: { postgres: { strikes: 200, hits: 8_000 }, sqlite: { strikes: 100, hits: 4_000 } },
  isLimited: true,
  strike: async (cluster, strikes) => {
    let resumed: Promise<void> = Promise.resolve();
    for (let count = 0; count < strikes; count += 1) {
      await cluster.untilLimitedClaims(CLAIMS_BETWEEN);
      const victim = await cluster.pickVictim('worker');
      if (cluster.dice.chance(PAUSED_SHARE)) {
        cluster.recordStrike({ what: PAUSE, at: victim.name });
        await resumed;
        resumed = suspend(cluster, victim);
      } else {
        cluster.recordStrike({ what: KILL, at: victim.name });
        victim.kill();
      }
    }
    await resumed;
  },
  hits: countLimitedClaims,
};

/** The same without kills, for builds that exceed the limits. A strike is a number of claims. */
export const limitedLoad: Fault = {
  ...limitsUnderKills,
  strike: async (cluster, strikes) => {
    for (let count = 0; count < strikes; count += 1) {
      await cluster.untilLimitedClaims(CLAIMS_BETWEEN);
    }
  },
};

async function suspend(cluster: Cluster, victim: ReturnType<Cluster['workers']>[number]): Promise<void> {
  victim.pause();
  await cluster.sleepRandomly(1.2 * LEASE_MS, 2 * LEASE_MS);
  victim.resume();
}
