import type { DataSource } from 'typeorm';
import type { Clock } from '../core/clock.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { SqlRow } from '../store/runtime/sql-runner.js';
import type { BetterSqliteDatabase } from '../store/sqlite/better-sqlite-runner.js';
import { BetterSqliteRunner } from '../store/sqlite/better-sqlite-runner.js';
import { LOCKING_MODE, SYNCHRONOUS, SYNCHRONOUS_LEVEL } from '../store/sqlite/session.sqlite.js';
import type { SqliteTransactionListener, SqliteTransactions } from '../store/transactions/application-transactions.js';
import { CallerTransactions } from './caller-transactions.js';
import { toSqlRunner } from './query-runner.js';
import { OVERLAP_HINT, TransactionSerializer } from './transaction-serializer.js';

interface SqliteTransactionsOptions {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Limits the wait of each transaction for its turn. */
  readonly lockTimeoutMs: number;
  /** Whether to run the application's transactions one at a time. */
  readonly serializeTransactions: boolean;
}

/** Opens the transactions of an application on SQLite. @param own the DataSource of the repository of `Job`. */
export async function openSqliteTransactions(
  app: DataSource,
  own: DataSource,
  listener: SqliteTransactionListener,
  options: SqliteTransactionsOptions,
): Promise<SqliteTransactions> {
  await own.initialize();
  const serializer = options.serializeTransactions ? TransactionSerializer.of(app, options) : undefined;
  serializer?.add(own);
  const stopGapWork = serializer?.addGapWork(() => listener.onEnded());
  const transactions = new CallerTransactions([app, own], {
    onStarting: () => listener.onStarting(),
    onEnded: () => void listener.onEnded(),
    ...(serializer ? {} : { hint: OVERLAP_HINT }),
  });
  transactions.startWatching();
  const isSynchronous = app.options.type === 'better-sqlite3';
  return {
    createRunner: (tx) => Promise.resolve(toSqlRunner(transactions.getQueryRunner(tx))),
    join: (tx, onEnd) => transactions.join(tx, onEnd),
    isOpen: isSynchronous
      ? () => getBetterSqlite(app)?.inTransaction ?? false
      : // sqlite3 does not report its transactions, so TypeORM does. A repository may open one on the queue's DataSource too.
        () => serializer?.isRunning ?? (isInTransaction(app) || isInTransaction(own)),
    describeOpen: () => serializer?.describeRunning(),
    // sqlite3 flushes commits by default.
    makeCommitsDurable: () => (isSynchronous ? flushCommits(getBetterSqlite(app)) : undefined),
    async close() {
      transactions.close();
      stopGapWork?.();
      await own.destroy();
    },
  };
}

/** @throws InvalidOptionsError when the application's connection locks all others out of the file. */
export async function checkLockingMode(app: DataSource): Promise<void> {
  const [row] = await app.query<SqlRow[]>(LOCKING_MODE);
  if (row?.locking_mode === 'exclusive') {
    throw new InvalidOptionsError(
      'dataSource',
      'expected a file that other connections can open, got locking_mode = EXCLUSIVE; remove that pragma',
    );
  }
}

/** The driver's own connection; `undefined` when the application has closed it. */
function getBetterSqlite({ driver }: DataSource): BetterSqliteDatabase | undefined {
  return (driver as unknown as { databaseConnection?: BetterSqliteDatabase }).databaseConnection;
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
