import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { DatabaseRefusedError, InvalidOptionsError, UnknownDataSourceError } from '../core/errors.js';
import type { StoreTransaction, TransactionPart } from './job-store.js';
import { toSqlError } from './sql-error.js';

/** Receives whether the transaction has committed. */
type OnEnd = (committed: boolean) => void;

/** Receives the start and the end of every transaction of the watched DataSources. */
interface TransactionWatcher {
  /** A transaction is about to start and counts as open already. TypeORM starts it when the returned promise has resolved. */
  onStarting?(): Promise<void> | undefined;
  /** A transaction has ended, within this tick. */
  onEnded?(): void;
}

/**
 * Watches the transactions of the application that `enqueueTx` and `completeTx` take part in: checks that they are open and of
 * the right DataSource, delays their end until the calls in them are done, and reports whether they have committed.
 */
export class CallerTransactions {
  /** The latest transaction of each query runner. */
  private readonly transactions = new WeakMap<QueryRunner, OpenTransaction>();
  /** The transaction of each manager: all transactions of a SQLite DataSource share one query runner. */
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

  /** Stops watching. Callbacks that still wait are never called. */
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
        "expected an EntityManager of the queue's DataSource, got one of another: the job could not commit together with it",
      );
    }
    if (!queryRunner?.isTransactionActive || readDepth(queryRunner) === 0 || hasEndedByItself(connection)) {
      throw new InvalidOptionsError(
        'manager',
        `expected the EntityManager of an open transaction, got one without${HINT}`,
      );
    }
    return queryRunner;
  }

  /**
   * Adds a call to a transaction, which ends only after the call is settled. `onEnd` is called once: when the outermost
   * transaction has ended, or when the savepoint around the call was rolled back.
   *
   * @throws the errors of `getQueryRunner`; InvalidOptionsError when the transaction is ending or has ended.
   */
  join(tx: StoreTransaction, onEnd: OnEnd): TransactionPart {
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
    const part = transaction.add(readDepth(queryRunner!), onEnd);
    if (transaction.isEnding) {
      part.settle();
      throw toTooLateError('is ending');
    }
    return part;
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
      // Releasing a savepoint decides nothing.
      return transaction.isOutermost(readDepth(queryRunner))
        ? handleRejection(prepareCommit(transaction, queryRunner))
        : undefined;
    },
    beforeTransactionRollback: ({ queryRunner }: TransactionEvent) => this.getTransaction(queryRunner).prepareEnd(),
    afterQuery: ({ query, queryRunner, rawResults, error }: QueryEvent) => {
      const transaction = this.transactions.get(queryRunner);
      if (error && END.test(query)) {
        transaction?.resume();
        if (isRefusedCommit(query, queryRunner, error)) {
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
  /** Whether the COMMIT or ROLLBACK is about to be sent: a statement sent now would run after it. */
  isEnding = false;
  /** Whether a savepoint is about to be sent: a statement sent now might run before or after it. */
  isStartingSavepoint = false;
  /** Set once it has ended. */
  hasCommitted: boolean | undefined;
  /** Why it was rolled back instead of committed. */
  refusal: Error | undefined;
  private parts: Part[] = [];

  /** @param base TypeORM's depth at the start: above 0 when SQLite has ended an earlier transaction by itself. */
  constructor(private readonly base = 0) {}

  add(depth: number, onEnd: OnEnd): Part {
    const part = new Part(depth, onEnd);
    this.parts.push(part);
    return part;
  }

  isOutermost(depth: number): boolean {
    return depth <= this.base + 1;
  }

  /** Resolves when all calls in the transaction have ended. */
  async idle(): Promise<void> {
    while (this.parts.some(({ isOpen }) => isOpen)) {
      await Promise.all(this.parts.map(({ over }) => over));
    }
  }

  async prepareEnd(): Promise<void> {
    this.isEnding = true;
    await this.idle();
  }

  /** @throws the error of a call that was refused: the other writes of the transaction must not be committed. */
  async prepareCommit(): Promise<void> {
    await this.prepareEnd();
    const refusal = this.refusal ?? this.parts.find((part) => part.refusal)?.refusal;
    if (refusal) {
      this.resume();
      throw refusal;
    }
  }

  /** The transaction stays open: its end has failed, or only a savepoint has ended. */
  resume(): void {
    this.isEnding = this.isStartingSavepoint = false;
  }

  /** Returns how many calls were in it. Does nothing for a second end, which TypeORM may report. */
  end(committed: boolean): number {
    this.resume();
    this.hasCommitted ??= committed;
    return callEnded(this.parts.splice(0), committed);
  }

  /** @param depth the depth around the savepoint. After a release, its calls belong to that depth. */
  endSavepoint(depth: number, isReleased: boolean): void {
    this.resume();
    const gone = isReleased ? [] : this.parts.filter((part) => part.depth > depth);
    if (gone.length > 0) {
      this.parts = this.parts.filter((part) => part.depth <= depth);
    }
    this.parts.forEach((part) => (part.depth = Math.min(part.depth, depth)));
    callEnded(gone, false);
  }
}

function callEnded(parts: readonly Part[], committed: boolean): number {
  parts.forEach(({ onEnd }) => onEnd(committed));
  return parts.length;
}

/** A call of the queue in a transaction. */
class Part implements TransactionPart {
  readonly over: Promise<void>;
  isOpen = true;
  refusal: Error | undefined;
  private resolve!: () => void;

  constructor(
    /** The depth of savepoints at the call. Rolling back to a lower depth undoes the call. */
    public depth: number,
    readonly onEnd: OnEnd,
  ) {
    this.over = new Promise((resolve) => (this.resolve = resolve));
  }

  settle(refusal?: Error): void {
    this.isOpen = false;
    this.refusal = refusal;
    this.resolve();
  }
}

/**
 * Rolls back on PostgreSQL when the commit is refused: the caller may release the connection without a ROLLBACK, and the next
 * COMMIT on it would store the jobs. On SQLite the caller may repair the transaction and commit again.
 *
 * @throws the error of a call that was refused.
 */
async function prepareCommit(transaction: OpenTransaction, queryRunner: QueryRunner): Promise<void> {
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

/** The statements by which TypeORM ends a transaction or rolls back to a savepoint. */
const END = /^(COMMIT|ROLLBACK|ROLLBACK TO SAVEPOINT typeorm_\d+)$/;

/** Transactions of a SQLite DataSource share one connection, so one can end another. */
const HINT = ' (on SQLite another transaction may have ended it: run transactions there one after the other)';

function toTooLateError(state: string): InvalidOptionsError {
  return new InvalidOptionsError(
    'manager',
    `expected the EntityManager of an open transaction, got one of a transaction that ${state}: await each call in its transaction${HINT}`,
  );
}

/**
 * PostgreSQL replies to COMMIT with ROLLBACK, and without an error, once a statement of the transaction has failed. TypeORM
 * ignores that reply: without this error the caller would not notice that the jobs are gone.
 *
 * @throws DatabaseRefusedError when calls of the queue were in the transaction.
 */
async function endRolledBack(transaction: OpenTransaction): Promise<void> {
  if (transaction.end(false) > 0) {
    throw new DatabaseRefusedError(
      'PostgreSQL has rolled back the transaction instead of committing it, including its jobs: one of its statements failed and the error was caught; rethrow the error, or run a statement that may fail in a savepoint (manager.transaction)',
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
 * Whether the server has refused a COMMIT. PostgreSQL ends the transaction then; SQLite leaves it open. Without a reply the
 * outcome is unknown.
 */
function isRefusedCommit(query: string, { connection }: QueryRunner, error: unknown): boolean {
  const { severity } = error as { severity?: unknown };
  const isPostgres = connection.options.type === 'postgres';
  return query === 'COMMIT' && isPostgres && typeof severity === 'string' && toSqlError(error).kind !== 'unavailable';
}

/** SQLite ends a transaction by itself, for ON CONFLICT ROLLBACK for example, and TypeORM does not notice. */
function hasEndedByItself({ driver }: DataSource): boolean {
  const { databaseConnection } = driver as unknown as { databaseConnection?: { inTransaction?: boolean } };
  return databaseConnection?.inTransaction === false;
}

function readDepth(queryRunner: QueryRunner): number {
  return (queryRunner as unknown as { transactionDepth: number }).transactionDepth;
}
