import type { Deferred } from '../sql-runner.js';
import type { PooledClient, PostgresAnswer, PostgresQuery } from './session-pool.js';

/**
 * A query that nobody has answered yet. When it is answered it lets go of its values, of its rows and of who waits for them, since
 * the driver keeps a function that can reach it among what is old: see docs/adr/0020-short-lives.md.
 */
export class PendingQuery {
  private waiting: Deferred | undefined;

  constructor(
    private readonly query: PostgresQuery,
    waiting: Deferred,
  ) {
    this.waiting = waiting;
  }

  /**
   * Sends it.
   *
   * @param done is told whether it was answered, or has failed.
   * @param timeoutMs how long it may take; default what the connection was made with.
   */
  send(client: PooledClient, done: (isAnswered: boolean) => void, timeoutMs?: number): void {
    const answered = (error: unknown, answer?: PostgresAnswer): void => {
      const { waiting } = this;
      if (!waiting) {
        return;
      }
      this.waiting = undefined;
      this.query.values.length = 0;
      const isAnswered = answer !== undefined && !error;
      if (isAnswered) {
        waiting.resolve(answer.rows);
        answer.rows = [];
      } else {
        waiting.reject(error);
      }
      done(isAnswered);
    };
    // What cannot even be sent is told in its own time, as all else: whoever sends is in the middle of it.
    let isSent = false;
    const told = (error: unknown, answer?: PostgresAnswer): void =>
      isSent ? answered(error, answer) : void Promise.resolve().then(() => answered(error, answer));
    try {
      // A copy: the driver writes the callback into what it is given.
      client.query({ ...this.query, ...(timeoutMs !== undefined && { query_timeout: timeoutMs }) }, told);
    } catch (error) {
      told(error);
    }
    isSent = true;
  }

  /** It is not to be sent any more. */
  drop(error: unknown): void {
    this.waiting?.reject(error);
    this.waiting = undefined;
  }
}
