import type { Asker, SqlRow } from '../sql-runner.js';
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

/**
 * A statement and who asked it. When it is answered it lets go of all that it had, since the driver keeps a function that can
 * reach it among what is old: see docs/adr/0020-short-lives.md.
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
