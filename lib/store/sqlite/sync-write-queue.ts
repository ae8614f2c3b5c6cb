import type { ScheduledWake } from '../../core/clock.js';
import { EventLoopBudget } from '../runtime/event-loop-budget.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlScript } from '../runtime/sql-runner.js';
import { BEGIN, COMMIT, ROLLBACK } from './session.sqlite.js';
import type { BetterSqliteRunner } from './better-sqlite-runner.js';
import { LockWait, PAUSE_MIN_MS, StatementSequence } from './write-queue.js';
import type { WriteQueue, WriteQueueOptions } from './write-queue.js';

interface SyncWriteQueueOptions extends WriteQueueOptions {
  /** Runs statements on the queue's own connection. */
  readonly runner: BetterSqliteRunner;
}

interface WaitingWrite {
  /** Runs the write within this tick. Returns `false` when another connection holds the lock. */
  readonly attempt: () => boolean;
  /** Ends the write without the lock, which was held for too long. */
  readonly expire: () => void;
  readonly sinceMs: number;
}

/** The queue yields to timers and sockets after this much work. */
const BUDGET_MS = 5;

/**
 * Writes with better-sqlite3, a synchronous driver.
 *
 * Each write is a single statement, or `BEGIN IMMEDIATE … COMMIT`, within one tick. No code of the application runs while
 * the queue holds the lock, so the application never waits for the lock in this event loop. The queue waits outside the
 * database while another process holds the lock or the application has a transaction open.
 *
 * It waits for read transactions of the application too: a commit of the queue would fail their first write with
 * SQLITE_BUSY_SNAPSHOT.
 */
export class SyncWriteQueue implements WriteQueue {
  private readonly waiting: WaitingWrite[] = [];
  private retry: ScheduledWake | undefined;
  private readonly lockWait: LockWait;
  /** The driver returns within the tick, so a backlog would drain in one chain of microtasks. */
  private readonly budget: EventLoopBudget;

  constructor(private readonly options: SyncWriteQueueOptions) {
    this.lockWait = new LockWait(options);
    this.budget = new EventLoopBudget(options.clock, BUDGET_MS, () => this.retryNow());
  }

  run<T>(script: () => SqlScript<T>, sinceMs?: number): Promise<T> {
    let sequence: StatementSequence<T> | undefined;
    const work = (): T => {
      sequence ??= new StatementSequence(script());
      for (let step = sequence.next; step; step = sequence.next) {
        try {
          const rows = this.options.runner.query(step.sql, step.params);
          // A process that takes the lock after this statement starts a new wait.
          this.lockWait.onWritten();
          sequence.advance(rows);
        } catch (error) {
          if (isBusy(error)) {
            throw error;
          }
          sequence.skip(error as Error);
        }
      }
      return sequence.value;
    };
    return this.add(work, sinceMs, (error) => {
      if (!sequence) {
        throw error;
      }
      sequence.skip(error);
      return work();
    });
  }

  transact<T>(script: () => SqlScript<T>, sinceMs?: number, isRelaxed = false): Promise<T> {
    return this.add(() => (isRelaxed ? this.runRelaxed(script) : this.runInTransaction(script)), sinceMs);
  }

  retryNow(): undefined {
    if (this.waiting.length > 0) {
      this.flush();
    }
  }

  /** A write ends within its tick, so no caller can find one running. */
  idle(): undefined {
    return undefined;
  }

  /**
   * @param work called again while another connection holds the lock.
   * @param onTimeout returns the result although the lock was held for too long. By default it throws the error.
   */
  private add<T>(
    work: () => T,
    sinceMs = this.options.clock.now(),
    onTimeout: (error: Error) => T = throwError,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): boolean => {
        try {
          resolve(work());
          return true;
        } catch (error) {
          if (isBusy(error)) {
            return false;
          }
          reject(toError(error));
          return true;
        }
      };
      const expire = (): void => {
        try {
          resolve(onTimeout(this.lockWait.toError()));
        } catch (error) {
          reject(toError(error));
        }
      };
      this.waiting.push({ attempt, expire, sinceMs });
      if (!this.retry) {
        this.flush();
      }
    });
  }

  /**
   * Runs waiting writes until one is blocked or the budget is spent, and schedules the rest.
   *
   * The retry interval is the shortest one: SQLite has no queue for its lock, and a busy writer leaves little time between
   * two transactions. It costs a few hundredths of a core while it lasts.
   */
  private flush(): void {
    this.retry?.cancel();
    this.retry = undefined;
    while (this.waiting.length > 0 && this.budget.hasTime()) {
      const isByApp = this.isAppInTransaction();
      if (isByApp || !this.waiting[0]!.attempt()) {
        this.lockWait.onBlocked(isByApp);
        this.expireLate();
        break;
      }
      this.waiting.shift();
      this.lockWait.onWritten();
    }
    if (this.waiting.length > 0) {
      this.retry = this.options.clock.schedule(PAUSE_MIN_MS, () => this.flush());
    }
  }

  /** The first write may be younger than others: its call has not waited for a batch. */
  private expireLate(): void {
    const late = this.waiting.filter(({ sinceMs }) => this.lockWait.isTooLong(sinceMs));
    for (const write of late) {
      this.waiting.splice(this.waiting.indexOf(write), 1);
      write.expire();
    }
  }

  private isAppInTransaction(): boolean {
    return this.options.runner.inTransaction || this.options.isAppInTransaction();
  }

  private runRelaxed<T>(script: () => SqlScript<T>): T {
    const { runner, relaxed } = this.options;
    if (!relaxed) {
      return this.runInTransaction(script);
    }
    runner.query(relaxed.before, []);
    try {
      return this.runInTransaction(script);
    } finally {
      runner.query(relaxed.after, []);
    }
  }

  private runInTransaction<T>(script: () => SqlScript<T>): T {
    const { runner } = this.options;
    runner.query(BEGIN, []);
    try {
      const value = runner.run(script());
      runner.query(COMMIT, []);
      return value;
    } catch (error) {
      if (runner.inTransaction) {
        runner.query(ROLLBACK, []);
      }
      throw error;
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof SqlError && error.kind === 'busy';
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function throwError(error: Error): never {
  throw error;
}
