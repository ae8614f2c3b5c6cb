import type { SqlRow } from '../sql-runner.js';
import type { PooledClient } from './session-pool.js';

/** One statement as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly values: unknown[];
  /** Under which a connection is to keep the statement, if under any. */
  readonly name?: string | undefined;
  readonly types?: PostgresTypes;
  /** How long the driver waits for the answer; default what the connection was made with. */
  readonly query_timeout?: number;
}

/** How the values of an answer are read. */
export interface PostgresTypes {
  getTypeParser(type: number): (text: string) => unknown;
}

/** What `pg` answers. */
export interface PostgresAnswer {
  rows: SqlRow[];
}

/** Who waits for the rows. */
export interface Asker {
  readonly resolve: (rows: SqlRow[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A statement and who asked it. When it is answered it lets go of all that it had: the driver has written a function that can
 * reach this straight into a member, and such functions V8 puts among what is old, with which the rows of a thousand claimed
 * jobs would stay until the next full collection.
 */
export class Question {
  private asker: Asker | undefined;

  constructor(
    private readonly query: PostgresQuery,
    asker: Asker,
  ) {
    this.asker = asker;
  }

  /**
   * Sends it.
   *
   * @param done is told first, with what it has failed for.
   * @param timeoutMs how long it may take; default what the connection was made with.
   */
  ask(client: PooledClient, done: (error?: unknown) => void, timeoutMs?: number): void {
    const config = timeoutMs === undefined ? this.query : { ...this.query, query_timeout: timeoutMs };
    client.query(config, (error, answer) => {
      const { asker } = this;
      if (!asker) {
        return;
      }
      this.asker = undefined;
      this.query.values.length = 0;
      if (answer && !error) {
        const { rows } = answer;
        answer.rows = [];
        done();
        asker.resolve(rows);
      } else {
        done(error);
        asker.reject(error);
      }
    });
  }

  /** It is not to be sent any more. */
  drop(error: unknown): void {
    this.asker?.reject(error);
  }
}
