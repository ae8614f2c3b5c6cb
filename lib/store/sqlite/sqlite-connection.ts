import type { MovedTime } from '../runtime/moved-time.js';
import { withMovedTime } from '../runtime/moved-time.js';
import { moveTime } from '../runtime/moved-time.sqlite.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { AsyncWriteQueue } from './async-write-queue.js';
import type { BetterSqliteDatabase } from './better-sqlite-runner.js';
import { BetterSqliteRunner } from './better-sqlite-runner.js';
import type { OwnDatabase } from './own-database.js';
import { Sqlite3Runner } from './sqlite3-runner.js';
import { SyncWriteQueue } from './sync-write-queue.js';
import type { WriteQueue, WriteQueueOptions } from './write-queue.js';

/** The queue's own connection to a SQLite database, with either driver. */
export interface SqliteConnection {
  /** Runs a script that needs no write lock. */
  read<T>(script: SqlScript<T>): T | Promise<T>;
  readonly writes: WriteQueue;
  /** Whether statements return within the tick: then no other statement can run between two of a script. */
  readonly isSynchronous: boolean;
}

interface ConnectionOptions extends WriteQueueOptions {
  readonly time?: MovedTime | undefined;
}

/** Reads and writes through an open database. */
export function createConnection(own: OwnDatabase, { time, ...options }: ConnectionOptions): SqliteConnection {
  if (own.driver === 'better-sqlite3') {
    const runner = time ? new MovedTimeRunner(own.database, time) : new BetterSqliteRunner(own.database);
    return {
      read: (script) => runner.run(script),
      writes: new SyncWriteQueue({ ...options, runner }),
      isSynchronous: true,
    };
  }
  const runner = withMovedTime(new Sqlite3Runner(own.database), moveTime, time);
  return {
    read: (script) => runScript(runner, script),
    writes: new AsyncWriteQueue({ ...options, runner }),
    isSynchronous: false,
  };
}

/** Runs statements that read a moved time. */
class MovedTimeRunner extends BetterSqliteRunner {
  constructor(
    database: BetterSqliteDatabase,
    private readonly time: MovedTime,
  ) {
    super(database);
  }

  override query(sql: string, params: readonly unknown[]): readonly SqlRow[] {
    return super.query(moveTime(sql, this.time.aheadMs), params);
  }
}
