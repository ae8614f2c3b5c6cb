import type { EntityManager } from 'typeorm';
import { DatabaseRefusedError } from '../core/errors.js';
import { toSqlError } from '../store/runtime/sql-error.js';

/** The part of TypeORM's SQLite drivers that the queue uses. */
export interface SqliteDriver {
  /** `sqlite3` has no `inTransaction`. */
  readonly databaseConnection?: { readonly inTransaction?: boolean };
  createQueryRunner(): SerializedRunner;
  disconnect(): Promise<void>;
}

/** The part of TypeORM's SQLite query runners that the queue uses. */
interface SqliteRunner {
  readonly driver: SqliteDriver;
  readonly broadcaster: { broadcast(event: string): Promise<void> };
  isReleased: boolean;
  isTransactionActive: boolean;
  transactionDepth: number;
  /** Prepared statements, with better-sqlite3 only. */
  stmtCache?: Map<string, unknown>;
  startTransaction(isolationLevel?: unknown): Promise<void>;
  commitTransaction(): Promise<void>;
  rollbackTransaction(): Promise<void>;
  query(sql: string, ...rest: unknown[]): Promise<unknown>;
  release(): Promise<void>;
  [Symbol.asyncDispose]?(): Promise<void>;
}

/** A query runner whose transactions wait for their turn. */
export interface SerializedRunner extends SqliteRunner {
  manager: EntityManager;
  transaction: SerializedTransaction | undefined;
  /** Number of callers of `createQueryRunner` that have not released it. Nested code shares the runner of its transaction. */
  references: number;
  /** Rolls back an open transaction. The runner rejects all later statements. */
  abandon(reason: string): Promise<void>;
}

/** An outermost transaction of the application. */
export class SerializedTransaction {
  /** The runner in which it is open. */
  runner: SerializedRunner | undefined;
  /** BEGIN has succeeded. */
  hasBegun = false;
  /** COMMIT or ROLLBACK is under way. */
  isEnding = false;
  /** `undefined` until it has ended. */
  isCommitted: boolean | undefined;

  constructor(
    private readonly startedAt: string | { readonly stack?: string },
    public sinceMs: number,
  ) {}

  /** The line of the application that started it. */
  get origin(): string {
    return typeof this.startedAt === 'string' ? this.startedAt : findOwnFrame(this.startedAt.stack ?? '');
  }
}

/** The part of `TransactionSerializer` that a runner uses. */
interface Turns {
  waitForTurn(driver: SqliteDriver): Promise<SerializedTransaction>;
  end(transaction: SerializedTransaction, isCommitted: boolean): void;
  enter(transaction: SerializedTransaction | undefined): void;
  report(message: string): void;
}

type RunnerClass<T> = new (driver: SqliteDriver) => T;

