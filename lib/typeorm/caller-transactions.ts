import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { DatabaseRefusedError, InvalidOptionsError, UnknownDataSourceError } from '../core/errors.js';
import type { StoreTransaction, TransactionCall } from '../store/transactions/application-transactions.js';
import { toSqlError } from '../store/runtime/sql-error.js';

/** Receives whether the transaction has committed. */
type OnEnd = (committed: boolean) => void;

/** Receives the start and the end of every transaction of the watched DataSources. */
interface TransactionWatcher {
  /** Called before BEGIN. The returned promise delays BEGIN. The transaction counts as open already. */
  onStarting?(): Promise<void> | undefined;
  /** A transaction has ended, within this tick. */
  onEnded?(): void;
  /** What else may have ended a transaction. Added to the error. */
  readonly hint?: string;
}

/**
 * Watches the transactions of the application that `enqueueTx` and `completeTx` take part in: checks that they are open and of
 * the right DataSource, delays their end until the calls in them are done, and reports whether they have committed.
 */
export class CallerTransactions {
  /** The latest transaction of each query runner. */
  private readonly transactions = new WeakMap<QueryRunner, OpenTransaction>();
  /** The transaction of each manager. Without a serializer, all transactions of a SQLite DataSource share one query runner. */
  private readonly owners = new WeakMap<object, OpenTransaction>();
  private isWatching = false;

  constructor(
    private readonly dataSources: readonly DataSource[],
    private readonly watcher: TransactionWatcher = {},
  ) {}

  /** Starts watching. The DataSources must be initialized. */
  startWatching(): void {
    this.isWatching = true;
    this.dataSources.forEach((dataSource) => this.subscribe(dataSource));
  }

  /** Stops watching. Pending `onEnd` callbacks are dropped. */
  close(): void {
    this.isWatching = false;
    for (const { subscribers } of this.dataSources) {
      const at = subscribers.indexOf(this.subscriber);
      subscribers.splice(at, at < 0 ? 0 : 1);
    }
  }

  /**
   * Returns the query runner of an open transaction.
   *
   * @throws UnknownDataSourceError for a manager of another DataSource.
   * @throws InvalidOptionsError when no transaction is open.
   */
  getQueryRunner(tx: StoreTransaction): QueryRunner {
    if (this.dataSources.includes(tx as DataSource)) {
      throw new InvalidOptionsError(
        'manager',
        'expected the EntityManager of an open transaction, got the DataSource itself',
      );
    }
    const { connection, queryRunner } = (tx ?? {}) as Partial<EntityManager>;
    if (!connection || !this.dataSources.includes(connection)) {
      throw new UnknownDataSourceError(
        "expected an EntityManager of the queue's DataSource, got one of another DataSource; the job and your writes would not commit together",
      );
    }
    if (!queryRunner?.isTransactionActive || readDepth(queryRunner) === 0 || hasEndedByItself(connection)) {
      throw new InvalidOptionsError(
        'manager',
        `expected the EntityManager of an open transaction, got one that has no open transaction${this.watcher.hint ?? ''}`,
      );
    }
    return queryRunner;
  }

  /**
   * Adds a call to a transaction. The transaction ends only after the call has finished. `onEnd` is called once: when the outermost
   * transaction has ended, or when the savepoint around the call was rolled back.
   *
   * @throws the errors of `getQueryRunner`; InvalidOptionsError when the transaction is ending or has ended.
   */
  join(tx: StoreTransaction, onEnd: OnEnd): TransactionCall {
    const own = this.owners.get(tx);
    const transaction = own?.hasCommitted === undefined ? this.getTransaction(this.getQueryRunner(tx)) : own;
    if ((own && own !== transaction) || transaction.hasCommitted !== undefined) {
      onEnd((own ?? transaction).hasCommitted ?? false);
      throw toTooLateError('has ended');
    }
    this.owners.set(tx, transaction);
    const { connection, queryRunner } = tx as EntityManager;
    // A DataSource that was closed and initialized again has new subscribers.
    this.subscribe(connection);
    if (transaction.isStartingSavepoint) {
      throw toTooLateError('is starting a savepoint');
    }
    const call = transaction.add(readDepth(queryRunner!), onEnd);
    if (transaction.isEnding) {
      call.finish();
      throw toTooLateError('is ending');
    }
    return call;
  }

  /** Adds the subscriber before the application's own: when one of those throws, TypeORM calls no other. */
  private subscribe({ subscribers }: DataSource): void {
    if (this.isWatching && !subscribers.includes(this.subscriber)) {
      subscribers.unshift(this.subscriber);
    }
  }

