import { setTimeout as sleep } from 'node:timers/promises';
import { countObservedHits } from '../checker/hits.js';
import { APPLIED_WITHIN_MS, SETTLED_MS } from '../checker/versions.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Member } from '../cluster/member.js';
import { FIRST_VERSION } from '../protocol.js';
import type { Fault } from './fault.js';

const DEPLOYMENT = 'rolling deployment';

/**
 * Replaces the workers one by one, by a newer version of the application, then by an older one. In the middle an old worker crashes and
 * starts again. A strike is a deployment.
 */
export const rollingDeployment: Fault = {
  name: DEPLOYMENT,
  hitMeans: 'starts of the old version beside the new one',
  quick: { postgres: { strikes: 2, hits: 2 }, sqlite: { strikes: 2, hits: 2 } },
  full: { postgres: { strikes: 12, hits: 12 }, sqlite: { strikes: 12, hits: 12 } },
  isVersioned: true,
  strike: async (cluster, strikes) => {
    let newest = FIRST_VERSION;
    let current = newest;
    for (let count = 0; count < strikes; count += 1) {
      const isRollback = current > FIRST_VERSION && count % 2 === 1;
      newest = isRollback ? newest : newest + 1;
      const next = isRollback ? cluster.dice.whole(FIRST_VERSION, current - 1) : newest;
      await deploy(cluster, next, isRollback);
      current = next;
    }
  },
  hits: (evidence) => countObservedHits(evidence, DEPLOYMENT),
};

async function deploy(cluster: Cluster, version: number, isRollback: boolean): Promise<void> {
  const old = cluster.workers();
  const half = Math.ceil(old.length / 2);
  await Promise.all(old.slice(0, half).map((worker) => replace(cluster, worker, version)));
  await sleep(SETTLED_MS);
  const [crashed, ...rest] = old.slice(half);
  crashed!.kill();
  const again = await cluster.untilReplaced(crashed!);
  cluster.recordStrike({ what: DEPLOYMENT, at: again.name, hits: again.isReady ? 1 : 0 });
  // Until the old version has been seen to apply, if it does.
  await sleep(SETTLED_MS);
  await Promise.all([...rest, again].map((worker) => replace(cluster, worker, version)));
  // After a rollback the definitions of the version that is gone end.
  await sleep(isRollback ? APPLIED_WITHIN_MS + 2 * SETTLED_MS : SETTLED_MS);
}

async function replace(cluster: Cluster, worker: Member, version: number): Promise<void> {
  cluster.setNextVersion(worker, version);
  if (cluster.dice.chance(0.5)) {
    worker.terminate();
  } else {
    worker.kill();
  }
  await cluster.untilReplaced(worker);
}
