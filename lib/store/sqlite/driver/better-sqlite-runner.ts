import { withAnonymousParameters } from '../../numbered-parameters.js';
import { toSqlError } from '../../sql-error.js';
import type { SqlRow, SqlScript } from '../../sql-runner.js';

/** The part of `better-sqlite3`'s Database that is used. */
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
      throw toSqlError(error);
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
      const { text, order } = withAnonymousParameters(sql);
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
  for (let index = 0; index < columns.length; index += 1) {
    row[columns[index]!] = values[index];
  }
  return row;
}
