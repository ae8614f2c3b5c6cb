import { setTimeout as sleep } from 'node:timers/promises';
import { countObservedHits } from '../checker/hits.js';
import type { Cluster } from '../cluster/cluster.js';
import { pauseSchedules, setBackSchedules } from '../cluster/tables.js';
import type { Fault } from './fault.js';

const KILL = 'SIGKILL at a tick';
const SCHEDULES = 20;
/** How long after a tick the process ends, at most. A firing of all schedules takes a few milliseconds. */
const AFTER_TICK_MAX_MS = 40;
/** How often the cursors of some schedules are set back, as an operator might do. */
const SET_BACK_SHARE = 0.3;

/** Schedules fire each second. A worker dies in the moment of a tick, and cursors are set back. */
export const killAtTicks: Fault = {
  name: 'schedules under kills',
  hitMeans: `kills within ${AFTER_TICK_MAX_MS} ms of a tick`,
  quick: { postgres: { strikes: 4, hits: 1 }, sqlite: { strikes: 4, hits: 1 } },
  full: { postgres: { strikes: 120, hits: 100 }, sqlite: { strikes: 120, hits: 100 } },
  schedules: SCHEDULES,
  strike: (cluster, strikes) => killEvery(5_000, cluster, strikes),
  hits: (evidence) => countObservedHits(evidence, KILL),
};

/** The same with shorter pauses and later kills, for builds whose defect shows in a firing that takes long. */
export const killAfterTicks: Fault = {
  ...killAtTicks,
  strike: (cluster, strikes) => killEvery(2_000, cluster, strikes, 200),
};

async function killEvery(
  pauseMs: number,
  cluster: Cluster,
  strikes: number,
  afterTickMaxMs = AFTER_TICK_MAX_MS,
): Promise<void> {
  for (let count = 0; count < strikes; count += 1) {
    await sleep(pauseMs);
    if (cluster.dice.chance(SET_BACK_SHARE)) {
      await cluster.target.observe(setBackSchedules(cluster.target.kind, cluster.dice.whole(0, 9)));
    }
    const victim = await cluster.pickVictim('worker');
    await sleep(1_000 - (Date.now() % 1_000) + cluster.dice.whole(0, afterTickMaxMs));
    cluster.recordStrike({ what: KILL, at: victim.name, hits: victim.isFree ? 1 : 0 });
    victim.kill();
  }
  await cluster.unload();
  await cluster.target.observe(pauseSchedules(cluster.target.kind));
}
