import type { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import type { MovedTime } from '../runtime/moved-time.js';
import { withMovedTime } from '../runtime/moved-time.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { moveTime } from '../runtime/moved-time.sqlite.js';
import { LOCKING_MODE, SYNCHRONOUS, SYNCHRONOUS_LEVEL } from '../migrate/schema.sqlite.js';
import { AsyncWriteQueue } from './async-write-queue.js';
import type { BetterSqliteDatabase } from './better-sqlite-runner.js';
import { BetterSqliteRunner } from './better-sqlite-runner.js';
import type { Sqlite3Database } from './sqlite3-runner.js';
import { Sqlite3Runner } from './sqlite3-runner.js';
import type { TransactionSerializer } from '../transactions/transaction-serializer.js';
import { SyncWriteQueue } from './sync-write-queue.js';
import type { WriteQueue, WriteQueueOptions } from './write-queue.js';

/** The queue's own connection to a SQLite database, with either driver. */
export interface SqliteConnection {
  /** Runs a script that needs no write lock. */
  read<T>(script: SqlScript<T>): T | Promise<T>;
  readonly writes: WriteQueue;
  /** Whether statements return within the tick: then no other statement can run between two of a script. */
  readonly isSynchronous: boolean;
  /** Makes commits of the application wait for the disk, unless it has a transaction open: SQLite refuses it then. */
  makeAppCommitsDurable(): void;
}

interface ConnectionOptions extends Pick<WriteQueueOptions, 'clock' | 'lockTimeoutMs'> {
  /** Runs the transactions of both DataSources, unless the application has turned it off. */
  readonly serializer: TransactionSerializer | undefined;
  readonly time?: MovedTime | undefined;
}

/**
 * Connects to the database through `own`, which must be initialized.
 *
 * @param app the application's DataSource. Writes wait for its transactions.
 */
export function createConnection(
  own: DataSource,
  app: DataSource,
  { serializer, time, ...given }: ConnectionOptions,
): SqliteConnection {
  const options = { ...given, describeTransaction: () => serializer?.describeRunning() };
  if (own.options.type === 'better-sqlite3') {
    const database = getDatabase<BetterSqliteDatabase>(own)!;
    const runner = time ? new MovedTimeRunner(database, time) : new BetterSqliteRunner(database);
    const isAppInTransaction = (): boolean => getDatabase<BetterSqliteDatabase>(app)?.inTransaction ?? false;
    return {
      read: (script) => runner.run(script),
      writes: new SyncWriteQueue({ ...options, runner, isAppInTransaction }),
      isSynchronous: true,
      makeAppCommitsDurable: () => flushCommits(getDatabase<BetterSqliteDatabase>(app)),
    };
  }
  const runner = withMovedTime(new Sqlite3Runner(getDatabase<Sqlite3Database>(own)!), moveTime, time);
  // sqlite3 does not report its transactions, so TypeORM does. A repository may open one on the queue's DataSource too.
  const isAppInTransaction = (): boolean => serializer?.isRunning ?? (isInTransaction(app) || isInTransaction(own));
  return {
    read: (script) => runScript(runner, script),
    writes: new AsyncWriteQueue({ ...options, runner, isAppInTransaction }),
    isSynchronous: false,
    // sqlite3 flushes commits by default.
    makeAppCommitsDurable: () => undefined,
  };
}

/** @throws InvalidOptionsError when the application's connection locks all others out. */
export async function checkLockingMode({ app, isInMemory }: { app: DataSource; isInMemory: boolean }): Promise<void> {
  const [row] = isInMemory ? [] : await app.query<SqlRow[]>(LOCKING_MODE);
  if (row?.locking_mode === 'exclusive') {
    throw new InvalidOptionsError(
      'dataSource',
      'expected a file that other connections can open, got locking_mode = EXCLUSIVE; remove that pragma',
    );
  }
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

/** The driver's own connection; `undefined` when the application has closed it. */
function getDatabase<T>({ driver }: DataSource): T | undefined {
  return (driver as unknown as { databaseConnection?: T }).databaseConnection;
}

const LEVEL_FULL = 2;

/** better-sqlite3 is compiled so that a connection in WAL mode does not flush its commits by default. */
function flushCommits(database: BetterSqliteDatabase | undefined): void {
  if (!database?.open || database.inTransaction || flushing.has(database)) {
    return;
  }
  try {
    const runner = new BetterSqliteRunner(database);
    const [row] = runner.query(SYNCHRONOUS_LEVEL, []);
    if (Number(row!.synchronous) <= LEVEL_FULL) {
      runner.query(SYNCHRONOUS.full, []);
    }
    flushing.add(database);
  } catch {
    // Another process has locked the file, for example to recover it. The end of the next transaction retries.
  }
}

/** Connections of applications whose commits wait for the disk. */
const flushing = new WeakSet<BetterSqliteDatabase>();

/** A SQLite DataSource without a serializer has one query runner, from the first transaction on. */
function isInTransaction({ driver }: DataSource): boolean {
  return (
    (driver as unknown as { queryRunner?: { isTransactionActive: boolean } }).queryRunner?.isTransactionActive ?? false
  );
}
