import {
  InvalidOptionsError,
  JobsError,
  QueueUnavailableError,
  RowLockedError,
  StatementCancelledError,
} from '../../core/errors.js';
import { deniedText, QUEUE_CLOSED, SqlError, toSqlError } from '../sql-error.js';

/** A deadlock or a serialization conflict has stored nothing: the statement, or the transaction, is simply sent again. */
const BUSY_TRIES_MAX = 5;

/** Repeats what a deadlock or a serialization conflict undid. @throws what {@link translated} makes of other failures. */
export async function untilDone<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      // Inside a transaction of the queue's own it was translated already.
      const failure = toSqlError(error instanceof QueueUnavailableError ? (error.cause ?? error) : error);
      if (failure.kind !== 'busy' || tries === BUSY_TRIES_MAX) {
        throw translated(error);
      }
    }
  }
}

/** What the server says to all that comes after an error in a transaction. */
const TRANSACTION_HAS_FAILED = '25P02';

/** A transaction that was begun so, or a server that takes no writes at present. */
const IS_READ_ONLY = '25006';

/** What callers of the store are to hear of an error in a transaction of theirs, which may be worth another try of all of it. */
export function translatedIn(error: unknown): unknown {
  if (error instanceof SqlError && error.kind === 'busy') {
    return error.thrown;
  }
  const code = error instanceof SqlError && error.driverCode;
  if (code === IS_READ_ONLY) {
    return new QueueUnavailableError("the manager's transaction is read-only, as it was begun so or its server is", {
      cause: error,
    });
  }
  if (code === TRANSACTION_HAS_FAILED) {
    return new InvalidOptionsError(
      'manager',
      'a statement has failed before in its transaction, which can only be rolled back, as a whole or to a savepoint',
      { cause: error },
    );
  }
  return translated(error);
}

/** What callers of the store are to hear of an error. */
export function translated(error: unknown): unknown {
  if (error instanceof JobsError && !(error instanceof SqlError)) {
    return error;
  }
  const failure = toSqlError(error);
  switch (failure.kind) {
    case 'unavailable':
      return new QueueUnavailableError(`the database does not answer: ${failure.message}`, {
        cause: failure,
        isUncertain: true,
      });
    case 'cancelled':
      return new StatementCancelledError(
        `a statement was cancelled; the table is locked, or something makes it slow, such as a trigger: ${failure.message}`,
        // It has stored nothing, but one before it may have: of a set with keys there are several.
        { cause: failure, isUncertain: true },
      );
    case 'closed':
      return new QueueUnavailableError(QUEUE_CLOSED, { cause: failure });
    case 'locked':
      return new RowLockedError(
        `an open transaction holds what is needed here (is this awaited inside it? Then use enqueueTx, or call it when that has ended): ${failure.message}`,
        { cause: failure },
      );
    case 'busy':
      return new QueueUnavailableError(
        `another transaction was in the way (one that completes a job should be READ COMMITTED): ${failure.message}`,
        { cause: failure },
      );
    case 'denied':
      return new QueueUnavailableError(deniedText(failure), { cause: failure });
    default:
      return failure;
  }
}
