import type { Replication } from '../../processes/support/replicated-postgres.js';
import { countHitsOnRunning } from '../checker/hits.js';
import { findLostJobs } from '../checker/jobs.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Evidence } from '../cluster/evidence.js';
import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { CLAIMS } from '../cluster/tables.js';
import type { Fault } from './fault.js';

const FAILOVER = 'failover';

/** The delay between the servers, as between two data centers. */
const LAG_MS = 20;
/** Long enough that each failover loses an acknowledged commit. */
const LONG_LAG_MS = 300;

/** Kills the primary, promotes its standby, and connects the proxy to it. Each commit waits for the standby. */
export const failover: Fault = {
  ...failoverWith({ isSynchronous: true, lagMs: LAG_MS }),
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 30, hits: 25 } },
};

/** Commits do not wait for the standby. Commits that it has not received are lost, and the checker must detect that. */
export const failoverWithLoss: Fault = failoverWith({ isSynchronous: false, lagMs: LONG_LAG_MS });

function failoverWith(replication: Replication): Fault {
  return {
    name: FAILOVER,
    hitMeans: 'failovers while handlers ran',
    quick: {},
    full: {},
    needs: { proxy: true, replication },
    strike: async (cluster, strikes) => {
      for (let count = 0; count < strikes; count += 1) await failOver(cluster);
    },
    hits: (evidence) => countHitsOnRunning(evidence, FAILOVER),
    figures,
  };
}

async function failOver(cluster: Cluster): Promise<void> {
  const target = cluster.target as PostgresChaosDatabase;
  const [pair, network] = [target.pair!, target.network!];
  await cluster.pickVictim('worker', 2);
  await cluster.sleepRandomly(300, 900);
  await cluster.untilEnqueue();
  await pair.primary.kill(() => cluster.recordStrike({ what: FAILOVER }));
  await cluster.sleepRandomly(0, 1_000);
  if (cluster.dice.chance(0.5)) {
    // Workers reach the standby while it still rejects writes.
    network.retarget(pair.standby.url);
    await cluster.sleepRandomly(300, 2_000);
  }
  await pair.promote();
  network.retarget(pair.primary.url);
  cluster.recordEnd();
  await cluster.untilClaims(CLAIMS, 1);
  await pair.attachStandby();
}

/** Describes how soon the workers continued, and what was lost. */
function figures({ strikes, endsMs, ledger, history, jobs }: Evidence): string {
  const waits = endsMs.flatMap((endMs) => {
    const claim = ledger.find(({ now, at }) => now === 'processing' && at >= endMs);
    return claim ? [Math.round(claim.at - endMs)] : [];
  });
  const lost = findLostJobs({ jobs, history });
  // After the kill, server processes may acknowledge jobs until they notice it.
  const ages = lost.map(({ atUs }) => {
    const nearest = strikes.map((strike) => strike.atUs - atUs).sort((a, b) => Math.abs(a) - Math.abs(b))[0]!;
    return Math.round(Math.max(0, nearest / 1_000));
  });
  const acknowledged = history.filter(({ kind }) => kind === 'acknowledged').length;
  return (
    `first claim ${Math.min(...waits)} to ${Math.max(...waits)} ms after the promotion; ` +
    `${lost.length} of ${acknowledged} acknowledged jobs lost, acknowledged up to ${Math.max(0, ...ages)} ms before the kill`
  );
}
