import { toSqlError } from '../runtime/sql-error.js';
import type { Deferred, SqlRow, SqlRunner } from '../runtime/sql-runner.js';

type Callback = (error: Error | null, rows: SqlRow[]) => void;

/** The part of `sqlite3`'s Database that the queue uses. */
export interface Sqlite3Database {
  serialize(): void;
  all(sql: string, params: readonly unknown[], callback: Callback): void;
}

/**
 * Runs statements on a `sqlite3` database. Each statement runs in Node's thread pool, four threads by default, which also
 * serves files and host names. So one statement runs at a time, on a connection without a busy timeout.
 */
export class Sqlite3Runner implements SqlRunner {
  constructor(private readonly database: Sqlite3Database) {
    database.serialize();
  }

  query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return new Promise((resolve, reject) => this.send(sql, params, createCallback({ resolve, reject })));
  }

  /**
   * TypeORM makes the driver record a stack for each call. V8 moves that function, and all that the callback and the stack
   * reach, to the old generation (docs/adr/0020-short-lived-objects.md). So the stack is empty and the callback frees its promise.
   */
  private send(sql: string, params: readonly unknown[], callback: Callback): void {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      this.database.all(sql, params, callback);
    } finally {
      Error.stackTraceLimit = limit;
    }
  }
}

function createCallback(deferred: Deferred): Callback {
  let pending: Deferred | undefined = deferred;
  return (error, rows) => {
    const settled = pending;
    pending = undefined;
    if (error) {
      settled?.reject(toSqlError(error));
    } else {
      settled?.resolve(rows);
    }
  };
}
