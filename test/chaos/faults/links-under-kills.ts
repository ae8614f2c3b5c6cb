import { countReleases } from '../checker/links.js';
import { CLAIMS } from '../cluster/tables.js';
import type { Fault } from './fault.js';
import { killBetweenClaims } from './kill-between-claims.js';

const CLAIMS_BETWEEN = 25;

/** Graphs and groups of jobs. Now and then a worker is killed, or suspended for longer than its leases. */
export const linksUnderKills: Fault = {
  name: 'links under kills',
  hitMeans: 'released jobs',
  quick: { postgres: { strikes: 2, hits: 20 }, sqlite: { strikes: 2, hits: 20 } },
  full: { postgres: { strikes: 200, hits: 3_000 }, sqlite: { strikes: 100, hits: 1_200 } },
  isLinked: true,
  strike: (cluster, strikes) => killBetweenClaims(cluster, strikes, CLAIMS, CLAIMS_BETWEEN),
  hits: countReleases,
};

/** The same without kills, for builds that release jobs at the wrong time. A strike is a number of claims. */
export const linkedLoad: Fault = {
  ...linksUnderKills,
  strike: (cluster, strikes) => cluster.untilClaims(CLAIMS, strikes * CLAIMS_BETWEEN),
};
