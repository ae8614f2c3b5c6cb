import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { DatabaseRefusedError, InvalidOptionsError, UnknownDataSourceError } from '../core/errors.js';
import type { StoreTransaction, TransactionPart } from './job-store.js';
import { type Done, OpenTransaction, Part } from './open-transaction.js';
import { toSqlError } from './sql-error.js';

/** The statements by which TypeORM ends a transaction, or gives up what stands since a savepoint. */
const END = /^(COMMIT|ROLLBACK|ROLLBACK TO SAVEPOINT typeorm_\d+)$/;

/** Who wants to know of every transaction of these DataSources. */
export interface TransactionWatcher {
  /** One is about to begin, and counts as open already; it begins when the returned promise has resolved. */
  starting?(): Promise<void> | undefined;
  /** One has ended, within this tick. */
  ended?(): void;
}

/**
 * The transactions that callers of `enqueueTx` and `completeTx` bring along: checks that they are open and of the right
 * DataSource, keeps their end waiting for the calls that are in them, and tells when they have ended.
 */
export class CallerTransactions {
  private readonly open = new WeakMap<QueryRunner, OpenTransaction>();
  /** To which transaction a manager belongs: SQLite's one query runner serves all of them, one after the other. */
  private readonly homes = new WeakMap<object, OpenTransaction>();
  private isWatching = false;

  constructor(
    private readonly dataSources: readonly DataSource[],
    private readonly watcher: TransactionWatcher = {},
  ) {}

  /** Begins to watch; the DataSources must be initialized. */
  startWatching(): void {
    this.isWatching = true;
    this.dataSources.forEach((dataSource) => this.watch(dataSource));
  }

  /** Before the application's own subscribers: where one of these throws, TypeORM tells no other. */
  private watch({ subscribers }: DataSource): void {
    if (this.isWatching && !subscribers.includes(this.subscriber)) {
      subscribers.unshift(this.subscriber);
    }
  }

  /**
   * The query runner of the caller's open transaction.
   *
   * @throws UnknownDataSourceError for a manager of another DataSource.
   * @throws InvalidOptionsError when there is no open transaction: nothing would tie the job to it.
   */
  queryRunnerOf(tx: StoreTransaction): QueryRunner {
    const manager = tx as EntityManager;
    if (this.dataSources.includes(tx as DataSource)) {
      throw new InvalidOptionsError(
        'manager',
        'expected the EntityManager of an open transaction, got the DataSource itself',
      );
    }
    const { connection, queryRunner } = manager ?? {};
    if (!connection || !this.dataSources.includes(connection)) {
      throw new UnknownDataSourceError(
        'expected an EntityManager of the DataSource the queue lives in, got one of another: the job could not commit together with it',
      );
    }
    if (!queryRunner?.isTransactionActive || depthOf(queryRunner) === 0 || hasEndedByItself(connection)) {
      throw new InvalidOptionsError(
        'manager',
        'expected the EntityManager of an open transaction, got one without (on SQLite another one may have ended it: transactions there must take turns)',
      );
    }
    return queryRunner;
  }

  /**
   * A call of the queue's begins in this transaction, whose end waits until the call is settled. `done` is called once, when
   * the outermost transaction has ended or the savepoint around the call was rolled back.
   *
   * @throws what `queryRunnerOf` throws; InvalidOptionsError when its end has begun.
   */
  join(tx: StoreTransaction, done: Done): TransactionPart {
    const home = this.homes.get(tx);
    if (home?.hasCommitted !== undefined) {
      done(home.hasCommitted);
      throw tooLate('has ended');
    }
    const queryRunner = this.queryRunnerOf(tx);
    // A DataSource that was closed and initialized again has forgotten its subscribers.
    this.watch(queryRunner.connection);
    const transaction = this.openOf(queryRunner);
    if ((home !== undefined && home !== transaction) || transaction.hasCommitted !== undefined) {
      // Nobody has told how it ended, or TypeORM has not heard of it.
      done(false);
      throw tooLate('has ended');
    }
    this.homes.set(tx, transaction);
    const part = new Part(depthOf(queryRunner), done);
    part.besideDepth = transaction.beginningDepth;
    // Who comes too late wants to know the end all the same.
    transaction.parts.push(part);
    if (transaction.isEnding) {
      part.settled();
      throw tooLate('is being ended');
    }
    return part;
  }

