import { DatabaseDeniedError, QueueUnavailableError } from '../../core/errors.js';
import { toDeniedText, QUEUE_CLOSED, SqlError } from '../runtime/sql-error.js';

/** Converts any error to the one that the caller of the store receives. */
export function toJobsError(error: unknown): unknown {
  return error instanceof SqlError ? (toUnavailableError(error) ?? error) : error;
}

/**
 * Converts an error in the caller's transaction. There `busy` can mean that the transaction has read outdated data. Waiting
 * for the lock cannot help then: the caller must roll back.
 */
export function toTransactionError(error: unknown): unknown {
  if (error instanceof SqlError && error.kind === 'busy') {
    return new QueueUnavailableError(
      `another process is writing, or has written since this transaction first read; roll back and retry, or write before reading: ${error.message}`,
      { cause: error },
    );
  }
  return toJobsError(error);
}

/**
 * Converts an error that may pass by itself; `undefined` for other errors.
 *
 * @param isUncertain whether the database may have stored a part of the request.
 */
export function toUnavailableError(
  cause: SqlError,
  isUncertain = mayBeStored(cause),
): QueueUnavailableError | undefined {
  switch (cause.kind) {
    case 'closed':
      return new QueueUnavailableError(QUEUE_CLOSED, { cause, isUncertain });
    case 'unavailable':
    case 'busy':
      return new QueueUnavailableError(`the database cannot be used: ${cause.message}`, {
        cause: cause.cause,
        isUncertain,
      });
    case 'denied':
      return new DatabaseDeniedError(toDeniedText(cause), { cause, isUncertain });
    default:
      return undefined;
  }
}

/**
 * Whether the disk failed to confirm a commit that was fully written: the commit may be there when the file is opened again.
 * `sqlite3` has one code for all disk errors, so each of them counts.
 */
function mayBeStored({ driverCode }: SqlError): boolean {
  return /^SQLITE_IOERR(_FSYNC)?$/.test(String(driverCode));
}
