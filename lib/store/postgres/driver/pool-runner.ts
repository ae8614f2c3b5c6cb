import { toSqlError } from '../../sql-error.js';
import type { SqlRow, SqlRunner } from '../../sql-runner.js';
import type { AnswerLimit } from './answer-limit.js';
import { PendingQuery } from './pending-query.js';
import type { PostgresQuery, SessionPool } from './session-pool.js';

/** Runs statements on any free connection of a `pg` pool. */
export function runnerOfPool(
  pool: SessionPool,
  queryOf: (sql: string, params: readonly unknown[]) => PostgresQuery,
  limit: AnswerLimit,
): SqlRunner {
  return {
    async query(sql, params) {
      try {
        const client = await pool.connect();
        return await new Promise<SqlRow[]>((resolve, reject) => {
          const done = (isAnswered: boolean): void => client.release(!isAnswered);
          new PendingQuery(queryOf(sql, params), { resolve, reject }, limit).send(client, done, 0);
        });
      } catch (error) {
        throw toSqlError(error);
      }
    },
  };
}