  private openOf(queryRunner: QueryRunner): OpenTransaction {
    return this.open.get(queryRunner) ?? this.begun(queryRunner, new OpenTransaction());
  }

  private begun(queryRunner: QueryRunner, transaction: OpenTransaction): OpenTransaction {
    this.open.set(queryRunner, transaction);
    return transaction;
  }

  /** Stops watching; callbacks that still wait are never called. */
  close(): void {
    this.isWatching = false;
    for (const { subscribers } of this.dataSources) {
      const at = subscribers.indexOf(this.subscriber);
      subscribers.splice(at, at < 0 ? 0 : 1);
    }
  }

  private readonly subscriber = {
    beforeTransactionStart: ({ queryRunner }: TransactionEvent) => {
      const depth = depthOf(queryRunner);
      if (depth === 0 || hasEndedByItself(queryRunner.connection)) {
        // Whatever is known is of the one before, whose end nobody may have told.
        this.homes.set(queryRunner.manager, this.begun(queryRunner, new OpenTransaction(depth)));
      } else {
        this.openOf(queryRunner).savepointBegins(depth + 1);
      }
      return this.watcher.starting?.();
    },
    afterTransactionStart: ({ queryRunner }: TransactionEvent) => this.open.get(queryRunner)?.savepointStands(),
    beforeTransactionCommit: ({ queryRunner }: TransactionEvent) => {
      // A savepoint that is released decides nothing yet.
      const isOutermost = this.openOf(queryRunner).isOutermost(depthOf(queryRunner));
      if (!isOutermost) {
        return undefined;
      }
      const isAlone = !this.hasOthersAtEnd(queryRunner);
      return handled(this.committing(queryRunner, isAlone, isAlone));
    },
    beforeTransactionRollback: ({ queryRunner }: TransactionEvent) => {
      this.openOf(queryRunner).givesUp();
      return this.ending(queryRunner, !this.hasOthersAtEnd(queryRunner));
    },
    // Subscribers of the application's have had their say by then. Not every driver waits for this one.
    beforeQuery: ({ query, queryRunner }: QueryEvent) => {
      const transaction = this.open.get(queryRunner);
      const isCommit = query === 'COMMIT';
      // Savepoints of those subscribers have let it go on meanwhile: what must not be committed is not, all the same.
      if (!transaction || !END.test(query) || !(transaction.isToEnd || (isCommit && transaction.refusal))) {
        return undefined;
      }
      return handled(isCommit ? this.committing(queryRunner, true) : this.ending(queryRunner, true));
    },
    afterQuery: ({ query, queryRunner, rawResults, error }: AnsweredEvent) => {
      if (error && END.test(query)) {
        this.notEnded(queryRunner, query === 'COMMIT' && isAnswer(error));
      }
      return query === 'COMMIT' && rawResults?.command === 'ROLLBACK'
        ? handled(this.answeredByRollback(queryRunner))
        : undefined;
    },
    afterTransactionCommit: ({ queryRunner }: TransactionEvent) => this.ended(queryRunner, true),
    afterTransactionRollback: ({ queryRunner }: TransactionEvent) => this.ended(queryRunner, false),
  };

  /**
   * @param closes whether nobody may come in any more.
   * @param isAlone whether no subscriber of the application's is at work.
   * @throws what a call was refused with: then what stands beside it must not be committed.
   */
  private async committing(queryRunner: QueryRunner, closes: boolean, isAlone = false): Promise<void> {
    const transaction = await this.ending(queryRunner, closes);
    const { refusal } = transaction;
    // On PostgreSQL when they have had their say: what they send behind a ROLLBACK would stay.
    if (!refusal || (!closes && endsWithCommit(queryRunner))) {
      return;
    }
    if (!(isAlone && endsWithCommit(queryRunner) && (await this.rollBackRefused(queryRunner, transaction)))) {
      transaction.goOn();
    }
    throw refusal;
  }

  /**
   * As a COMMIT that fails does: who did not roll back would leave the transaction open to the next one on its connection. Answers
   * whether it is over.
   */
  private async rollBackRefused(queryRunner: QueryRunner, transaction: OpenTransaction): Promise<boolean> {
    const isDone = await queryRunner.query('ROLLBACK').then(
      () => true,
      // A subscriber may have thrown; then the next COMMIT is refused as well.
      () => false,
    );
    if (isDone && this.open.get(queryRunner) === transaction) {
      this.lost(queryRunner);
    }
    return isDone;
  }

