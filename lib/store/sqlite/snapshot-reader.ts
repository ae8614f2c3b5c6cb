import { nextTurn } from '../runtime/real-timers.js';
import type { SqlQuery, SqlScript } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { BEGIN_READ } from './session.sqlite.js';

/** A connection that only reads. */
export interface ReadConnection {
  readonly query: SqlQuery;
  close(): Promise<void>;
}

/**
 * Runs long scripts that see one state of the file, with an iteration of the event loop after each statement. Each script opens a connection of
 * its own and closes it at its end, because a transaction on the queue's connection would contain the queue's writes.
 */
export class SnapshotReader {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly open: () => Promise<ReadConnection>) {}

  read<T>(script: () => SqlScript<T>): Promise<T> {
    const result = this.last.then(() => this.run(script()));
    this.last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when no script runs. */
  async idle(): Promise<void> {
    await this.last;
  }

  private async run<T>(script: SqlScript<T>): Promise<T> {
    const connection = await this.open();
    const query: SqlQuery = async (sql, params) => {
      const rows = await connection.query(sql, params);
      await nextTurn();
      return rows;
    };
    try {
      await connection.query(BEGIN_READ, []);
      return await runScript({ query }, script);
    } finally {
      // Ends the transaction, too.
      await connection.close();
    }
  }
}
