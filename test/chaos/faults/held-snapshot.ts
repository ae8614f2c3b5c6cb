import Database from 'better-sqlite3';
import type { PostgresChaosDatabase, SqliteChaosDatabase } from '../cluster/chaos-database.js';
import { countObservedHits } from '../checker/hits.js';
import type { Fault } from './fault.js';

const SNAPSHOT = 'held snapshot';
const MOVES = 'SELECT count(*) AS count FROM ledger';

/** Another session reads in a transaction that stays open, so that no dead row can be removed. */
export const heldSnapshot: Fault = {
  name: SNAPSHOT,
  hitMeans: 'moves of jobs meanwhile',
  quick: { postgres: { strikes: 2, hits: 1 }, sqlite: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 20, hits: 5_000 }, sqlite: { strikes: 20, hits: 3_000 } },
  strike: async (cluster, strikes) => {
    for (let count = 0; count < strikes; count += 1) {
      const before = await cluster.count(MOVES);
      const release = await hold(cluster.target as PostgresChaosDatabase | SqliteChaosDatabase);
      await cluster.sleepRandomly(1_000, 4_000);
      cluster.recordStrike({ what: SNAPSHOT, hits: (await cluster.count(MOVES)) - before });
      await release();
    }
  },
  hits: (evidence) => countObservedHits(evidence, SNAPSHOT),
};

async function hold(target: PostgresChaosDatabase | SqliteChaosDatabase): Promise<() => Promise<void>> {
  if (target.kind === 'sqlite') {
    const database = new Database(target.file);
    database.exec('BEGIN');
    database.prepare(MOVES).get();
    return async () => void database.close();
  }
  const client = await target.connect();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await client.query(MOVES);
  return () => client.end();
}
