import type { Clock } from '../core/clock.js';
import { messageOf, QueueUnavailableError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { SqlScript } from './sql-runner.js';
import type { TableSetup } from './migrator.js';
import { setUpTables } from './migrator.js';
import { lacksTable, SqlError } from './sql-error.js';

/** How a database makes the tables, at the start and later. */
export interface JobsTablesOptions extends TableSetup {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** As `run`, while the application is at work on the same database. */
  readonly runBeside: (script: () => SqlScript<void>) => Promise<void>;
}

const TABLE_COUNT = 5;
/** After a failure nobody tries again for so long: every loop of the queue meets that the tables are gone. */
const REST_MS = 5_000;

/**
 * The queue's tables. Somebody may drop them while it runs, as `synchronize(true)` does between the tests of an application; the
 * next start would make them anew, so the queue does not wait for it.
 */
export class JobsTables {
  private making: Promise<boolean> | undefined;
  private restsUntilMs = -Infinity;
  /** What was said of the last failure; not again until it is well. */
  private told: string | undefined;

  constructor(private readonly options: JobsTablesOptions) {}

  /** @throws InvalidOptionsError naming `migrate` when the tables are not as this version needs them. */
  setUp(): Promise<void> {
    return setUpTables(this.options);
  }

  /** Does what needs the tables, and does it again when they had to be made anew: what was done of it is gone with them. */
  async usedBy<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (await this.madeAfter(error)) {
        return work();
      }
      throw error;
    }
  }

  /** Makes the tables when an error says that they are gone. Resolves with whether they were, and are there again. */
  async madeAfter(error: unknown): Promise<boolean> {
    if (!this.options.migrate || !isTableGone(error)) {
      return false;
    }
    this.making ??= this.make().finally(() => (this.making = undefined));
    return this.making;
  }

  private async make(): Promise<boolean> {
    const { clock, logger, read, statements, runBeside } = this.options;
    if (clock.now() < this.restsUntilMs) {
      return false;
    }
    try {
      const { length } = await read(statements.LIST_TABLES);
      if (length > 0) {
        // Another process was first, or somebody who drops or moves them one by one is not done.
        return length === TABLE_COUNT;
      }
      await setUpTables({ ...this.options, run: runBeside });
      logger.warn("the queue's tables were gone, and with them all jobs; they were made anew");
      this.told = undefined;
      return true;
    } catch (error) {
      this.restsUntilMs = clock.now() + REST_MS;
      this.tell(messageOf(error));
      return false;
    }
  }

  private tell(reason: string): void {
    if (reason !== this.told) {
      this.told = reason;
      this.options.logger.error(`the queue's tables are gone, and cannot be made anew: ${reason}`);
    }
  }
}

function isTableGone(error: unknown): boolean {
  const cause = error instanceof QueueUnavailableError ? error.cause : undefined;
  return cause instanceof SqlError && lacksTable(cause);
}
