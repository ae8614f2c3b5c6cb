import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { InvalidOptionsError, UnknownDataSourceError } from '../core/errors.js';
import type { StoreTransaction } from './job-store.js';

type Done = (committed: boolean) => void;

interface Waiting {
  /** How many savepoints deep the caller was; rolled back to a lower depth, its work is gone. */
  readonly depth: number;
  readonly done: Done;
}

/** Who wants to know of every transaction of these DataSources. */
export interface TransactionWatcher {
  /** One is about to begin, and counts as open already; it begins when the returned promise has resolved. */
  starting?(): Promise<void> | undefined;
  /** One has ended, within this tick. */
  ended?(): void;
}

/**
 * The transactions that callers of `enqueueTx` and `completeTx` bring along: checks that they are open and of the right
 * DataSource, and tells when they have ended.
 */
export class CallerTransactions {
  private readonly waiting = new WeakMap<QueryRunner, Waiting[]>();
  private isOpen = false;

  constructor(
    private readonly dataSources: readonly DataSource[],
    private readonly watcher: TransactionWatcher = {},
  ) {}

  /** Begins to watch; the DataSources must be initialized. */
  open(): void {
    this.isOpen = true;
    this.dataSources.forEach((dataSource) => this.watch(dataSource));
  }

  /** Before the application's own subscribers: where one of these throws, TypeORM tells no other. */
  private watch({ subscribers }: DataSource): void {
    if (this.isOpen && !subscribers.includes(this.subscriber)) {
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
    if (!queryRunner?.isTransactionActive) {
      throw new InvalidOptionsError(
        'manager',
        'expected the EntityManager of an open transaction, got one without (on SQLite another one may have ended it: transactions there must take turns)',
      );
    }
    return queryRunner;
  }

  /** Calls `done` once, when the outermost transaction has ended or the savepoint around the call was rolled back. */
  whenEnded(tx: StoreTransaction, done: Done): void {
    const queryRunner = this.queryRunnerOf(tx);
    // A DataSource that was closed and initialized again has forgotten its subscribers.
    this.watch(queryRunner.connection);
    const list = this.waiting.get(queryRunner) ?? [];
    list.push({ depth: depthOf(queryRunner), done });
    this.waiting.set(queryRunner, list);
  }

  /** Stops watching; callbacks that still wait are never called. */
  close(): void {
    this.isOpen = false;
    for (const { subscribers } of this.dataSources) {
      const at = subscribers.indexOf(this.subscriber);
      subscribers.splice(at, at < 0 ? 0 : 1);
    }
  }

  private readonly subscriber = {
    beforeTransactionStart: () => this.watcher.starting?.(),
    afterTransactionCommit: ({ queryRunner }: { queryRunner: QueryRunner }) => this.ended(queryRunner, true),
    afterTransactionRollback: ({ queryRunner }: { queryRunner: QueryRunner }) => this.ended(queryRunner, false),
  };

  private ended(queryRunner: QueryRunner, committed: boolean): void {
    const list = this.waiting.get(queryRunner) ?? [];
    const isOver = !queryRunner.isTransactionActive;
    const depth = depthOf(queryRunner);
    // A released savepoint decides nothing yet: its work now stands or falls with the transaction around it.
    const settled = isOver ? list : committed ? [] : list.filter((entry) => entry.depth > depth);
    const rest = isOver ? [] : list.filter((entry) => !settled.includes(entry));
    const lowered = committed ? rest.map((entry) => ({ ...entry, depth: Math.min(entry.depth, depth) })) : rest;
    this.waiting.set(queryRunner, lowered);
    settled.forEach(({ done }) => done(committed));
    if (isOver) {
      this.watcher.ended?.();
    }
  }
}

function depthOf(queryRunner: QueryRunner): number {
  return (queryRunner as unknown as { transactionDepth: number }).transactionDepth;
}
