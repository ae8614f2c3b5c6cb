import type { Clock } from '../../core/clock.js';
import { QueueUnavailableError } from '../../core/errors.js';
import type { BetterSqliteRunner, SqlScript } from '../sql-runner.js';
import { SqlError } from '../sql-runner.js';
import { BEGIN, COMMIT, ROLLBACK } from './statements.js';

const PAUSE_MIN_MS = 1;
const PAUSE_MAX_MS = 25;

/**
 * The queue's writes to a SQLite file, one after another.
 *
 * Each is a `BEGIN IMMEDIATE … COMMIT` within one tick: nothing of the application runs while the lock is held here, so
 * the application can never wait for it in the same event loop. When somebody else holds the lock, or has a transaction
 * open on this very connection (a database in memory is shared with the application), the lane waits outside the
 * database, with growing pauses, and the event loop goes on.
 */
export class WriteLane {
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly runner: BetterSqliteRunner,
    private readonly clock: Clock,
    private readonly lockTimeoutMs: number,
  ) {}

  /**
   * Runs a script as one write transaction, after those asked for before.
   *
   * @throws QueueUnavailableError when the lock does not come within `lockTimeout`.
   */
  run<T>(script: () => SqlScript<T>): Promise<T> {
    return this.enqueue(() => this.transact(script));
  }

  /** Runs a statement that must stand alone, such as a change of the journal mode. */
  async outsideTransaction(statement: string): Promise<void> {
    await this.enqueue(() => this.runner.query(statement, []));
  }

  private enqueue<T>(work: () => T): Promise<T> {
    const result = this.last.then(() => this.acquire(work));
    this.last = result.catch(() => undefined);
    return result;
  }

  private async acquire<T>(work: () => T): Promise<T> {
    const since = this.clock.now();
    for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
      const attempt = this.attempt(work);
      if (attempt !== 'locked') {
        return attempt.value;
      }
      if (this.clock.now() - since >= this.lockTimeoutMs) {
        throw new QueueUnavailableError(
          `the write lock of the database did not come within ${this.lockTimeoutMs} ms; ` +
            'is this awaited inside an open transaction? Then use enqueueTx with its manager',
        );
      }
      await this.pause(pauseMs);
    }
  }

  /** One try, within this tick. */
  private attempt<T>(work: () => T): { value: T } | 'locked' {
    if (this.runner.inTransaction) {
      return 'locked';
    }
    try {
      return { value: work() };
    } catch (error) {
      if (error instanceof SqlError && error.kind === 'busy') {
        return 'locked';
      }
      throw error;
    }
  }

  private transact<T>(script: () => SqlScript<T>): T {
    this.runner.query(BEGIN, []);
    try {
      const value = this.runner.run(script());
      this.runner.query(COMMIT, []);
      return value;
    } catch (error) {
      if (this.runner.inTransaction) {
        this.runner.query(ROLLBACK, []);
      }
      throw error;
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(ms, resolve));
  }
}