  /** The statement by which it was to end has failed. */
  private notEnded(queryRunner: QueryRunner, isCommitRefused: boolean): void {
    if (!endsWithCommit(queryRunner)) {
      this.open.get(queryRunner)?.goOn();
    } else if (isCommitRefused) {
      this.lost(queryRunner);
    }
  }

  private async ending(queryRunner: QueryRunner, closes: boolean): Promise<OpenTransaction> {
    const transaction = this.openOf(queryRunner);
    transaction.isToEnd = true;
    transaction.isEnding = closes;
    await transaction.idle();
    return transaction;
  }

  /** Whether subscribers of the application's may make calls of their own until the end is sent, which TypeORM waits for. */
  private hasOthersAtEnd({ connection: { subscribers } }: QueryRunner): boolean {
    return subscribers.some(
      (each) => each !== this.subscriber && ('beforeTransactionCommit' in each || 'beforeTransactionRollback' in each),
    );
  }

  /**
   * Once a statement in a transaction has failed, PostgreSQL answers its COMMIT by a ROLLBACK, without an error, and TypeORM
   * does not look at the answer. Whoever caught the error of that statement would never hear that the jobs are gone.
   *
   * @throws DatabaseRefusedError when the queue has a part in it.
   */
  private async answeredByRollback(queryRunner: QueryRunner): Promise<void> {
    if (this.lost(queryRunner) > 0) {
      throw new DatabaseRefusedError(
        'PostgreSQL has rolled this transaction back instead of committing it, with all that the queue did in it: a statement has failed, and its error was caught; let it through, or put what may fail into a savepoint (manager.transaction)',
      );
    }
  }

  private ended(queryRunner: QueryRunner, committed: boolean): void {
    const transaction = this.open.get(queryRunner);
    const isOver = isOverIn(queryRunner);
    const settled = isOver
      ? transaction?.ended(committed)
      : transaction?.savepointEnded(depthOf(queryRunner), committed);
    settled?.forEach(({ done }) => done(committed));
    if (isOver) {
      this.open.delete(queryRunner);
      this.watcher.ended?.();
    }
  }

  /** It has been rolled back behind TypeORM's back, which is still to end it. Answers how many calls are gone. */
  private lost(queryRunner: QueryRunner): number {
    const gone = this.open.get(queryRunner)?.ended(false) ?? [];
    gone.forEach(({ done }) => done(false));
    return gone.length;
  }
}

/** On SQLite transactions share one connection, so it need not have been its own end. */
const tooLate = (how: string): InvalidOptionsError =>
  new InvalidOptionsError(
    'manager',
    `expected the EntityManager of an open transaction, got one of a transaction that ${how}: await this call inside (on SQLite another one may have ended it: transactions there must take turns)`,
  );

interface TransactionEvent {
  readonly queryRunner: QueryRunner;
}

interface QueryEvent extends TransactionEvent {
  readonly query: string;
}

interface AnsweredEvent extends QueryEvent {
  /** What the driver answered. */
  readonly rawResults?: { readonly command?: unknown };
  readonly error?: unknown;
}

/** Where a subscriber of the application's throws, TypeORM does not wait for this. */
function handled(end: Promise<unknown>): Promise<unknown> {
  end.catch(() => undefined);
  return end;
}

/** PostgreSQL ends a transaction with its COMMIT, also when it refuses that. SQLite leaves it open then. */
function endsWithCommit({ connection }: QueryRunner): boolean {
  return connection.options.type === 'postgres';
}

/** Whether it is what a server has answered to a COMMIT. Without an answer nobody knows whether that was done. */
function isAnswer(error: unknown): boolean {
  const { severity } = (error ?? {}) as { severity?: unknown };
  return typeof severity === 'string' && toSqlError(error).kind !== 'unavailable';
}

function isOverIn({ isTransactionActive, connection }: QueryRunner): boolean {
  return !isTransactionActive || hasEndedByItself(connection);
}

/** SQLite ends a transaction by itself, as for ON CONFLICT ROLLBACK, and TypeORM does not notice. */
function hasEndedByItself({ driver }: DataSource): boolean {
  const { databaseConnection } = driver as unknown as { databaseConnection?: { inTransaction?: boolean } };
  return databaseConnection?.inTransaction === false;
}

function depthOf(queryRunner: QueryRunner): number {
  return (queryRunner as unknown as { transactionDepth: number }).transactionDepth;
}
