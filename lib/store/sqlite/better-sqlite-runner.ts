import { toAnonymousParameters } from '../runtime/sql-runner.js';
import { toSqlError } from '../runtime/sql-error.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** The part of `better-sqlite3`'s Database that the queue uses. */
export interface BetterSqliteDatabase {
  readonly open: boolean;
  readonly inTransaction: boolean;
  prepare(sql: string): BetterSqliteStatement;
}

interface BetterSqliteStatement {
  readonly reader: boolean;
  columns(): { readonly name: string }[];
  raw(isRaw: boolean): this;
  all(...params: unknown[]): unknown[];
  run(...params: unknown[]): unknown;
}

/** Runs statements on a `better-sqlite3` database. Each returns within the tick. */
export class BetterSqliteRunner {
  private readonly prepared = new Map<string, PreparedStatement>();

  constructor(private readonly database: BetterSqliteDatabase) {}

  /** Whether a transaction is open on this connection. A statement would join it. */
  get inTransaction(): boolean {
    return this.database.inTransaction;
  }

  /** @throws SqlError */
  query(sql: string, params: readonly unknown[]): readonly SqlRow[] {
    try {
      const { statement, order, columns } = this.prepare(sql);
      const values = order ? order.map((at) => params[at]) : params;
      if (columns) {
        return (statement.all(...values) as unknown[][]).map((row) => toRow(columns, row));
      }
      statement.run(...values);
      return [];
    } catch (error) {
      throw toSqlError(error);
    }
  }

  /** Runs a script to its end within this tick. */
  run<T>(script: SqlScript<T>): T {
    let step = script.next();
    while (!step.done) {
      step = script.next(this.query(step.value.sql, step.value.params));
    }
    return step.value;
  }

  private prepare(sql: string): PreparedStatement {
    let prepared = this.prepared.get(sql);
    if (!prepared) {
      const { text, order } = toAnonymousParameters(sql);
      const statement = this.database.prepare(text);
      prepared = { statement, order, columns: statement.reader ? useArrayRows(statement) : null };
      this.prepared.set(sql, prepared);
    }
    return prepared;
  }
}

interface PreparedStatement {
  readonly statement: BetterSqliteStatement;
  readonly order: readonly number[] | null;
  /** Column names of its rows; `null` when it returns none. */
  readonly columns: readonly string[] | null;
}

/** Makes a statement return rows as arrays. The driver takes three times as long to create row objects of 13 columns. */
function useArrayRows(statement: BetterSqliteStatement): string[] {
  return statement
    .raw(true)
    .columns()
    .map(({ name }) => name);
}

function toRow(columns: readonly string[], values: readonly unknown[]): SqlRow {
  const row: SqlRow = {};
  for (let index = 0; index < columns.length; index += 1) {
    row[columns[index]!] = values[index];
  }
  return row;
}