/** Creates a subclass of TypeORM's query runner for one driver. */
// eslint-disable-next-line max-lines-per-function -- a class whose base is known at run time
export function createRunnerClass(Base: RunnerClass<SqliteRunner>, turns: Turns): RunnerClass<SerializedRunner> {
  return class Runner extends Base implements SerializedRunner {
    transaction: SerializedTransaction | undefined;
    references = 1;
    private currentManager: EntityManager | undefined;
    private depth = 0;
    /** Calls of `startTransaction` in the open transaction, minus those of `commitTransaction` and `rollbackTransaction`. */
    private levels = 0;
    private startingSavepoints: Promise<void>[] = [];
    /** Calls of `commitTransaction` and `rollbackTransaction` that have not ended. */
    private endCalls = 0;
    /** The latest COMMIT or ROLLBACK. */
    private ending: Promise<unknown> | undefined;
    /** `true` after a COMMIT, `false` after a ROLLBACK, until TypeORM has reset its state. */
    private hasCommitted: boolean | undefined;

    get manager(): EntityManager {
      turns.enter(this.transaction);
      return this.currentManager!;
    }

    set manager(manager: EntityManager) {
      this.currentManager = manager;
    }

    override get transactionDepth(): number {
      return this.depth;
    }

    /**
     * TypeORM sets 0 when a transaction has ended, before it calls subscribers, which may begin the next one. A nested transaction
     * that was not awaited may lower it again later.
     */
    override set transactionDepth(depth: number) {
      this.depth = Math.max(depth, 0);
      if (this.depth === 0) {
        this.finish();
      } else if (this.transaction) {
        this.transaction.hasBegun = true;
      }
    }

    override async startTransaction(isolationLevel?: unknown): Promise<void> {
      if (this.transaction?.hasBegun) {
        return this.startSavepoint(isolationLevel);
      }
      const transaction = await turns.waitForTurn(this.driver);
      if (this.references <= 0) {
        turns.end(transaction, false);
        throw new DatabaseRefusedError('the transaction did not begin: its query runner was released while it waited');
      }
      this.reset();
      this.transaction = transaction;
      this.levels = 1;
      transaction.runner = this;
      try {
        await super.startTransaction(isolationLevel);
      } catch (error) {
        if (transaction.hasBegun) {
          // A subscriber has thrown after BEGIN.
          await this.rollBack(transaction);
        }
        turns.end(transaction, false);
        this.reset();
        throw error;
      }
    }

    override commitTransaction(): Promise<void> {
      return this.callEnd(() => super.commitTransaction(), false);
    }

    override rollbackTransaction(): Promise<void> {
      return this.callEnd(() => super.rollbackTransaction(), true);
    }

    override query(sql: string, ...rest: unknown[]): Promise<unknown> {
      const { transaction } = this;
      turns.enter(transaction);
      if (transaction && !transaction.hasBegun && sql === 'BEGIN TRANSACTION') {
        return this.begin(sql, rest);
      }
      if (transaction?.hasBegun && END_STATEMENT.test(sql)) {
        const ended = this.endTransaction(transaction, sql, rest);
        this.ending = ended.catch(() => undefined);
        return ended;
      }
      const isLost = transaction?.hasBegun
        ? this.driver.databaseConnection?.inTransaction === false
        : !transaction && this.depth > 0;
      return isLost ? refuseStatement(sql) : super.query(sql, ...rest);
    }

    override async release(): Promise<void> {
      this.references -= 1;
      if (this.references <= 0) {
        await this.abandon('its query runner was released');
        this.reset();
      }
      return super.release();
    }

    override async [Symbol.asyncDispose](): Promise<void> {
      // Nested code must not commit the transaction around it.
      if (this.references > 1) {
        return this.release();
      }
      // TypeORM commits, whatever savepoints are open.
      this.levels = 1;
      await super[Symbol.asyncDispose]?.();
    }

    async abandon(reason: string): Promise<void> {
      const { transaction } = this;
      await this.ending;
      if (transaction?.hasBegun && this.transaction === transaction) {
        turns.report(`a transaction was rolled back, because ${reason}; it was started at ${transaction.origin}`);
        await this.rollBack(transaction, true);
      }
    }

    /** Rolls back when a subscriber has thrown: TypeORM does not know that the transaction has begun. */
    private async begin(sql: string, rest: unknown[]): Promise<unknown> {
      try {
        return await super.query(sql, ...rest);
      } catch (error) {
        if (!isOfSqlite(error)) {
          await super.query('ROLLBACK').catch(() => undefined);
        }
        throw error;
      }
    }

    private async startSavepoint(isolationLevel: unknown): Promise<void> {
      this.refuseWhileEnding();
      this.levels += 1;
      const started = super.startTransaction(isolationLevel).catch((error: unknown) => {
        this.levels -= 1;
        throw error;
      });
      this.startingSavepoints = [...this.startingSavepoints, started];
      await started.finally(() => {
        this.startingSavepoints = this.startingSavepoints.filter((other) => other !== started);
      });
    }

    /** @param isRollback a rollback ends its level even if it fails, because TypeORM ignores its error. */
    private async callEnd(end: () => Promise<void>, isRollback: boolean): Promise<void> {
      this.refuseWhileEnding();
      this.endCalls += 1;
      let isEnded = isRollback;
      try {
        await end();
        isEnded = true;
      } finally {
        this.levels -= isEnded ? 1 : 0;
        this.endCalls -= 1;
        this.finish();
      }
    }

    /** @throws DatabaseRefusedError while COMMIT or ROLLBACK is under way: the call belongs to a nested transaction. */
    private refuseWhileEnding(): void {
      if (this.transaction?.isEnding) {
        throw new DatabaseRefusedError('the transaction is ending; await every nested transaction inside it');
      }
    }

    /** Begins the next transaction if COMMIT or ROLLBACK has succeeded. */
    private finish(): void {
      const { transaction, hasCommitted } = this;
      if (transaction && hasCommitted !== undefined) {
        this.hasCommitted = undefined;
        this.depth = 0;
        turns.end(transaction, hasCommitted);
      }
    }

    /** Ends the transaction whatever TypeORM's count of savepoints is. */
    private async rollBack(transaction: SerializedTransaction, isAbandoned = false): Promise<void> {
      // From now on nested transactions can neither begin nor end.
      transaction.isEnding = true;
      await Promise.allSettled(this.startingSavepoints);
      // Errors of subscribers, or of a connection that is closed, must not keep the next transaction waiting.
      await this.broadcaster.broadcast('BeforeTransactionRollback').catch(() => undefined);
      await super.query('ROLLBACK').catch(() => undefined);
      this.isReleased ||= isAbandoned;
      turns.end(transaction, false);
      this.reset();
      await this.broadcaster.broadcast('AfterTransactionRollback').catch(() => undefined);
    }

    /** Resets TypeORM's state after a transaction that ended without TypeORM. */
    private reset(): void {
      if (!this.transaction) {
        this.depth = 0;
        this.isTransactionActive = false;
        this.hasCommitted = undefined;
      }
    }

    /** Sends COMMIT or ROLLBACK. A ROLLBACK of a transaction that SQLite has ended succeeds. */
    private async endTransaction(transaction: SerializedTransaction, sql: string, rest: unknown[]): Promise<unknown> {
      this.refuseWhileEnding();
      const isCommit = sql === 'COMMIT';
      transaction.isEnding = true;
      // Otherwise sqlite3 could run the savepoint after it, outside of any transaction.
      await Promise.allSettled(this.startingSavepoints);
      const hasSavepoint = this.levels > 1;
      try {
        if (isCommit && hasSavepoint) {
          throw new DatabaseRefusedError('a nested transaction is still open; await it before the commit');
        }
        const hasEnded = !isCommit && this.driver.databaseConnection?.inTransaction === false;
        const result = hasEnded ? undefined : await super.query(sql, ...rest);
        // Rejects further statements of a nested transaction that is still open.
        this.isReleased ||= hasSavepoint;
        this.markEnded(transaction, isCommit);
        return result;
      } catch (error) {
        if (this.isStillOpen(error, isCommit)) {
          transaction.isEnding = false;
          throw error;
        }
        if (isCommit) {
          turns.end(transaction, false);
          throw error;
        }
        this.markEnded(transaction, false);
        return undefined;
      }
    }

    private markEnded(transaction: SerializedTransaction, isCommitted: boolean): void {
      if (this.endCalls > 0) {
        this.hasCommitted = isCommitted;
      } else {
        // The application has sent the statement itself. TypeORM does not know.
        turns.end(transaction, isCommitted);
      }
    }

    /**
     * Whether the transaction is open after the error. A COMMIT leaves it open when the file is locked or a deferred constraint
     * fails, so that it can be repeated. After any other error of a COMMIT, and any of a ROLLBACK, SQLite has ended it.
     */
    private isStillOpen(error: unknown, isCommit: boolean): boolean {
      const { inTransaction } = this.driver.databaseConnection ?? {};
      return (
        inTransaction ?? (!isOfSqlite(error) || (isCommit && /^SQLITE_(BUSY|CONSTRAINT)/.test(readDriverCode(error))))
      );
    }
  };
}

