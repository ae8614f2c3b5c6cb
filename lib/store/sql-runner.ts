import type { QueryRunner } from 'typeorm';
import { sqlErrorOf } from './sql-error.js';

/** A row as the driver gives it: column names of the database, values of the driver. */
export type SqlRow = Record<string, unknown>;

export interface SqlStatement {
  readonly sql: string;
  readonly params: readonly unknown[];
  /** Whether this step of a script that writes only looks, and so needs no lock. */
  readonly isRead?: boolean;
}

/**
 * Several statements of one transaction, as a generator: it yields a statement and is handed the rows. That leaves open
 * who drives it: a synchronous driver runs it to its end within one tick, an asynchronous one step by step.
 */
export type SqlScript<T> = Generator<SqlStatement, T, readonly SqlRow[]>;

/** Runs one statement and gives its rows, those of RETURNING included. Rejects with {@link SqlError} only. */
export interface SqlRunner {
  query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]>;
}

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

/** Runs statements on the one connection of a TypeORM query runner, inside its transaction when it has one. */
export function runnerOfQueryRunner(queryRunner: QueryRunner): SqlRunner {
  return {
    async query(sql, params) {
      const { text, order } = anonymous(sql);
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
        throw sqlErrorOf(error);
      }
    },
  };
}

/** Drives a script step by step. */
export async function runScript<T>(runner: SqlRunner, script: SqlScript<T>): Promise<T> {
  let step = script.next();
  while (!step.done) {
    step = script.next(await runner.query(step.value.sql, step.value.params));
  }
  return step.value;
}

/** The part of `sqlite3`'s Database that is used. */
export interface Sqlite3Database {
  serialize(): void;
  all(sql: string, params: readonly unknown[], done: (error: Error | null, rows: SqlRow[]) => void): void;
}

/**
 * Runs statements on a `sqlite3` database. Each runs, and would wait for a lock, in a thread of the pool that Node has for
 * files and names too, four of them by default: so one at a time, and on a connection without a busy timeout.
 */
export class Sqlite3Runner implements SqlRunner {
  constructor(private readonly database: Sqlite3Database) {
    database.serialize();
  }

  query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return new Promise((resolve, reject) => {
      this.database.all(sql, params, (error, rows) => (error ? reject(sqlErrorOf(error)) : resolve(rows)));
    });
  }
}

/** The part of `better-sqlite3`'s Database that is used. */
export interface BetterSqliteDatabase {
  readonly inTransaction: boolean;
  prepare(sql: string): BetterSqliteStatement;
  pragma(source: string, options?: { simple?: boolean }): unknown;
}

interface BetterSqliteStatement {
  readonly reader: boolean;
  columns(): { readonly name: string }[];
  raw(isRaw: boolean): this;
  all(...params: unknown[]): unknown[];
  run(...params: unknown[]): unknown;
}

/** Runs statements on a `better-sqlite3` database, each within the tick in which it is asked. */
export class BetterSqliteRunner {
  private readonly prepared = new Map<string, Prepared>();

  constructor(private readonly database: BetterSqliteDatabase) {}

  /** Whether somebody, on this very connection, has a transaction open: a statement now would join it. */
  get inTransaction(): boolean {
    return this.database.inTransaction;
  }

  /** @throws SqlError */
  query(sql: string, params: readonly unknown[]): readonly SqlRow[] {
    try {
      const { statement, order, columns } = this.prepare(sql);
      const values = order ? order.map((at) => params[at]) : params;
      if (columns) {
        return (statement.all(...values) as unknown[][]).map((row) => rowOf(columns, row));
      }
      statement.run(...values);
      return [];
    } catch (error) {
      throw sqlErrorOf(error);
    }
  }

  /** Drives a script to its end within this tick. */
  run<T>(script: SqlScript<T>): T {
    let step = script.next();
    while (!step.done) {
      step = script.next(this.query(step.value.sql, step.value.params));
    }
    return step.value;
  }

  private prepare(sql: string): Prepared {
    let prepared = this.prepared.get(sql);
    if (!prepared) {
      const { text, order } = anonymous(sql);
      const statement = this.database.prepare(text);
      prepared = { statement, order, columns: statement.reader ? columnsOf(statement) : null };
      this.prepared.set(sql, prepared);
    }
    return prepared;
  }
}

interface Prepared {
  readonly statement: BetterSqliteStatement;
  readonly order: readonly number[] | null;
  /** Names of what it answers; `null`: it answers nothing. */
  readonly columns: readonly string[] | null;
}

/** From now on the statement answers arrays: objects of thirteen members, made by the driver, take three times as long. */
function columnsOf(statement: BetterSqliteStatement): string[] {
  return statement
    .raw(true)
    .columns()
    .map(({ name }) => name);
}

function rowOf(columns: readonly string[], values: readonly unknown[]): SqlRow {
  const row: SqlRow = {};
  columns.forEach((name, index) => (row[name] = values[index]));
  return row;
}

/**
 * SQLite's numbered parameters (`?1`) as anonymous ones: better-sqlite3 takes numbers for names and does not bind them
 * by position. `order` says which parameter goes where; `null` when the statement has no numbers, as on PostgreSQL.
 */
function anonymous(sql: string): { text: string; order: readonly number[] | null } {
  const order = [...sql.matchAll(numbered)].map((match) => Number(match[1]) - 1);
  return order.length === 0 ? { text: sql, order: null } : { text: sql.replace(numbered, '?'), order };
}

const numbered = /\?(\d+)/g;
