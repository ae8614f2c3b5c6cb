import type { QueryRunner } from 'typeorm';
import { toSqlError } from './sql-error.js';

/** A row as the driver gives it: column names of the database, values of the driver. */
export type SqlRow = Record<string, unknown>;

export interface SqlStatement {
  readonly sql: string;
  readonly params: readonly unknown[];
  /** Whether this step of a script that writes only looks, and so needs no lock. */
  readonly isRead?: boolean;
}

/**
 * Several statements that are run together, as a generator: it yields a statement and is handed the rows. That leaves open
 * who drives it: a synchronous driver runs it to its end within one tick, an asynchronous one step by step.
 */
export type SqlScript<T> = Generator<SqlStatement, T, readonly SqlRow[]>;

/** Runs one statement and gives its rows, those of RETURNING included. Rejects with {@link SqlError} only. */
export type SqlQuery = (sql: string, params: readonly unknown[]) => Promise<readonly SqlRow[]>;

/** Who waits for the rows of a statement. */
export interface Deferred {
  readonly resolve: (rows: SqlRow[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Where statements run. */
export interface SqlRunner {
  readonly query: SqlQuery;
}

/** Runs statements on the one connection of a TypeORM query runner, inside its transaction when it has one. */
export function runnerOfQueryRunner(queryRunner: QueryRunner): SqlRunner {
  return {
    async query(sql, params) {
      const { text, order } = toAnonymousParameters(sql);
      try {
        // Of sqlite3 TypeORM gives no rows for a text that begins with INSERT, UPDATE or DELETE: the blank is for it.
        const { records } = await queryRunner.query(
          ` ${text}`,
          order ? order.map((at) => params[at]) : [...params],
          true,
        );
        // `records` is left undefined for statements without rows, whatever the type says.
        return (records as SqlRow[] | undefined) ?? [];
      } catch (error) {
        throw toSqlError(error);
      }
    },
  };
}

/** A script of one statement. */
export function* singleStatement(sql: string, params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  return yield { sql, params };
}

/** Drives a script step by step. */
export async function runScript<T>(runner: SqlRunner, script: SqlScript<T>): Promise<T> {
  let step = script.next();
  while (!step.done) {
    step = script.next(await runner.query(step.value.sql, step.value.params));
  }
  return step.value;
}

const numbered = /\?(\d+)/g;

/**
 * SQLite's numbered parameters (`?1`) as anonymous ones: better-sqlite3 takes numbers for names and does not bind them
 * by position. `order` says which parameter goes where; `null` when the statement has no numbers, as on PostgreSQL.
 */
export function toAnonymousParameters(sql: string): { text: string; order: readonly number[] | null } {
  const order = [...sql.matchAll(numbered)].map((match) => Number(match[1]) - 1);
  return order.length === 0 ? { text: sql, order: null } : { text: sql.replace(numbered, '?'), order };
}
