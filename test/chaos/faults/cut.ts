import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresChaosDatabase } from '../cluster/chaos-database.js';
import { countObservedHits } from '../checker/hits.js';
import type { Fault } from './fault.js';

const CUT = 'cut connections';
const WAIT_MAX_MS = 2_000;

/** Cuts connections during a statement: half of the time the server still executes it, and its response is lost. */
const texts = ['COMMIT', 'COMMIT', 'INSERT INTO _jobs', 'UPDATE _jobs', 'INSERT INTO effects'];

export const cut: Fault = {
  name: CUT,
  hitMeans: 'connections cut at a statement',
  quick: { postgres: { strikes: 12, hits: 1 } },
  full: { postgres: { strikes: 300, hits: 250 } },
  needs: { proxy: true },
  strike: async (cluster, strikes) => {
    const network = (cluster.target as PostgresChaosDatabase).network!;
    for (let count = 0; count < strikes; count += 1) {
      await cluster.sleepRandomly(50, 250);
      const moment = cluster.dice.chance(0.7) ? 'sent' : 'unsent';
      const isCut = network.cutNext(cluster.dice.pick(texts), moment).then(() => true);
      const hits = (await Promise.race([isCut, sleep(WAIT_MAX_MS)])) ? 1 : 0;
      cluster.recordStrike({ what: CUT, hits });
    }
  },
  hits: (evidence) => countObservedHits(evidence, CUT),
};
