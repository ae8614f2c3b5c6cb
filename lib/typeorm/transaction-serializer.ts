import { AsyncLocalStorage } from 'node:async_hooks';
import type { DataSource, EntityManager } from 'typeorm';
import type { Clock } from '../core/clock.js';
import { DatabaseRefusedError, QueueUnavailableError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { SqliteDriver, SerializedRunner } from './serialized-runner.js';
import { captureOrigin, createRunnerClass, SerializedTransaction } from './serialized-runner.js';

interface SerializerOptions {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Limits the wait of each transaction for its turn. */
  readonly lockTimeoutMs: number;
}

/** Runs between two transactions. The next one begins after the returned promise has settled. */
type GapWork = () => Promise<void> | undefined;

interface WaitingTransaction {
  readonly driver: SqliteDriver;
  readonly transaction: SerializedTransaction;
  readonly begin: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Runs the transactions of a SQLite DataSource one at a time, in the order in which they were started
 * (docs/adr/0022-one-sqlite-transaction-at-a-time.md).
 *
 * TypeORM shares one query runner, and its count of savepoints, among all callers. Here each caller gets a query runner of its
 * own, as on PostgreSQL, and the outermost `startTransaction` waits for its turn.
 *
 * Code inside a transaction gets the runner of that transaction, so a transaction that it begins is a savepoint. Code is inside once it has
 * used the runner or its manager after BEGIN. A call of `startTransaction` does not count: the context that it runs in may
 * belong to a caller that also starts other, independent work.
 */
export class TransactionSerializer {
  private running: SerializedTransaction | undefined;
  private readonly waiting = new Set<WaitingTransaction>();
  /** How many transactions have ended. */
  private ended = 0;
  /** Whether work between two transactions is running. */
  private isInGap = false;
  private readonly gapWork = new Set<GapWork>();
  private readonly context = new AsyncLocalStorage<SerializedTransaction | undefined>();

  constructor(private readonly options: SerializerOptions) {
    // Node 20 starts to track contexts at the first call, and that call would enter the context of all running work.
    this.context.enterWith(undefined);
  }

  /** Returns the serializer of a DataSource. Several queues on one DataSource share it; the first one sets the options. */
  static of(dataSource: DataSource, options: SerializerOptions): TransactionSerializer {
    let serializer = serializers.get(dataSource);
    if (!serializer) {
      serializer = new TransactionSerializer(options);
      serializer.add(dataSource);
      serializers.set(dataSource, serializer);
    }
    return serializer;
  }

  /** Whether a transaction is open, begins or ends. */
  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** Describes the running transaction: `for 5.2 s (started at …)`. `undefined` when none runs. */
  describeRunning(): string | undefined {
    const { running } = this;
    return running && `for ${formatMs(this.now() - running.sinceMs)} (started at ${running.origin})`;
  }

  /** Adds work to run between two transactions. Returns a function that removes it. */
  addGapWork(work: GapWork): () => void {
    this.gapWork.add(work);
    return () => void this.gapWork.delete(work);
  }

  /** Adds a DataSource. Its transactions take turns with those of the DataSources that were added before. */
  add(dataSource: DataSource): void {
    const driver = dataSource.driver as unknown as SqliteDriver;
    const sample = driver.createQueryRunner();
    const Runner = createRunnerClass(sample.constructor as new (driver: SqliteDriver) => SerializedRunner, this);
    // Callers may hold the runner that all of them have shared so far.
    const statements = this.adopt(sample, new Runner(driver)) ?? new Map<string, unknown>();
    driver.createQueryRunner = () => {
      const inside = this.findSurrounding()?.runner;
      if (inside?.driver === driver) {
        inside.references += 1;
        return inside;
      }
      const runner = new Runner(driver);
      if (runner.stmtCache) {
        runner.stmtCache = statements;
      }
      return runner;
    };
    this.watchManager(dataSource.manager);
    const createEntityManager = dataSource.createEntityManager.bind(dataSource);
    dataSource.createEntityManager = (runner) => this.watchManager(createEntityManager(runner));
    const disconnect = driver.disconnect.bind(driver);
    driver.disconnect = async () => {
      statements.clear();
      this.rejectWaiting(driver, 'its DataSource was destroyed');
      await disconnect();
      if (this.running?.runner?.driver === driver) {
        this.end(this.running, false);
      }
    };
  }

  /** Turns the query runner of TypeORM into one like `model`. Returns the statements that it has prepared. */
  private adopt(runner: SerializedRunner, model: SerializedRunner): Map<string, unknown> | undefined {
    const { manager, transactionDepth } = runner as Partial<SerializedRunner>;
    // The prototype has accessors for these.
    delete (runner as Partial<SerializedRunner>).manager;
    delete (runner as Partial<SerializedRunner>).transactionDepth;
    Object.setPrototypeOf(runner, Object.getPrototypeOf(model) as object);
    Object.assign(runner, {
      ...model,
      ...runner,
      transactionDepth,
      levels: transactionDepth,
      manager: manager && this.watchManager(manager),
    });
    if (runner.isTransactionActive) {
      this.running = new SerializedTransaction('an unknown place, before the queue', this.now());
      Object.assign(this.running, { runner, hasBegun: true });
      runner.transaction = this.running;
    }
    return runner.stmtCache;
  }

  /**
   * Waits for the turn of a new transaction.
   *
   * @throws QueueUnavailableError after `lockTimeout`.
   */
  async waitForTurn(driver: SqliteDriver): Promise<SerializedTransaction> {
    const transaction = new SerializedTransaction(captureOrigin(), this.now());
    if (this.running || this.isInGap) {
      await new Promise<void>((begin, reject) => this.addWaiting({ driver, transaction, begin, reject }));
    } else {
      this.running = transaction;
    }
    return transaction;
  }

  /** Ends a transaction and begins the next one. Does nothing if it has ended. */
  end(transaction: SerializedTransaction, isCommitted: boolean): void {
    transaction.isCommitted ??= isCommitted;
    if (transaction.runner?.transaction === transaction) {
      transaction.runner.transaction = undefined;
    }
    transaction.runner = undefined;
    if (this.running === transaction) {
      this.running = undefined;
      this.ended += 1;
      this.runGapWork();
    }
  }

  /** Marks the current asynchronous context as inside a transaction that has begun. */
  enter(transaction: SerializedTransaction | undefined): void {
    if (transaction && this.isOpen(transaction) && this.context.getStore() !== transaction) {
      this.context.enterWith(transaction);
    }
  }

  report(message: string): void {
    this.options.logger.error(message);
  }

  private addWaiting({ begin, reject, ...rest }: WaitingTransaction): void {
    const { lockTimeoutMs, clock } = this.options;
    const waiting: WaitingTransaction = {
      ...rest,
      begin: () => {
        timer.cancel();
        begin();
      },
      reject: (error) => {
        timer.cancel();
        reject(error);
      },
    };
    const { ended } = this;
    const timer = clock.schedule(lockTimeoutMs, () => {
      this.waiting.delete(waiting);
      const before = this.ended - ended;
      waiting.reject(
        toWaitError(
          `${before > 0 ? `${before} of this process ran before it, and ` : ''}another transaction of this process has been open ` +
            `${this.describeRunning() ?? 'until now'}, and sqlite.lockTimeout is ${formatMs(lockTimeoutMs)}; on SQLite they run one ` +
            `at a time: ${before > 0 ? 'start fewer at once, or raise sqlite.lockTimeout' : 'keep slow work out of them, and inside one use its manager'}`,
        ),
      );
    });
    this.waiting.add(waiting);
  }

  /** Lets the queue write before the next transaction begins. Otherwise transactions without a pause would never leave it the lock. */
  private runGapWork(): void {
    const pending = [...this.gapWork].map((work) => work()).filter((done) => done !== undefined);
    if (pending.length === 0) {
      this.beginNext();
      return;
    }
    this.isInGap = true;
    void Promise.allSettled(pending).then(() => {
      this.isInGap = false;
      this.beginNext();
    });
  }

  private beginNext(): void {
    const [next] = this.waiting;
    if (next) {
      this.waiting.delete(next);
      this.running = next.transaction;
      next.transaction.sinceMs = this.now();
      next.begin();
    }
  }

  private rejectWaiting(driver: SqliteDriver, reason: string): void {
    for (const waiting of [...this.waiting].filter((other) => other.driver === driver)) {
      this.waiting.delete(waiting);
      waiting.reject(toWaitError(reason));
    }
  }

  /** Returns the open transaction around the caller. */
  private findSurrounding(): SerializedTransaction | undefined {
    const transaction = this.context.getStore();
    return transaction && this.isOpen(transaction) ? transaction : undefined;
  }

  private isOpen(transaction: SerializedTransaction): boolean {
    return transaction === this.running && transaction.hasBegun && !transaction.isEnding;
  }

  /** Makes the outermost `transaction()` of a manager reject unless its COMMIT has succeeded. */
  private watchManager(manager: EntityManager): EntityManager {
    const watched = manager as unknown as WatchedManager;
    watched.beginTransaction = watched.transaction;
    watched.transaction = this.transact;
    return manager;
  }

  /** `transaction()` of all managers. */
  private readonly transact = createTransact(() => this.findSurrounding());

  private now(): number {
    return this.options.clock.now();
  }
}

type Transact = (this: WatchedManager, ...args: unknown[]) => Promise<unknown>;

interface WatchedManager {
  readonly queryRunner?: SerializedRunner;
  transaction: Transact;
  /** TypeORM's `transaction()`. */
  beginTransaction: Transact;
}

function createTransact(findSurrounding: () => SerializedTransaction | undefined): Transact {
  return async function (...args) {
    if ((this.queryRunner ? this.queryRunner.transaction : findSurrounding())?.hasBegun) {
      return this.beginTransaction(...args);
    }
    let begun: SerializedTransaction | undefined;
    const observe =
      (work: (inner: WatchedManager) => unknown) =>
      (inner: WatchedManager): unknown => {
        begun = inner.queryRunner!.transaction;
        return work(inner);
      };
    let result: unknown;
    try {
      result = await this.beginTransaction(
        ...args.map((arg) => (typeof arg === 'function' ? observe(arg as never) : arg)),
      );
    } finally {
      await begun?.runner?.abandon('its transaction() has ended, with a nested transaction still open');
    }
    if (begun?.isCommitted === false) {
      throw new DatabaseRefusedError(
        `the transaction was rolled back instead of committed (started at ${begun.origin}): a nested transaction was still ` +
          'open, or had failed to end; await every nested transaction, one after another',
      );
    }
    return result;
  };
}

const serializers = new WeakMap<DataSource, TransactionSerializer>();

function toWaitError(reason: string): QueueUnavailableError {
  return new QueueUnavailableError(`the transaction did not begin: ${reason}`);
}

function formatMs(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}

/** Without a serializer, transactions of the application share one query runner, and one can end another. */
export const OVERLAP_HINT =
  '; two transactions may have overlapped on the one connection of SQLite: run them one after another, or remove sqlite.serializeTransactions: false';
