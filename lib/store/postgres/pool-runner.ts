import { sqlErrorOf } from '../sql-error.js';
import type { SqlRow, SqlRunner } from '../sql-runner.js';
import type { PostgresQuery } from './question.js';
import { Question } from './question.js';
import type { SessionPool } from './session-pool.js';

/** Runs statements on any free connection of a `pg` pool. */
export function runnerOfPool(
  pool: SessionPool,
  queryOf: (sql: string, params: readonly unknown[]) => PostgresQuery,
): SqlRunner {
  return {
    async query(sql, params) {
      try {
        const client = await pool.connect();
        return await new Promise<SqlRow[]>((resolve, reject) => {
          new Question(queryOf(sql, params), { resolve, reject }).ask(client, (error) =>
            client.release(Boolean(error)),
          );
        });
      } catch (error) {
        throw sqlErrorOf(error);
      }
    },
  };
}