  private readonly subscriber = {
    beforeTransactionStart: ({ queryRunner }: TransactionEvent) => {
      const depth = readDepth(queryRunner);
      const isNew = depth === 0 || hasEndedByItself(queryRunner.connection);
      if (isNew) {
        const transaction = new OpenTransaction(depth);
        this.transactions.set(queryRunner, transaction);
        this.owners.set(queryRunner.manager, transaction);
        return this.watcher.onStarting?.();
      }
      const transaction = this.getTransaction(queryRunner);
      transaction.isStartingSavepoint = true;
      return transaction.idle();
    },
    afterTransactionStart: ({ queryRunner }: TransactionEvent) => {
      this.getTransaction(queryRunner).isStartingSavepoint = false;
    },
    beforeTransactionCommit: ({ queryRunner }: TransactionEvent) => {
      const transaction = this.getTransaction(queryRunner);
      // Only the outermost COMMIT is delayed: the release of a savepoint commits nothing.
      return transaction.isOutermost(readDepth(queryRunner))
        ? handleRejection(refuseOrPrepareCommit(transaction, queryRunner))
        : undefined;
    },
    beforeTransactionRollback: ({ queryRunner }: TransactionEvent) => this.getTransaction(queryRunner).prepareEnd(),
    afterQuery: ({ query, queryRunner, rawResults, error }: QueryEvent) => {
      const transaction = this.transactions.get(queryRunner);
      if (error && END_STATEMENT.test(query)) {
        transaction?.resume();
        closeUnlessRolledBack(queryRunner, query, error);
        if (query === 'COMMIT' && hasCommitFailedForGood(queryRunner, error)) {
          transaction?.end(false);
        }
      }
      return transaction && query === 'COMMIT' && rawResults?.command === 'ROLLBACK'
        ? handleRejection(endRolledBack(transaction))
        : undefined;
    },
    afterTransactionCommit: ({ queryRunner }: TransactionEvent) => this.onEnd(queryRunner, true),
    afterTransactionRollback: ({ queryRunner }: TransactionEvent) => this.onEnd(queryRunner, false),
  };

  private getTransaction(queryRunner: QueryRunner): OpenTransaction {
    const known = this.transactions.get(queryRunner);
    const transaction = known ?? new OpenTransaction();
    if (!known) {
      this.transactions.set(queryRunner, transaction);
    }
    return transaction;
  }

  private onEnd(queryRunner: QueryRunner, committed: boolean): void {
    const transaction = this.transactions.get(queryRunner);
    if (queryRunner.isTransactionActive && !hasEndedByItself(queryRunner.connection)) {
      transaction?.endSavepoint(readDepth(queryRunner), committed);
    } else {
      transaction?.end(committed);
      this.watcher.onEnded?.();
    }
  }
}

/** A transaction of the application, and the calls of the queue in it. */
class OpenTransaction {
  /** COMMIT or ROLLBACK is about to be sent. Calls are rejected from now on: they would no longer be part of the transaction. */
  isEnding = false;
  /** A savepoint is about to be sent. Calls are rejected until then: they might run before or after it. */
  isStartingSavepoint = false;
  /** `undefined` until the transaction has ended. */
  hasCommitted: boolean | undefined;
  /** Why it was rolled back instead of committed. */
  refusal: Error | undefined;
  private calls: CallInTransaction[] = [];

  /**
   * @param baseDepth TypeORM's depth before BEGIN. Usually 0; more when SQLite has ended an earlier transaction by itself, which
   * TypeORM still counts.
   */
  constructor(private readonly baseDepth = 0) {}

  add(depth: number, onEnd: OnEnd): CallInTransaction {
    const call = new CallInTransaction(depth, onEnd);
    this.calls.push(call);
    return call;
  }

  isOutermost(depth: number): boolean {
    return depth <= this.baseDepth + 1;
  }

  /** Resolves when all calls in the transaction have ended. */
  async idle(): Promise<void> {
    while (this.calls.some(({ isOpen }) => isOpen)) {
      await Promise.all(this.calls.map(({ ended }) => ended));
    }
  }

  async prepareEnd(): Promise<void> {
    this.isEnding = true;
    await this.idle();
  }

  /** @throws the error of a call that was refused: the other writes of the transaction must not be committed. */
  async prepareCommit(): Promise<void> {
    await this.prepareEnd();
    const refusal = this.refusal ?? this.calls.find((call) => call.refusal)?.refusal;
    if (refusal) {
      this.resume();
      throw refusal;
    }
  }

  /** The transaction stays open: its end has failed, or only a savepoint has ended. */
  resume(): void {
    this.isEnding = this.isStartingSavepoint = false;
  }

  /** Returns the number of calls. TypeORM may report an end twice; a repeated end returns 0. */
  end(committed: boolean): number {
    this.resume();
    this.hasCommitted ??= committed;
    return notifyEnded(this.calls.splice(0), committed);
  }

  /**
   * Ends a savepoint. A release moves its calls to the depth around it; a rollback undoes them.
   *
   * @param depth the depth around the savepoint.
   */
  endSavepoint(depth: number, isReleased: boolean): void {
    this.resume();
    const undone = isReleased ? [] : this.calls.filter((call) => call.depth > depth);
    if (undone.length > 0) {
      this.calls = this.calls.filter((call) => call.depth <= depth);
    }
    this.calls.forEach((call) => (call.depth = Math.min(call.depth, depth)));
    notifyEnded(undone, false);
  }
}

