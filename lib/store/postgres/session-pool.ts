import type { SqlRow } from '../sql-runner.js';
import type { PostgresPool, PostgresQuery } from './pool-runner.js';

/** What the driver answers. */
export interface QueryAnswer {
  rows: SqlRow[];
}

/** A connection of the pool's that somebody has to himself for a while. */
export interface PooledClient {
  query(config: PostgresQuery, done: (error: unknown, answer?: QueryAnswer) => void): void;
  query(config: PostgresQuery | string): Promise<QueryAnswer>;
  release(isBroken?: boolean): void;
}

/** The part of `pg.Pool` that is used. */
export interface SessionPool extends PostgresPool {
  /** How many wait for a connection. */
  readonly waitingCount: number;
  connect(): Promise<PooledClient>;
}
