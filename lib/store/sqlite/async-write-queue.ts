import { SqlError } from '../runtime/sql-error.js';
import type { SqlRow, SqlRunner, SqlScript, SqlStatement } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { BEGIN, COMMIT, ROLLBACK } from './session.sqlite.js';
import { LockWait, PAUSE_MAX_MS, PAUSE_MIN_MS, retryWhileLocked, StatementSequence } from './write-queue.js';
import type { WriteQueue, WriteQueueOptions } from './write-queue.js';

interface AsyncWriteQueueOptions extends WriteQueueOptions {
  /** Runs statements on the queue's own connection. */
  readonly runner: SqlRunner;
}

/**
 * Writes with sqlite3, an asynchronous driver.
 *
 * Each statement is a transaction of its own, so the queue holds the lock only while one thread works for it. A lock held
 * from one statement to the next can deadlock: statements of the application that wait for it fill the thread pool, and
 * the queue's `COMMIT` finds no thread (docs/adr/0002-sqlite-write-queues.md).
 *
 * The queue waits for transactions of the application, and the application's next transaction begins after `idle()`. A
 * commit of the queue would fail the first write of a read transaction with SQLITE_BUSY_SNAPSHOT.
 */
export class AsyncWriteQueue implements WriteQueue {
  private last: Promise<unknown> = Promise.resolve();
  private running: Promise<void> | undefined;
  /** The pause of a blocked write. */
  private pausing: { readonly ended: Promise<void>; readonly end: () => void } | undefined;
  private readonly lockWait: LockWait;

  constructor(private readonly options: AsyncWriteQueueOptions) {
    this.lockWait = new LockWait(options);
  }

  run<T>(script: () => SqlScript<T>, sinceMs = this.options.clock.now()): Promise<T> {
    return this.add(() => this.runSequence(new StatementSequence(script()), sinceMs));
  }

  /** Only for the tables at the start: it holds the lock over several statements. */
  transact<T>(script: () => SqlScript<T>, sinceMs = this.options.clock.now()): Promise<T> {
    return this.add(async () => {
      const { runner } = this.options;
      await this.write({ sql: BEGIN, params: [] }, sinceMs);
      try {
        const value = await runScript(runner, script());
        await runner.query(COMMIT, []);
        return value;
      } catch (error) {
        // The first error is the cause; a failed ROLLBACK adds nothing.
        await runner.query(ROLLBACK, []).catch(() => undefined);
        throw error;
      }
    });
  }

  retryNow(): Promise<void> | undefined {
    this.pausing?.end();
    // The write continues first: it has waited for the end of the pause before this does.
    return this.pausing?.ended.then(() => this.running);
  }

  idle(): Promise<void> | undefined {
    return this.running;
  }

  private add<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(work);
    this.last = done.catch(() => undefined);
    return done;
  }

  private async runSequence<T>(sequence: StatementSequence<T>, sinceMs: number): Promise<T> {
    for (let step = sequence.next; step; step = sequence.next) {
      try {
        sequence.advance(await (step.isRead ? this.read(step) : this.write(step, sinceMs)));
      } catch (error) {
        sequence.skip(error as Error);
      }
    }
    return sequence.value;
  }

  /** A read does not wait for a transaction that began after the last write of its script. */
  private read({ sql, params }: SqlStatement): Promise<readonly SqlRow[]> {
    const { runner, clock, lockTimeoutMs } = this.options;
    return retryWhileLocked(() => runner.query(sql, params), clock, lockTimeoutMs);
  }

  /** Runs a statement that needs the lock. Retries with growing pauses while another connection holds it. */
  private async write(statement: SqlStatement, sinceMs: number): Promise<readonly SqlRow[]> {
    for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
      const isByApp = this.options.isAppInTransaction();
      const rows = isByApp ? undefined : await this.attempt(statement);
      if (rows) {
        this.lockWait.onWritten();
        return rows;
      }
      this.lockWait.onBlocked(isByApp);
      if (this.lockWait.isTooLong(sinceMs)) {
        throw this.lockWait.toError();
      }
      await this.pause(pauseMs);
      this.pausing = undefined;
    }
  }

  /** Returns `undefined` when another connection holds the lock. */
  private async attempt({ sql, params }: SqlStatement): Promise<readonly SqlRow[] | undefined> {
    const result = this.options.runner.query(sql, params);
    this.running = result.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await result;
    } catch (error) {
      if (error instanceof SqlError && error.kind === 'busy') {
        return undefined;
      }
      throw error;
    } finally {
      this.running = undefined;
    }
  }

  private pause(pauseMs: number): Promise<void> {
    let end!: () => void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const timer = this.options.clock.schedule(pauseMs, end);
    this.pausing = {
      ended,
      end: () => {
        timer.cancel();
        end();
      },
    };
    return ended;
  }
}
