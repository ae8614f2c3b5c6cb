import type { Replication } from '../../processes/support/replicated-postgres.js';
import { countHitsOnRunning } from '../checker/hits.js';
import { findLostJobs } from '../checker/jobs.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Evidence } from '../cluster/evidence.js';
import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { CLAIMS } from '../cluster/tables.js';
import type { Fault } from './fault.js';

const FAILOVER = 'failover';

/** How long data takes to the standby, as between two data centers. */
const LAG_MS = 20;
/** So long that a commit is acknowledged and lost in each failover. */
const LONG_LAG_MS = 300;

/** The primary dies, its standby is promoted, and the address of the database leads to it. Each commit waits for the standby. */
export const failover: Fault = {
  ...failoverWith({ isSynchronous: true, lagMs: LAG_MS }),
  quick: { postgres: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 30, hits: 25 } },
};

/** Commits do not wait for the standby: what it has not received is lost, which the checker must detect. */
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
    // The address leads to the standby while that still rejects writes.
    network.retarget(pair.standby.url);
    await cluster.sleepRandomly(300, 2_000);
  }
  await pair.promote();
  network.retarget(pair.primary.url);
  cluster.recordEnd();
  await cluster.untilClaims(CLAIMS, 1);
  await pair.attachStandby();
}

/** How soon the workers continued, and what was lost. */
function figures({ strikes, endsMs, ledger, history, jobs }: Evidence): string {
  const waits = endsMs.flatMap((endMs) => {
    const claim = ledger.find(({ now, at }) => now === 'processing' && at >= endMs);
    return claim ? [Math.round(claim.at - endMs)] : [];
  });
  const lost = findLostJobs({ jobs, history });
  // Processes of the server that notice its end late may still acknowledge some.
  const ages = lost.map(({ atUs }) => {
    const nearest = strikes.map((strike) => strike.atUs - atUs).sort((a, b) => Math.abs(a) - Math.abs(b))[0]!;
    return Math.round(Math.max(0, nearest / 1_000));
  });
  const acknowledged = history.filter(({ kind }) => kind === 'acknowledged').length;
  return (
    `first claim ${Math.min(...waits)} to ${Math.max(...waits)} ms after the promotion; ` +
    `${lost.length} of ${acknowledged} acknowledged jobs lost, up to ${Math.max(0, ...ages)} ms before the end`
  );
}
