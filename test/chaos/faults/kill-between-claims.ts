import type { Cluster } from '../cluster/cluster.js';
import { LEASE_MS } from '../cluster/cluster.js';

const KILL = 'SIGKILL';
const PAUSE = 'SIGSTOP';
const PAUSED_SHARE = 0.3;

/** After so many claims each, a worker is killed, or suspended for longer than its leases. @param claims counts them. */
export async function killBetweenClaims(
  cluster: Cluster,
  strikes: number,
  claims: string,
  between: number,
): Promise<void> {
  let resumed: Promise<void> = Promise.resolve();
  for (let count = 0; count < strikes; count += 1) {
    await cluster.untilClaims(claims, between);
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
}

async function suspend(cluster: Cluster, victim: ReturnType<Cluster['workers']>[number]): Promise<void> {
  victim.pause();
  await cluster.sleepRandomly(1.2 * LEASE_MS, 2 * LEASE_MS);
  victim.resume();
}
