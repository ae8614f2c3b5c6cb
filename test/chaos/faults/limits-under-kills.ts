import { countLimitedClaims } from '../checker/limits.js';
import { LIMITED_CLAIMS } from '../cluster/tables.js';
import type { Fault } from './fault.js';
import { killBetweenClaims } from './kill-between-claims.js';

const CLAIMS_BETWEEN = 40;

/**
 * Jobs of topics with limits and rates. Some claims return late. Now and then a worker is killed, or suspended for longer than its
 * leases.
 */
export const limitsUnderKills: Fault = {
  name: 'limits under kills',
  hitMeans: 'claims of limited topics',
  quick: { postgres: { strikes: 4, hits: 160 }, sqlite: { strikes: 4, hits: 160 } },
  full: { postgres: { strikes: 200, hits: 8_000 }, sqlite: { strikes: 100, hits: 4_000 } },
  isLimited: true,
  strike: (cluster, strikes) => killBetweenClaims(cluster, strikes, LIMITED_CLAIMS, CLAIMS_BETWEEN),
  hits: countLimitedClaims,
};

/** The same without kills, for builds that exceed the limits. A strike is a number of claims. */
export const limitedLoad: Fault = {
  ...limitsUnderKills,
  strike: (cluster, strikes) => cluster.untilClaims(LIMITED_CLAIMS, strikes * CLAIMS_BETWEEN),
};