const END_STATEMENT = /^(COMMIT|ROLLBACK)$/;

/** Whether SQLite has refused the statement. Otherwise a subscriber has thrown, before or after the statement. */
function isOfSqlite(error: unknown): boolean {
  return readDriverCode(error).startsWith('SQLITE_');
}

function readDriverCode(error: unknown): string {
  return String(toSqlError(error).driverCode);
}

/** Rejects a statement of a transaction that has ended. A rollback resolves, because nothing is left to roll back. */
async function refuseStatement(sql: string): Promise<undefined> {
  if (!sql.startsWith('ROLLBACK')) {
    throw new DatabaseRefusedError(
      'SQLite has rolled this transaction back after an error in it, or its COMMIT has failed; roll back and begin a new one',
    );
  }
  return Promise.resolve(undefined);
}

/** Stack frames to capture. Up to ten frames of TypeORM come before the application's own. */
const ORIGIN_FRAMES = 20;

/** Records the stack of the caller, without formatting it. */
export function captureOrigin(): { readonly stack?: string } {
  const limit = Error.stackTraceLimit;
  const origin: { stack?: string } = {};
  try {
    Error.stackTraceLimit = ORIGIN_FRAMES;
    Error.captureStackTrace(origin);
  } finally {
    Error.stackTraceLimit = limit;
  }
  return origin;
}

/** Frames of Node, of packages, of this file's neighbours, and of TypeORM as its source maps show them. */
const FOREIGN_FRAME =
  /node:internal|[\\/]node_modules[\\/]|(transaction-serializer|serialized-runner)\.|<anonymous>\)|\b(?<type>DataSource|EntityManager|Repository|EntityPersistExecutor|RdbmsSchemaBuilder|MigrationExecutor)\.\w+ (\[as \w+\] )?\(.*[\\/]\k<type>\.ts:/;

/** Returns the first frame of the application. */
function findOwnFrame(stack: string): string {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  const own = frames.find((frame) => !FOREIGN_FRAME.test(frame)) ?? frames[0];
  return own?.replace(/^\s+at (async )?/, '') ?? 'an unknown place';
}
