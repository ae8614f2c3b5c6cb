import { countObservedHits } from '../checker/hits.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Fault } from './fault.js';

const KILL = 'SIGKILL before a follow-up';
const PAUSE_MS = [100, 400] as const;
/** Ends of jobs that owe a follow-up come several times a second. */
const FOLLOW_UP_MAX_MS = 10_000;

/** A worker dies when it has recorded the end of a job, and is about to follow it up. */
export const killBeforeFollowUps: Fault = {
  name: 'kills before follow-ups',
  hitMeans: 'workers that died before a follow-up',
  quick: { postgres: { strikes: 4, hits: 4 }, sqlite: { strikes: 4, hits: 4 } },
  full: { postgres: { strikes: 60, hits: 55 }, sqlite: { strikes: 40, hits: 35 } },
  isLinked: true,
  strike: killWorkers,
  hits: (evidence) => countObservedHits(evidence, KILL),
};

/** The same without graphs: each of these follow-ups stores the dead letters of failed jobs. */
export const killBeforeDeadLetters: Fault = { ...killBeforeFollowUps, isLinked: false };

async function killWorkers(cluster: Cluster, strikes: number): Promise<void> {
  for (let count = 0; count < strikes; count += 1) {
    await cluster.sleepRandomly(...PAUSE_MS);
    const victim = await cluster.pickVictim('worker');
    const hits = (await victim.killBeforeFollowUp(FOLLOW_UP_MAX_MS)) ? 1 : 0;
    cluster.recordStrike({ what: KILL, at: victim.name, hits });
  }
}
