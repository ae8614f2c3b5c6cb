import type { Deferred } from '../../sql-runner.js';
import type { AnswerLimit, Unanswered } from './answer-limit.js';
import type { PooledClient, PostgresAnswer, PostgresQuery } from './session-pool.js';

/** A query that nobody has answered yet. */
export class PendingQuery implements Unanswered {
  place = 0;
  lateAtMs = 0;
  private waiting: Deferred | undefined;
  private client: PooledClient | undefined;
  private done: ((isAnswered: boolean) => void) | undefined;

  constructor(
    private readonly query: PostgresQuery,
    waiting: Deferred,
    private readonly limit: AnswerLimit,
  ) {
    this.waiting = waiting;
  }

  /**
   * Sends it.
   *
   * @param done is told whether it was answered, or has failed.
   * @param ahead how many are at work on the connection.
   */
  send(client: PooledClient, done: (isAnswered: boolean) => void, ahead: number): void {
    this.client = client;
    this.done = done;
    this.limit.watch(this, ahead);
    // What cannot even be sent is told in its own time, as all else: whoever sends is in the middle of it.
    let isSent = false;
    const told = (error: unknown, answer?: PostgresAnswer): void =>
      isSent ? this.answered(error, answer) : void Promise.resolve().then(() => this.answered(error, answer));
    try {
      sendWithoutLimit(client, this.query, told);
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

  late(): void {
    const { client } = this;
    this.answered(new Error('the answer did not come in time'));
    // As the driver does for its own limit. Told to end, one that pipelines would wait for its answers first.
    client?.connection?.stream.destroy();
  }

  private answered(error: unknown, answer?: PostgresAnswer): void {
    const { waiting } = this;
    if (!waiting) {
      return;
    }
    this.limit.forget(this);
    this.waiting = undefined;
    const isAnswered = answer !== undefined && !error;
    if (isAnswered) {
      waiting.resolve(answer.rows);
      // The query may have waited long enough to be old, and would keep them: see docs/adr/0020-short-lives.md.
      answer.rows = [];
    } else {
      waiting.reject(error);
    }
    this.done!(isAnswered);
  }
}

/** The driver has a limit of its own, for what TypeORM sends, and reads it when it is asked. */
function sendWithoutLimit(
  client: PooledClient,
  query: PostgresQuery,
  told: (error: unknown, answer?: PostgresAnswer) => void,
): void {
  const { connectionParameters: given = {} } = client;
  const timeoutMs = given.query_timeout;
  given.query_timeout = 0;
  try {
    client.query(query, told);
  } finally {
    given.query_timeout = timeoutMs;
  }
}