function notifyEnded(calls: readonly CallInTransaction[], committed: boolean): number {
  calls.forEach(({ onEnd }) => onEnd(committed));
  return calls.length;
}

/** A call of the queue in a transaction. */
class CallInTransaction implements TransactionCall {
  readonly ended: Promise<void>;
  isOpen = true;
  refusal: Error | undefined;
  private resolve!: () => void;

  constructor(
    /** The depth of savepoints at the call. Rolling back to a lower depth undoes the call. */
    public depth: number,
    readonly onEnd: OnEnd,
  ) {
    this.ended = new Promise((resolve) => (this.resolve = resolve));
  }

  finish(refusal?: Error): void {
    this.isOpen = false;
    this.refusal = refusal;
    this.resolve();
  }
}

/**
 * Prepares a commit. If a call was refused, rolls back on PostgreSQL: the caller may release the connection without a ROLLBACK, and
 * the next COMMIT on it would store the jobs. On SQLite the caller may repair the transaction and commit again.
 *
 * @throws the error of a call that was refused.
 */
async function refuseOrPrepareCommit(transaction: OpenTransaction, queryRunner: QueryRunner): Promise<void> {
  try {
    await transaction.prepareCommit();
  } catch (error) {
    if (queryRunner.connection.options.type === 'postgres') {
      transaction.refusal = error as Error;
      await queryRunner.query('ROLLBACK').catch(() => undefined);
      transaction.end(false);
    }
    throw error;
  }
}

/**
 * Closes a PostgreSQL connection whose ROLLBACK had no reply. The server then rolls back its transaction. TypeORM would return the
 * connection to the pool. After a `query_timeout` its transaction may still be open: the next COMMIT would store the writes of a
 * failed attempt. The same holds for a savepoint.
 */
function closeUnlessRolledBack(queryRunner: QueryRunner, query: string, error: unknown): void {
  const { releasePostgresConnection: release } = queryRunner as {
    releasePostgresConnection?: (error: unknown) => unknown;
  };
  if (query.startsWith('ROLLBACK') && toSqlError(error).kind === 'unavailable') {
    void release?.call(queryRunner, error);
  }
}

/** The statements by which TypeORM ends a transaction or rolls back to a savepoint. */
const END_STATEMENT = /^(COMMIT|ROLLBACK|ROLLBACK TO SAVEPOINT typeorm_\d+)$/;

function toTooLateError(state: string): InvalidOptionsError {
  return new InvalidOptionsError(
    'manager',
    `expected the EntityManager of an open transaction, got one of a transaction that ${state}; await every queue call inside its transaction`,
  );
}

/**
 * After a failed statement in the transaction, PostgreSQL replies to COMMIT with ROLLBACK and no error. TypeORM ignores that
 * reply: without this error the caller would not notice that the jobs are not stored.
 *
 * @throws DatabaseRefusedError when calls of the queue were in the transaction.
 */
async function endRolledBack(transaction: OpenTransaction): Promise<void> {
  if (transaction.end(false) > 0) {
    throw new DatabaseRefusedError(
      'the transaction was rolled back, with its jobs: a statement failed and its error was swallowed. Rethrow it, or run that statement in a savepoint (manager.transaction)',
    );
  }
}

interface TransactionEvent {
  readonly queryRunner: QueryRunner;
}

interface QueryEvent extends TransactionEvent {
  readonly query: string;
  /** The driver's reply. */
  readonly rawResults?: { readonly command?: unknown };
  readonly error?: unknown;
}

/** Prevents an unhandled rejection: TypeORM drops the promise when a subscriber of the application throws. */
function handleRejection(end: Promise<unknown>): Promise<unknown> {
  end.catch(() => undefined);
  return end;
}

/**
 * Whether a failed COMMIT has ended the transaction. PostgreSQL ends it; without a reply the outcome is unknown. SQLite leaves it
 * open when the file is locked or a deferred constraint fails, and rolls back otherwise, for example when the disk is full.
 */
function hasCommitFailedForGood({ connection }: QueryRunner, error: unknown): boolean {
  const { severity } = error as { severity?: unknown };
  const { kind, driverCode } = toSqlError(error);
  return connection.options.type === 'postgres'
    ? typeof severity === 'string' && kind !== 'unavailable'
    : hasEndedByItself(connection) || /^SQLITE_(?!BUSY|CONSTRAINT)/.test(String(driverCode));
}

/** SQLite ends a transaction by itself, for ON CONFLICT ROLLBACK for example, and TypeORM does not notice. */
function hasEndedByItself({ driver }: DataSource): boolean {
  const { databaseConnection } = driver as unknown as { databaseConnection?: { inTransaction?: boolean } };
  return databaseConnection?.inTransaction === false;
}

function readDepth(queryRunner: QueryRunner): number {
  return (queryRunner as unknown as { transactionDepth: number }).transactionDepth;
}
