import { sqlErrorOf } from '../sql-error.js';
import type { SqlRow, SqlRunner } from '../sql-runner.js';

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
