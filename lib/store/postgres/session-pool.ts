import type { PostgresAnswer, PostgresQuery } from './pending-query.js';

/** A connection of the pool's that somebody has to himself for a while. */
export interface PooledClient {
  query(config: PostgresQuery, done: (error: unknown, answer?: PostgresAnswer) => void): void;
  query(config: PostgresQuery | string): Promise<PostgresAnswer>;
  release(isBroken?: boolean): void;
}

/** The part of `pg.Pool` that is used. */
export interface SessionPool {
  /** How many wait for a connection. */
  readonly waitingCount: number;
  connect(): Promise<PooledClient>;
}
