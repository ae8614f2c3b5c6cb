import { QueueUnavailableError, toUncertain } from '../../../core/errors.js';
import { SqlError } from '../../sql-error.js';
import type { SqlRow, SqlScript, SqlStatement } from '../../sql-runner.js';
import { unavailability } from '../error-translation.js';

/** A script whose statements stand alone, as far as it has come. */
export class StatementSequence<T> {
  private step: IteratorResult<SqlStatement, T>;
  private hasWritten = false;

  constructor(private readonly script: SqlScript<T>) {
    this.step = script.next();
  }

  /** The statement that is to be run next; `undefined`: none, all is done. */
  get next(): SqlStatement | undefined {
    return this.step.done ? undefined : this.step.value;
  }

  /** What the script answers when all is done. */
  get value(): T {
    return this.step.value as T;
  }

  /** Goes on with the rows of the statement that was to be run. */
  goOn(rows: readonly SqlRow[]): void {
    this.hasWritten ||= !this.next?.isRead;
    this.step = this.script.next(rows);
  }

  /** What an error says of all of it: the first statements are in the table when a later one is not served. */
  failure(error: Error): Error {
    if (!this.hasWritten) {
      return error;
    }
    if (error instanceof SqlError) {
      return unavailability(error, true) ?? error;
    }
    return error instanceof QueueUnavailableError ? toUncertain(error) : error;
  }
}
