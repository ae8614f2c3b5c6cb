import type { SqlRow } from '../sql-runner.js';
import type { PostgresPool, PostgresQuery } from './pool-runner.js';

/** A connection of the pool's that somebody has to himself for a while. */
export interface PooledClient {
  query(config: PostgresQuery | string): Promise<{ rows: SqlRow[] }>;
  release(isBroken?: boolean): void;
}

/** The part of `pg.Pool` that is used. */
export interface SessionPool extends PostgresPool {
  /** How many wait for a connection. */
  readonly waitingCount: number;
  connect(): Promise<PooledClient>;
}
