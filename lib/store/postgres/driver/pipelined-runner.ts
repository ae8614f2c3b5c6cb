import { toSqlError } from '../../sql-error.js';
import type { SqlRow, SqlRunner } from '../../sql-runner.js';
import type { AnswerLimit } from './answer-limit.js';
import { PendingQuery } from './pending-query.js';
import type { PooledClient, PostgresQuery, SessionPool } from './session-pool.js';

/** Statements that a connection has at once: one at work, and the next one, which the server begins when that is done. */
export const STATEMENTS_AT_ONCE = 2;
/** After so many a connection goes back to the pool, which may have an end in mind for it. */
const CHECKOUT_MAX = 1_000;

/** A connection, for as long as statements are on it. */
interface Checkout {
  readonly client: PooledClient;
  underWay: number;
  sent: number;
  isBroken: boolean;
}

/**
 * Sends one statement again and again, the next time before the last one is answered: the server need not wait for Node
 * between the two. All are on one connection, one behind the other, so they never wait for each other's rows.
 */
export class PipelinedRunner implements SqlRunner {
  private checkout: Checkout | undefined;
  private isConnecting = false;
  private waiting: PendingQuery[] = [];
  /** Connections that know the statement: if it could not be prepared there, the second one would fail without a cause. */
  private readonly prepared = new WeakSet<PooledClient>();

  /** @param queryOf a statement as the driver takes it. */
  constructor(
    private readonly pool: SessionPool,
    private readonly queryOf: (sql: string, params: readonly unknown[]) => PostgresQuery,
    private readonly limit: AnswerLimit,
  ) {}

  async query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    try {
      return await new Promise<SqlRow[]>((resolve, reject) => {
        this.waiting.push(new PendingQuery(this.queryOf(sql, params), { resolve, reject }, this.limit));
        this.goOn();
      });
    } catch (error) {
      throw toSqlError(error);
    }
  }

  private goOn(): void {
    const { checkout } = this;
    if (!checkout) {
      if (this.waiting.length > 0 && !this.isConnecting) {
        void this.connect();
      }
      return;
    }
    while (this.waiting.length > 0 && this.mayTakeAnother(checkout)) {
      this.send(checkout, this.waiting.shift()!);
    }
    if (checkout.underWay === 0) {
      this.checkout = undefined;
      checkout.client.release(checkout.isBroken);
      this.goOn();
    }
  }

  /** Whoever waits for a connection gets this one before more is sent on it. */
  private mayTakeAnother({ client, underWay, sent, isBroken }: Checkout): boolean {
    if (sent === 0) {
      return true;
    }
    const isFree = this.pool.waitingCount === 0 && sent < CHECKOUT_MAX && !isBroken;
    return isFree && (underWay === 0 || (underWay < STATEMENTS_AT_ONCE && this.prepared.has(client)));
  }

  private async connect(): Promise<void> {
    this.isConnecting = true;
    try {
      const client = await this.pool.connect();
      this.checkout = { client, underWay: 0, sent: 0, isBroken: false };
    } catch (error) {
      this.waiting.splice(0).forEach((query) => query.drop(error));
    }
    this.isConnecting = false;
    this.goOn();
  }

  private send(checkout: Checkout, query: PendingQuery): void {
    const { client } = checkout;
    checkout.underWay += 1;
    checkout.sent += 1;
    const done = (isAnswered: boolean): void => {
      checkout.underWay -= 1;
      if (isAnswered) {
        this.prepared.add(client);
      } else {
        checkout.isBroken = true;
      }
      this.goOn();
    };
    // Its time begins while the one before it is still at work.
    query.send(client, done, checkout.underWay - 1);
  }
}
