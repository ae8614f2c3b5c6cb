import { toSqlError } from '../../sql-error.js';
import type { Deferred, SqlRow, SqlRunner } from '../../sql-runner.js';

type Done = (error: Error | null, rows: SqlRow[]) => void;

/** The part of `sqlite3`'s Database that is used. */
export interface Sqlite3Database {
  serialize(): void;
  all(sql: string, params: readonly unknown[], done: Done): void;
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
    return new Promise((resolve, reject) => this.send(sql, params, toldOnce({ resolve, reject })));
  }

  /**
   * TypeORM has the driver note where each call came from, in a function that V8 puts among what is old, with all that the
   * callback and the stack can reach: see docs/adr/0020-short-lives.md. So the callback lets go of who waits, and there is no
   * stack.
   */
  private send(sql: string, params: readonly unknown[], done: Done): void {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      this.database.all(sql, params, done);
    } finally {
      Error.stackTraceLimit = limit;
    }
  }
}

function toldOnce(deferred: Deferred): Done {
  let waiting: Deferred | undefined = deferred;
  return (error, rows) => {
    const told = waiting;
    waiting = undefined;
    if (error) {
      told?.reject(toSqlError(error));
    } else {
      told?.resolve(rows);
    }
  };
}
