import { sqlErrorOf } from '../sql-error.js';
import type { SqlRow, SqlRunner } from '../sql-runner.js';

/** One statement as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly values: unknown[];
  /** Under which a connection is to keep the statement, if under any. */
  readonly name?: string | undefined;
  readonly types?: PostgresTypes;
  /** How long the driver waits for the answer; default what the connection was made with. */
  readonly query_timeout?: number;
}

/** How the values of an answer are read. */
export interface PostgresTypes {
  getTypeParser(type: number): (text: string) => unknown;
}

/** The part of `pg.Pool` that is used. */
export interface PostgresPool {
  query(config: PostgresQuery): Promise<{ rows: SqlRow[] }>;
}

/** Runs statements on any free connection of a `pg` pool. */
export function runnerOfPool(
  pool: PostgresPool,
  queryOf: (sql: string, params: readonly unknown[]) => PostgresQuery,
): SqlRunner {
  return {
    async query(sql, params) {
      try {
        return (await pool.query(queryOf(sql, params))).rows;
      } catch (error) {
        throw sqlErrorOf(error);
      }
    },
  };
}
