import type { SqlRow } from '../../sql-runner.js';

/** One statement as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly values: unknown[];
  /** Under which a connection is to keep the statement, if under any. */
  readonly name?: string | undefined;
  readonly types?: PostgresTypes;
}

/** How the values of an answer are read. */
export interface PostgresTypes {
  getTypeParser(type: number): (text: string) => unknown;
}

/** What `pg` answers. */
export interface PostgresAnswer {
  rows: SqlRow[];
}

/** A connection of the pool's that somebody has to himself for a while. */
export interface PooledClient {
  /** What it was made with. */
  readonly connectionParameters?: {
    /** How long the driver waits for the answer to a query. */
    query_timeout?: number | undefined;
  };
  query(config: PostgresQuery, done: (error: unknown, answer?: PostgresAnswer) => void): void;
  query(config: PostgresQuery | string): Promise<PostgresAnswer>;
  release(isBroken?: boolean): void;
  /** Not there with the native driver, which is given one statement at a time. */
  readonly connection?: { readonly stream: { destroy(): void } };
}

/** The part of `pg.Pool` that is used. */
export interface SessionPool {
  /** How many wait for a connection. */
  readonly waitingCount: number;
  connect(): Promise<PooledClient>;
}
