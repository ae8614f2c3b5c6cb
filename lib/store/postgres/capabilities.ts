import type { DataSource } from 'typeorm';
import type { StatementConcurrency, StoreCapabilities } from '../job-store.js';
import { ALONE } from '../job-store.js';
import { poolOf, transactionsAtOnce } from './driver/application-pool.js';
import { STATEMENTS_AT_ONCE } from './driver/pipelined-runner.js';
import type { PostgresSession } from './driver/session.js';

/** On a connection each. */
const INSERTS: StatementConcurrency = { atOnce: 2, jobsMin: 16 };
/** On one connection, one behind the other. */
const PIPELINED: StatementConcurrency = { atOnce: STATEMENTS_AT_ONCE, jobsMin: 250 };

/** What PostgreSQL can do for the engine, by the pool of the application and what the queue's connections are. */
export function capabilitiesOf(app: DataSource, session: PostgresSession): StoreCapabilities {
  return {
    transactionsAtOnce: transactionsAtOnce(poolOf(app).options.max),
    inserts: INSERTS,
    database: 'postgres',
    get pipelined() {
      return session.isPipelining ? PIPELINED : ALONE;
    },
  };
}
