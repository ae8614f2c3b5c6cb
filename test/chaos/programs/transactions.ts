import type { DataSource, EntityManager } from 'typeorm';
import type { HistoryWriter } from '../history.js';
import { EXIT_OF_HANDLER } from '../protocol.js';

interface ApplicationsDriver {
  readonly databaseConnection: { readonly inTransaction: boolean };
  readonly queryRunner?: { readonly isTransactionActive: boolean };
}

/**
 * The application's own use of its database. On SQLite a TypeORM DataSource is one connection, on which two transactions
 * would get into each other: there they take turns.
 */
export class Transactions {
  private last: Promise<unknown> = Promise.resolve();
  private readonly isSqlite: boolean;

  constructor(
    private readonly app: DataSource,
    private readonly history: HistoryWriter,
  ) {
    this.isSqlite = app.options.type !== 'postgres';
  }

  /** Does the work in a transaction of its own. */
  run<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.take(() => this.app.transaction(work));
  }

  /** Does what needs no transaction, but must not get into one. */
  take<T>(work: () => Promise<T>): Promise<T> {
    if (!this.isSqlite) return work();
    const turn = this.last.then(work).finally(() => this.endIfBroken());
    this.last = turn.catch(() => undefined);
    return turn;
  }

  /**
   * A COMMIT that fails for want of disk space is rolled back by SQLite itself. TypeORM's own ROLLBACK fails then, and it
   * takes the transaction for open ever after: each later one is a savepoint that nobody commits, and holds the write lock
   * for good. The only way out is a new connection, so the application ends and is started again.
   */
  private endIfBroken(): void {
    const { databaseConnection, queryRunner } = this.app.driver as unknown as ApplicationsDriver;
    if (queryRunner?.isTransactionActive && !databaseConnection.inTransaction) {
      this.history.write({ kind: 'gives up' });
      process.exit(EXIT_OF_HANDLER);
    }
  }
}
