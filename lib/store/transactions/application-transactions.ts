/*
 * store/transactions/: what the queue needs of a transaction of the application. In: the object that the application passes to `enqueueTx`
 * or `completeTx`. Out: statements inside that transaction, and word of its end. lib/typeorm/ implements it for an EntityManager, and
 * jobs-transaction.ts for what the adapters of lib/orm/ return.
 */
import type { SqlRunner } from '../runtime/sql-runner.js';

/** A transaction of the application. Only the implementation knows its type. */
export type StoreTransaction = object;

/** A call of the queue in a transaction of the application. */
export interface TransactionCall {
  /** Ends the call. */
  finish(): void;
  /**
   * Ends a call that was refused: the transaction cannot commit: its commit rejects with that error, or rolls back once the returned
   * promise has resolved. An adapted transaction on SQLite still can.
   */
  finish(refusal: Error): Promise<void> | void;
}

/** The transactions that the application runs on the queue's database. */
export interface ApplicationTransactions {
  /**
   * Returns a runner for statements inside an open transaction.
   *
   * @throws UnknownDataSourceError for a transaction of another database.
   * @throws InvalidOptionsError when the transaction is not open.
   */
  createRunner(tx: StoreTransaction): SqlRunner | Promise<SqlRunner>;
  /**
   * Adds a call to a transaction. The transaction ends only after the call has finished. `onEnd` is called once: when the outermost
   * transaction has ended, or when the savepoint around the call was rolled back. With an adapter it is called as the ORM reports, if at all.
   *
   * @throws the errors of `createRunner`; InvalidOptionsError when the transaction is ending or has ended.
   */
  join(tx: StoreTransaction, onEnd: (committed: boolean) => void): TransactionCall;
  /** Stops watching. Pending `onEnd` callbacks are dropped. */
  close(): Promise<void>;
}

/** The transactions of an application on PostgreSQL. */
export interface PostgresTransactions extends ApplicationTransactions {
  /** How many transactions of handlers may run at once; 0: none. */
  readonly atOnce: number;
  /** Runs work in a new transaction of the application. */
  run<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
}

/** The transactions of an application on a SQLite file, which has one writer at a time. */
export interface SqliteTransactions extends ApplicationTransactions {
  /** Whether the application has a transaction open in this process. */
  isOpen(): boolean;
  /** Describes the open transaction: `for 5.2 s (started at …)`. `undefined`: none, or unknown. */
  describeOpen(): string | undefined;
  /** Makes commits of the application wait for the disk, unless it has a transaction open: SQLite refuses it then. */
  makeCommitsDurable(): void;
}

/** What the queue does around the application's transactions on SQLite. */
export interface SqliteTransactionListener {
  /** Called before a transaction begins, which waits for the returned promise. */
  onStarting(): Promise<void> | undefined;
  /** Called within the tick in which a transaction has ended. The next one waits for the returned promise. */
  onEnded(): Promise<void> | undefined;
}
