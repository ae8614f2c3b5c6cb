/** A row as the driver returns it, by column name. */
export type SqlRow = Record<string, unknown>;

export interface SqlStatement {
  readonly sql: string;
  readonly params: readonly unknown[];
  /** Whether this step of a writing script only reads, and needs no lock. */
  readonly isRead?: boolean;
  /** Whether a script whose statements are transactions of their own continues without rows when this one fails. */
  readonly isOptional?: boolean;
}

/**
 * Statements that run together: a generator that yields statements and receives their rows. A synchronous driver runs it to its end
 * within one tick, an asynchronous one step by step.
 */
export type SqlScript<T> = Generator<SqlStatement, T, readonly SqlRow[]>;

/** Runs a script that only reads. */
export type ReadScript = <T>(script: () => SqlScript<T>) => Promise<T>;

/** Runs one statement and returns its rows, those of RETURNING included. Rejects with {@link SqlError} only. */
export type SqlQuery = (sql: string, params: readonly unknown[]) => Promise<readonly SqlRow[]>;

/** Settles the promise of a statement's rows. */
export interface Deferred {
  readonly resolve: (rows: SqlRow[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface SqlRunner {
  readonly query: SqlQuery;
  /** The same within the tick. Set where the statements must end before the caller's transaction does, with the tick. */
  readonly querySync?: ((sql: string, params: readonly unknown[]) => readonly SqlRow[]) | undefined;
}

/** Runs transactions one after another on one connection. Returns the rows of the last statement. */
export type RunTransactions = (transactions: readonly (readonly SqlStatement[])[]) => Promise<readonly SqlRow[]>;

/** A script of one statement. */
export function* singleStatement(sql: string, params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  return yield { sql, params };
}

/** Runs a script step by step, or within this tick if the runner can. */
export async function runScript<T>(runner: SqlRunner, script: SqlScript<T>): Promise<T> {
  let step = script.next();
  while (!step.done) {
    const { sql, params } = step.value;
    step = script.next(runner.querySync ? runner.querySync(sql, params) : await runner.query(sql, params));
  }
  return step.value;
}

const numbered = /\?(\d+)/g;

/**
 * Replaces SQLite's numbered parameters (`?1`) by anonymous ones: better-sqlite3 treats numbers as names and does not bind them by
 * position. `order` lists the parameters by position; `null`: the statement has no numbers, as on PostgreSQL.
 */
export function toAnonymousParameters(sql: string): { text: string; order: readonly number[] | null } {
  const order = [...sql.matchAll(numbered)].map((match) => Number(match[1]) - 1);
  return order.length === 0 ? { text: sql, order: null } : { text: sql.replace(numbered, '?'), order };
}
