import { SqlError } from '../../sql-error.js';
import type { SqlRow, SqlRunner, SqlScript, SqlStatement } from '../../sql-runner.js';
import { runScript } from '../../sql-runner.js';
import { lockTimeout, PAUSE_MAX_MS, PAUSE_MIN_MS, untilFree } from './lock-wait.js';
import { StatementSequence } from './statement-sequence.js';
import { BEGIN, COMMIT, ROLLBACK } from '../sql/session.js';
import type { WriteQueue, WriteLaneOptions } from './write-queue.js';

export interface StepLaneOptions extends WriteLaneOptions {
  /** The queue's own connection. */
  readonly runner: SqlRunner;
}

/**
 * The write lane of an asynchronous driver: a script is driven step by step, and each statement is a transaction of its
 * own. The lock is thus held only while a thread works for the lane. Held from one step to the next, it would be a trap:
 * statements of the application that wait for it fill the thread pool, and the `COMMIT` that they wait for finds no thread.
 *
 * It waits for transactions of the application, also for those that have only read so far: a commit of ours would make
 * their first write fail (SQLITE_BUSY_SNAPSHOT). For the same reason they begin after `whenStill`.
 */
export class AsyncWriteQueue implements WriteQueue {
  private last: Promise<unknown> = Promise.resolve();
  private underWay: Promise<void> | undefined;
  private wake: () => void = () => undefined;
  /** Since when somebody else has kept the head of the lane waiting. */
  private blockedSinceMs: number | undefined;

  constructor(private readonly options: StepLaneOptions) {}

  run<T>(script: () => SqlScript<T>): Promise<T> {
    return this.add((sinceMs) => this.drive(new StatementSequence(script()), sinceMs));
  }

  /** Used for the tables at the start only, since it holds the lock over several steps. */
  transact<T>(script: () => SqlScript<T>): Promise<T> {
    return this.add(async (sinceMs) => {
      const { runner } = this.options;
      await this.writeOf({ sql: BEGIN, params: [] }, sinceMs);
      try {
        const value = await runScript(runner, script());
        await runner.query(COMMIT, []);
        return value;
      } catch (error) {
        await runner.query(ROLLBACK, []).catch(() => undefined);
        throw error;
      }
    });
  }

  poke(): void {
    this.wake();
  }

  whenStill(): Promise<void> | undefined {
    return this.underWay;
  }

  private add<T>(work: (sinceMs: number) => Promise<T>): Promise<T> {
    const sinceMs = this.options.clock.now();
    const done = this.last.then(() => work(sinceMs));
    this.last = done.catch(() => undefined);
    return done;
  }

  private async drive<T>(steps: StatementSequence<T>, sinceMs: number): Promise<T> {
    try {
      for (let step = steps.next; step; step = steps.next) {
        steps.goOn(await (step.isRead ? this.look(step) : this.writeOf(step, sinceMs)));
      }
      return steps.value;
    } catch (error) {
      throw steps.failure(error as Error);
    }
  }

  /** What only looks must not wait for a transaction that began after the write. */
  private look({ sql, params }: SqlStatement): Promise<readonly SqlRow[]> {
    const { runner, clock, lockTimeoutMs } = this.options;
    return untilFree(() => runner.query(sql, params), clock, lockTimeoutMs);
  }

  /** A statement that needs the lock, sent again with growing pauses while it is somebody else's. */
  private async writeOf(statement: SqlStatement, sinceMs: number): Promise<readonly SqlRow[]> {
    for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
      const rows = this.options.isAppInTransaction() ? undefined : await this.attempt(statement);
      if (rows) {
        this.blockedSinceMs = undefined;
        return rows;
      }
      this.giveUpLate(sinceMs);
      await this.pause(pauseMs);
    }
  }

  /** `undefined`: the lock is somebody else's. */
  private async attempt({ sql, params }: SqlStatement): Promise<readonly SqlRow[] | undefined> {
    const answer = this.options.runner.query(sql, params);
    this.underWay = answer.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await answer;
    } catch (error) {
      if (error instanceof SqlError && error.kind === 'busy') {
        return undefined;
      }
      throw error;
    } finally {
      this.underWay = undefined;
    }
  }

  /** Only the wait for others counts against `lockTimeout`, not the queue's own backlog. */
  private giveUpLate(sinceMs: number): void {
    const { clock, lockTimeoutMs } = this.options;
    const nowMs = clock.now();
    this.blockedSinceMs ??= nowMs;
    if (nowMs - Math.max(sinceMs, this.blockedSinceMs) >= lockTimeoutMs) {
      throw lockTimeout(lockTimeoutMs);
    }
  }

  private pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.options.clock.schedule(pauseMs, resolve);
      this.wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
