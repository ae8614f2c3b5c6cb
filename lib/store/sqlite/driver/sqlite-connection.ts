import type { DataSource } from 'typeorm';
import type { SqlScript } from '../../sql-runner.js';
import { runScript } from '../../sql-runner.js';
import type { BetterSqliteDatabase } from './better-sqlite-runner.js';
import { BetterSqliteRunner } from './better-sqlite-runner.js';
import { SYNCHRONOUS, SYNCHRONOUS_LEVEL } from '../sql/session.js';
import type { Sqlite3Database } from './sqlite3-runner.js';
import { Sqlite3Runner } from './sqlite3-runner.js';
import { AsyncWriteQueue } from './async-write-queue.js';
import { SyncWriteQueue } from './sync-write-queue.js';
import type { WriteQueue, WriteLaneOptions } from './write-queue.js';

/** The queue's own connection to a SQLite database, whichever driver it has. */
export interface SqliteConnection {
  /** Runs a script that takes no write lock; all else goes through the lane. */
  read<T>(script: SqlScript<T>): T | Promise<T>;
  readonly lane: WriteQueue;
  /** Whether a look right after a write comes before anybody else can use the connection. */
  readonly answersWithinTick: boolean;
  /** Has commits of the application wait for the disk from now on, unless it has a transaction open; then there is no way. */
  flushAppCommits(): void;
}

/**
 * The connection of `own`, which is initialized.
 *
 * @param app the application's DataSource; its transactions are waited for.
 */
export function sqliteConnectionOf(
  own: DataSource,
  app: DataSource,
  options: Omit<WriteLaneOptions, 'isAppInTransaction'>,
): SqliteConnection {
  if (own.options.type === 'better-sqlite3') {
    const runner = new BetterSqliteRunner(databaseOf<BetterSqliteDatabase>(own)!);
    const isAppInTransaction = (): boolean => databaseOf<BetterSqliteDatabase>(app)?.inTransaction ?? false;
    return {
      read: (script) => runner.run(script),
      lane: new SyncWriteQueue({ ...options, runner, isAppInTransaction }),
      answersWithinTick: true,
      flushAppCommits: () => flushCommitsOf(databaseOf<BetterSqliteDatabase>(app)),
    };
  }
  const runner = new Sqlite3Runner(databaseOf<Sqlite3Database>(own)!);
  // The driver does not tell. On the queue's own DataSource a repository may open a transaction, too.
  const isAppInTransaction = (): boolean => isInTransaction(app) || isInTransaction(own);
  return {
    read: (script) => runScript(runner, script),
    lane: new AsyncWriteQueue({ ...options, runner, isAppInTransaction }),
    answersWithinTick: false,
    // They do by themselves, unless the application has told its connection otherwise.
    flushAppCommits: () => undefined,
  };
}

/** The driver's own connection; an application may have closed its. */
function databaseOf<T>({ driver }: DataSource): T | undefined {
  return (driver as unknown as { databaseConnection?: T }).databaseConnection;
}

const LEVEL_FULL = 2;

/** The driver is made so that they do not in WAL mode unless it is told; a new connection does not know that mode at first. */
function flushCommitsOf(database: BetterSqliteDatabase | undefined): void {
  if (!database?.open || database.inTransaction || toldToFlush.has(database)) {
    return;
  }
  try {
    const runner = new BetterSqliteRunner(database);
    const [row] = runner.query(SYNCHRONOUS_LEVEL, []);
    if (Number(row!.synchronous) <= LEVEL_FULL) {
      runner.query(SYNCHRONOUS.full, []);
    }
    toldToFlush.add(database);
  } catch {
    // Another process has the file locked, to recover it for example. It is told at the end of the next transaction.
  }
}

const toldToFlush = new WeakSet<BetterSqliteDatabase>();

/** A SQLite DataSource has one query runner, once anybody has asked for it. */
function isInTransaction({ driver }: DataSource): boolean {
  return (
    (driver as unknown as { queryRunner?: { isTransactionActive: boolean } }).queryRunner?.isTransactionActive ?? false
  );
}
