import type { Clock } from '../../core/clock.js';
import {
  DatabaseDeniedError,
  InvalidOptionsError,
  JobsError,
  QueueUnavailableError,
  RowLockedError,
  StatementCancelledError,
} from '../../core/errors.js';
import { toDeniedText, QUEUE_CLOSED, SqlError, toSqlError } from '../runtime/sql-error.js';

/** How often a statement or transaction is tried when PostgreSQL rolls it back to resolve a conflict. A failed try stores nothing. */
const BUSY_TRIES_MAX = 5;

/** Repeats work after a deadlock or a serialization conflict. @throws what {@link toJobsError} returns for other errors. */
export async function retryUntilDone<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      // An error from inside a transaction of the queue is translated already.
      const failure = toSqlError(error instanceof QueueUnavailableError ? (error.cause ?? error) : error);
      if (failure.kind !== 'busy' || tries === BUSY_TRIES_MAX) {
        throw toJobsError(error);
      }
    }
  }
}

const LOCKED_TRIES_MAX = 300;
/** Long enough for queued statements of other users of the table. */
const LOCKED_RETRY_MS = 1_500;

/**
 * Repeats a migration while another process migrates, or an open transaction has read the table.
 *
 * @throws RowLockedError after minutes.
 */
export async function retryUntilUnlocked<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RowLockedError) || tries === LOCKED_TRIES_MAX) {
        throw error;
      }
    }
    await new Promise<void>((resolve) => clock.schedule(LOCKED_RETRY_MS, resolve));
  }
}

/** `in_failed_sql_transaction`: an earlier statement of the transaction has failed. */
const TRANSACTION_HAS_FAILED = '25P02';

/** `read_only_sql_transaction`: the transaction or the server is read-only. */
const IS_READ_ONLY = '25006';

/** Converts an error in the caller's transaction. A conflict stays as the driver threw it, so that the caller can retry. */
export function toTransactionError(error: unknown): unknown {
  if (error instanceof SqlError && error.kind === 'busy') {
    return error.thrown;
  }
  const code = error instanceof SqlError && error.driverCode;
  if (code === IS_READ_ONLY) {
    return new QueueUnavailableError(
      "the manager's transaction is read-only: begin it READ WRITE, on the primary server",
      {
        cause: error,
      },
    );
  }
  if (code === TRANSACTION_HAS_FAILED) {
    return new InvalidOptionsError(
      'manager',
      'an earlier statement of its transaction has failed; roll the transaction back, as a whole or to a savepoint',
      { cause: error },
    );
  }
  return toJobsError(error);
}

/** Converts any error to the one that the caller of the store receives. */
export function toJobsError(error: unknown): unknown {
  if (error instanceof JobsError && !(error instanceof SqlError)) {
    return error;
  }
  const failure = toSqlError(error);
  switch (failure.kind) {
    case 'unavailable':
      return new QueueUnavailableError(`the database does not reply: ${failure.message}`, {
        cause: failure.cause,
        isUncertain: true,
      });
    case 'cancelled':
      return new StatementCancelledError(
        `PostgreSQL cancelled a statement; the table may be locked, or a trigger slow: ${failure.message}`,
        // This statement stored nothing, but an earlier one of the same call may have.
        { cause: failure, isUncertain: true },
      );
    case 'closed':
      return new QueueUnavailableError(QUEUE_CLOSED, { cause: failure });
    case 'locked':
      return new RowLockedError(
        'another transaction, or a statement of another process, holds a lock that this call needs; if it is your transaction and awaits ' +
          `this call, use enqueueTx, or make the call after it has ended: ${failure.message}`,
        { cause: failure },
      );
    case 'busy':
      return new QueueUnavailableError(
        `a conflict with another transaction; use READ COMMITTED for a transaction that completes a job: ${failure.message}`,
        { cause: failure },
      );
    case 'denied':
      return new DatabaseDeniedError(toDeniedText(failure), { cause: failure });
    default:
      return failure;
  }
}
