import { QueueUnavailableError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { TableSetup } from './migrator.js';
import { setUpTables } from './migrator.js';
import { SqlError } from './sql-error.js';

export interface JobsTablesOptions extends TableSetup {
  readonly logger: JobsLogger;
}

/**
 * The queue's tables. Somebody may drop them while it runs, as `synchronize(true)` does between the tests of an application; the
 * next start would make them anew, so the queue does not wait for it.
 */
export class JobsTables {
  private mending: Promise<void> | undefined;

  constructor(private readonly options: JobsTablesOptions) {}

  /** @throws InvalidOptionsError naming `migrate` when the tables are not as this version needs them. */
  async setUp(): Promise<void> {
    await setUpTables(this.options);
  }

  /** Does what needs the tables, and does it again when they had to be made anew: nothing of it was done then. */
  async with<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (await this.areMended(error)) {
        return work();
      }
      throw error;
    }
  }

  /** Whether the tables were gone, as the error says, and are there again. */
  async areMended(error: unknown): Promise<boolean> {
    if (!this.options.migrate || !isTableGone(error)) {
      return false;
    }
    this.mending ??= this.mend().finally(() => (this.mending = undefined));
    return this.mending.then(
      () => true,
      () => false,
    );
  }

  private async mend(): Promise<void> {
    if (await setUpTables(this.options)) {
      this.options.logger.warn("the queue's tables were gone, and with them all jobs; they were made anew");
    }
  }
}

function isTableGone(error: unknown): boolean {
  const cause = error instanceof QueueUnavailableError ? error.cause : undefined;
  return (
    cause instanceof SqlError &&
    /_jobs/.test(cause.message) &&
    (/no such table/.test(cause.message) || (cause.cause as { code?: unknown } | undefined)?.code === '42P01')
  );
}
