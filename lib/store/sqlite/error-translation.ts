import { QueueUnavailableError } from '../../core/errors.js';
import { deniedText, QUEUE_CLOSED, SqlError } from '../sql-error.js';

/** What callers of the queue are told where a statement has failed. */
export async function translated<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw told(error);
  }
}

/** The same in a transaction of the caller's: what it has read may be out of date, and then no waiting for the lock helps. */
export async function translatedIn<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof SqlError && error.kind === 'busy') {
      throw new QueueUnavailableError(
        `another process writes, or has written since the transaction has read; roll back and begin anew, or write before reading: ${error.message}`,
        { cause: error },
      );
    }
    throw told(error);
  }
}

function told(error: unknown): unknown {
  return error instanceof SqlError ? (unavailability(error) ?? error) : error;
}

/**
 * What an error says where it is one of those that may pass; `undefined`: it is not.
 *
 * @param isUncertain whether a part of what was asked for is in the table by now.
 */
export function unavailability(cause: SqlError, isUncertain = mayBeStored(cause)): QueueUnavailableError | undefined {
  switch (cause.kind) {
    case 'closed':
      return new QueueUnavailableError(QUEUE_CLOSED, { cause, isUncertain });
    case 'unavailable':
    case 'busy':
      return new QueueUnavailableError(`the database cannot be used: ${cause.message}`, { cause, isUncertain });
    case 'denied':
      return new QueueUnavailableError(deniedText(cause), { cause, isUncertain });
    default:
      return undefined;
  }
}

/**
 * Whether the disk did not confirm what had all been written to it: a commit that failed so may be there when the file is opened
 * anew. `sqlite3` does not say which of its errors it was.
 */
function mayBeStored({ driverCode }: SqlError): boolean {
  return /^SQLITE_IOERR(_FSYNC)?$/.test(String(driverCode));
}
