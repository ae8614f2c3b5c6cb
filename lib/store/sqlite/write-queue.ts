import type { Clock } from '../../core/clock.js';
import { QueueUnavailableError, toUncertain, WriteLockError } from '../../core/errors.js';
import { SqlError, toSqlError } from '../runtime/sql-error.js';
import type { SqlRow, SqlScript, SqlStatement } from '../runtime/sql-runner.js';
import { toUnavailableError } from './sqlite-errors.js';

/**
 * Runs the writes of the queue one after another, without blocking the application's own writes.
 * The driver decides how: see `SyncWriteQueue` for better-sqlite3 and `AsyncWriteQueue` for sqlite3.
 */
export interface WriteQueue {
  /**
   * Runs a script after all scripts that were added before it. Each statement is a transaction of its own.
   *
   * Inside an open transaction SQLite copies each page that a statement for many rows changes, so that it can undo that
   * statement alone. The copies cost a tenth of such a statement. Other processes may write between two statements.
   *
   * @param sinceMs when the call of the application began; by default, now. Its wait for the lock counts from then on.
   * @throws WriteLockError when another connection holds the lock for longer than `lockTimeout`; an uncertain QueueUnavailableError when
   *   an earlier statement of the script has written.
   */
  run<T>(script: () => SqlScript<T>, sinceMs?: number): Promise<T>;
  /** Runs a script in one transaction: all of its statements or none. Slower than `run`. `isRelaxed`: the commit does not wait for the disk. */
  transact<T>(script: () => SqlScript<T>, sinceMs?: number, isRelaxed?: boolean): Promise<T>;
  /**
   * Retries a blocked write within this tick. Called when a transaction of the application has ended.
   *
   * @returns a promise of the end of the retry, if it takes longer than this tick.
   */
  retryNow(): Promise<void> | undefined;
  /** Resolves when the statement that is running has ended; `undefined` when none is running. */
  idle(): Promise<void> | undefined;
}

export interface WriteQueueOptions {
  /** Whether the application has a transaction open in this process. */
  readonly isAppInTransaction: () => boolean;
  /** Describes that transaction: `for 5.2 s (started at …)`. */
  readonly describeTransaction?: () => string | undefined;
  /** Runs before and after a transaction whose commit does not wait for the disk; absent where commits do not. */
  readonly relaxed?: { readonly before: string; readonly after: string } | undefined;
  readonly clock: Clock;
  readonly lockTimeoutMs: number;
}

/** Pauses between two attempts to get the lock. */
export const PAUSE_MIN_MS = 1;
export const PAUSE_MAX_MS = 25;

/**
 * Retries reads while the file is locked. WAL mode locks readers out only while another process changes the journal mode,
 * recovers the log after a crash, or closes the file as the last one.
 *
 * @throws QueueUnavailableError after `timeoutMs`.
 */
export async function retryWhileLocked<T>(work: () => T | Promise<T>, clock: Clock, timeoutMs: number): Promise<T> {
  const sinceMs = clock.now();
  for (let pauseMs = PAUSE_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    try {
      return await work();
    } catch (error) {
      if (toSqlError(error).kind !== 'busy') {
        throw error;
      }
      if (clock.now() - sinceMs >= timeoutMs) {
        throw new WriteLockError(`${OTHERS} has held the SQLite lock for ${timeoutMs} ms`, timeoutMs);
      }
    }
    await new Promise<void>((resolve) => clock.schedule(pauseMs, resolve));
  }
}

const OTHERS = 'another process, or another connection of this one,';

/** The time during which the first write of a queue has waited for the lock, and who held it. */
export class LockWait {
  private sinceMs: number | undefined;
  private isByApp = false;
  private isByOther = false;

  constructor(private readonly options: WriteQueueOptions) {}

  /** Records that the write could not have the lock at this moment. @param isByApp whether the application has a transaction open. */
  onBlocked(isByApp: boolean): void {
    this.sinceMs ??= this.options.clock.now();
    this.isByApp ||= isByApp;
    this.isByOther ||= !isByApp;
  }

  /** Records that the write has had the lock. */
  onWritten(): void {
    this.sinceMs = undefined;
    this.isByApp = false;
    this.isByOther = false;
  }

  /** Whether a call has waited for too long. Only the wait for other connections counts, not the queue's own backlog. */
  isTooLong(callSinceMs: number): boolean {
    const { clock, lockTimeoutMs } = this.options;
    return this.sinceMs !== undefined && clock.now() - Math.max(callSinceMs, this.sinceMs) >= lockTimeoutMs;
  }

  /** Names a transaction of this process only if one was open at every attempt. */
  toError(): WriteLockError {
    const { lockTimeoutMs, describeTransaction } = this.options;
    const advice = 'inside a transaction call enqueueTx with its manager, or enqueue after it has ended';
    const time = `for ${lockTimeoutMs} ms`;
    const text = !this.isByApp
      ? `${OTHERS} has held the SQLite lock ${time}`
      : this.isByOther
        ? `transactions of this process and other connections have held the SQLite lock in turn ${time}; keep the transactions short`
        : `a transaction of this process has held the SQLite lock ${describeTransaction?.() ?? time}; ${advice}`;
    return new WriteLockError(text, lockTimeoutMs);
  }
}

/** A running script whose statements are transactions of their own. */
export class StatementSequence<T> {
  private step: IteratorResult<SqlStatement, T>;
  private hasWritten = false;

  constructor(private readonly script: SqlScript<T>) {
    this.step = script.next();
  }

  /** The statement to run next; `undefined` at the end. */
  get next(): SqlStatement | undefined {
    return this.step.done ? undefined : this.step.value;
  }

  /** The script's result, once `next` is `undefined`. */
  get value(): T {
    return this.step.value as T;
  }

  /** Passes the rows of `next` to the script. */
  advance(rows: readonly SqlRow[]): void {
    this.hasWritten ||= !this.next?.isRead;
    this.step = this.script.next(rows);
  }

  /**
   * Skips `next` after its error when it is optional.
   *
   * @throws the error otherwise. It is uncertain when an earlier statement has written.
   */
  skip(error: Error): void {
    if (!this.next?.isOptional) {
      throw this.hasWritten ? toUncertainError(error) : error;
    }
    this.step = this.script.next([]);
  }
}

function toUncertainError(error: Error): Error {
  if (error instanceof SqlError) {
    return toUnavailableError(error, true) ?? error;
  }
  return error instanceof QueueUnavailableError ? toUncertain(error) : error;
}
