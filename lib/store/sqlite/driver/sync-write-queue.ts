import type { ScheduledWake } from '../../../core/clock.js';
import { SqlError } from '../../sql-error.js';
import type { SqlScript } from '../../sql-runner.js';
import { EventLoopBudget } from '../../event-loop-budget.js';
import type { BetterSqliteRunner } from './better-sqlite-runner.js';
import { lockTimeout } from './lock-wait.js';
import { StatementSequence } from './statement-sequence.js';
import { BEGIN, COMMIT, ROLLBACK } from '../sql/session.js';
import type { WriteQueue, WriteLaneOptions } from './write-queue.js';

export interface TickLaneOptions extends WriteLaneOptions {
  /** The queue's own connection. */
  readonly runner: BetterSqliteRunner;
}

interface Waiting {
  /** Does the work within this tick; answers `false` when the lock is somebody else's. */
  readonly attempt: () => boolean;
  readonly giveUp: () => void;
  readonly sinceMs: number;
}

/**
 * A lock that somebody else has is asked for this often: SQLite gives it to whoever comes first, and between two transactions of
 * a busy writer there is little time. Costs a few hundredths of a core while it lasts.
 */
const PAUSE_MS = 1;
/** After this much work, timers and sockets get their turn. */
const TURN_MAX_MS = 5;

/**
 * The write lane of a synchronous driver.
 *
 * Each write is a statement that stands alone, or a `BEGIN IMMEDIATE … COMMIT`, within one tick: nothing of the application
 * runs while the lock is held here, so the application can never wait for it in the same event loop. When another process
 * holds the lock, or the application has a transaction open, the lane waits outside the database, and the event loop goes on.
 *
 * It also waits for transactions of the application that have only read so far: a commit of ours would make their first
 * write fail (SQLITE_BUSY_SNAPSHOT), which no application with one connection has ever seen.
 */
export class SyncWriteQueue implements WriteQueue {
  private readonly waiting: Waiting[] = [];
  private retry: ScheduledWake | undefined;
  /** Since when somebody else has kept the head of the lane waiting. */
  private blockedSinceMs: number | undefined;
  /** The driver answers within the tick: a backlog would drain in one chain of microtasks. */
  private readonly turn: EventLoopBudget;

  constructor(private readonly options: TickLaneOptions) {
    this.turn = new EventLoopBudget(options.clock, TURN_MAX_MS, () => this.poke());
  }

  run<T>(script: () => SqlScript<T>): Promise<T> {
    let steps: StatementSequence<T> | undefined;
    const goOn = (): T => {
      steps ??= new StatementSequence(script());
      for (let step = steps.next; step; step = steps.next) {
        const rows = this.options.runner.query(step.sql, step.params);
        // Whoever takes the lock after this one has not kept the lane waiting before.
        this.blockedSinceMs = undefined;
        steps.goOn(rows);
      }
      return steps.value;
    };
    return this.add(goOn, (error) => (steps ? steps.failure(error) : error));
  }

  transact<T>(script: () => SqlScript<T>): Promise<T> {
    return this.add(() => this.together(script));
  }

  poke(): void {
    if (this.waiting.length > 0) {
      this.flush();
    }
  }

  /** Nobody can ask while a write is under way. */
  whenStill(): undefined {
    return undefined;
  }

  /**
   * @param work is asked again when the lock is somebody else's.
   * @param failure what is told of an error.
   */
  private add<T>(work: () => T, failure: (error: Error) => Error = (error) => error): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): boolean => {
        try {
          resolve(work());
          return true;
        } catch (error) {
          if (error instanceof SqlError && error.kind === 'busy') {
            return false;
          }
          reject(failure(error instanceof Error ? error : new Error(String(error))));
          return true;
        }
      };
      this.waiting.push({
        attempt,
        giveUp: () => reject(failure(lockTimeout(this.options.lockTimeoutMs))),
        sinceMs: this.options.clock.now(),
      });
      if (!this.retry) {
        this.flush();
      }
    });
  }

  /** Does all that waits, or what is possible, and comes back for the rest after a pause. */
  private flush(): void {
    this.retry?.cancel();
    this.retry = undefined;
    while (this.waiting.length > 0 && this.turn.hasTime()) {
      if (this.isBlocked() || !this.waiting[0]!.attempt()) {
        this.giveUpLate();
        break;
      }
      this.waiting.shift();
      this.blockedSinceMs = undefined;
    }
    if (this.waiting.length > 0) {
      this.retry = this.options.clock.schedule(PAUSE_MS, () => this.flush());
    }
  }

  /** Only the wait for others counts against `lockTimeout`, not the queue's own backlog. */
  private giveUpLate(): void {
    const nowMs = this.options.clock.now();
    this.blockedSinceMs ??= nowMs;
    const deadlineMs = nowMs - this.options.lockTimeoutMs;
    while (this.waiting.length > 0 && Math.max(this.waiting[0]!.sinceMs, this.blockedSinceMs) <= deadlineMs) {
      this.waiting.shift()!.giveUp();
    }
  }

  private isBlocked(): boolean {
    return this.options.runner.inTransaction || this.options.isAppInTransaction();
  }

  private together<T>(script: () => SqlScript<T>): T {
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
