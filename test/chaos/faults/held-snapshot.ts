import Database from 'better-sqlite3';
import type { PostgresGround, SqliteGround } from '../arena/ground.js';
import { hitsSeen } from '../checker/hits.js';
import type { Fault } from './fault.js';

const SNAPSHOT = 'held snapshot';
const MOVES = 'SELECT count(*) AS count FROM ledger';

/** Somebody reads in a transaction that stays open: nothing that dies meanwhile can be cleared away. */
export const heldSnapshot: Fault = {
  name: SNAPSHOT,
  hitMeans: 'moves of jobs meanwhile',
  quick: { postgres: { strikes: 2, hits: 1 }, sqlite: { strikes: 2, hits: 1 } },
  full: { postgres: { strikes: 20, hits: 5_000 }, sqlite: { strikes: 20, hits: 3_000 } },
  strike: async (arena, strikes) => {
    for (let count = 0; count < strikes; count += 1) {
      const before = await arena.count(MOVES);
      const letGo = await hold(arena.ground as PostgresGround | SqliteGround);
      await arena.aWhile(1_000, 4_000);
      arena.strike({ what: SNAPSHOT, hits: (await arena.count(MOVES)) - before });
      await letGo();
    }
  },
  hits: (evidence) => hitsSeen(evidence, SNAPSHOT),
};

async function hold(ground: PostgresGround | SqliteGround): Promise<() => Promise<void>> {
  if (ground.kind === 'sqlite') {
    const database = new Database(ground.file);
    database.exec('BEGIN');
    database.prepare(MOVES).get();
    return async () => void database.close();
  }
  const client = await ground.connect();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await client.query(MOVES);
  return () => client.end();
}
