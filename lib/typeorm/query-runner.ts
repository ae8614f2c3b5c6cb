import type { QueryRunner } from 'typeorm';
import { toSqlError } from '../store/runtime/sql-error.js';
import type { SqlRow, SqlRunner } from '../store/runtime/sql-runner.js';
import { toAnonymousParameters } from '../store/runtime/sql-runner.js';

/** Runs statements on a TypeORM query runner, inside its transaction if it has one. */
export function toSqlRunner(queryRunner: QueryRunner): SqlRunner {
  return {
    async query(sql, params) {
      const { text, order } = toAnonymousParameters(sql);
      try {
        // With sqlite3, TypeORM returns no rows for a text that starts with INSERT, UPDATE or DELETE: hence the blank.
        const { records } = await queryRunner.query(
          ` ${text}`,
          order ? order.map((at) => params[at]) : [...params],
          true,
        );
        // `records` is undefined for statements without rows, although its type does not allow it.
        return (records as SqlRow[] | undefined) ?? [];
      } catch (error) {
        throw toSqlError(error);
      }
    },
  };
}
