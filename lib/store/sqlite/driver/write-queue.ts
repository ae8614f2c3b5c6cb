import type { Clock } from '../../../core/clock.js';
import type { SqlScript } from '../../sql-runner.js';

/** The queue's writes to a SQLite database, one after another: what a driver allows decides how. */
export interface WriteQueue {
  /**
   * Runs a script after those asked for before. Each statement is a transaction of its own: inside an open transaction SQLite
   * copies each page that a statement for many rows changes, a tenth of what such a statement costs. Others may write between
   * two statements; while another connection has the lock then, the script keeps its place.
   *
   * @throws QueueUnavailableError when the lock does not come within `lockTimeout`; uncertain once a part is written.
   */
  run<T>(script: () => SqlScript<T>): Promise<T>;
  /** The same for a script whose statements stand together, all or nothing. */
  transact<T>(script: () => SqlScript<T>): Promise<T>;
  /** The lock may be free now: what waits is tried within this tick, before anybody else takes it again. */
  poke(): void;
  /** Resolves when the write that is under way has ended; `undefined` when there is none. */
  whenStill(): Promise<void> | undefined;
}

export interface WriteLaneOptions {
  /** Whether the application, in this process, has a transaction open. */
  readonly isAppInTransaction: () => boolean;
  readonly clock: Clock;
  readonly lockTimeoutMs: number;
}
