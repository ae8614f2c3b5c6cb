import { monotonicMs, setImmediate, setTimeout } from '../runtime/real-timers.js';
import { toSqlError } from '../runtime/sql-error.js';
import type { Deferred, SqlRow, SqlRunner } from '../runtime/sql-runner.js';
import type { PooledClient, PostgresQuery, PostgresResult, SessionPool } from './pool.js';

/** Converts a statement to the form that `pg` takes. */
type ToQuery = (sql: string, params: readonly unknown[]) => PostgresQuery;

/** Runs each statement on any free connection of a pool. */
export function createPoolRunner(pool: SessionPool, toQuery: ToQuery, timeout: QueryTimeout): SqlRunner {
  return {
    async query(sql, params) {
      try {
        const client = await pool.connect();
        return await new Promise<SqlRow[]>((resolve, reject) => {
          const done = (isOk: boolean): void => client.release(!isOk);
          new PendingQuery(toQuery(sql, params), { resolve, reject }, timeout).send(client, done, 0);
        });
      } catch (error) {
        throw toSqlError(error);
      }
    },
  };
}

/**
 * Runs statements one after another on a connection of the pool. They are sent at once where the driver pipelines, so they take one
 * round trip.
 *
 * @returns the rows of the last one that returns any.
 * @throws the error of the first that fails.
 */
export async function runInSequence(
  pool: SessionPool,
  queries: readonly PostgresQuery[],
  timeout: QueryTimeout,
): Promise<readonly SqlRow[]> {
  try {
    const client = await pool.connect();
    let isBroken = false;
    const results = await Promise.allSettled(
      queries.map(
        (query, ahead) =>
          new Promise<SqlRow[]>((resolve, reject) => {
            const done = (isOk: boolean): void => void (isBroken ||= !isOk);
            new PendingQuery(query, { resolve, reject }, timeout).send(client, done, ahead);
          }),
      ),
    );
    client.release(isBroken);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) {
      throw failed.reason;
    }
    const returned = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    return returned.findLast((rows) => rows.length > 0) ?? [];
  } catch (error) {
    throw toSqlError(error);
  }
}

/** The queries around the statements of a transaction. */
interface TransactionEnds {
  readonly begin: PostgresQuery;
  readonly commit: PostgresQuery;
  readonly rollBack: PostgresQuery;
}

/** An open transaction on the queue's own connections. Its statements are sent one after another. */
export class OwnTransaction implements SqlRunner {
  /** A statement had no reply, so nothing more can be sent. */
  isLost = false;
  private begun: Promise<unknown> | undefined;

  constructor(
    private readonly send: (query: PostgresQuery, ahead?: number) => Promise<SqlRow[]>,
    private readonly toQuery: ToQuery,
    begin: PostgresQuery,
  ) {
    this.begun = send(begin);
    // The first statement, or the end of the transaction, rejects with its error.
    this.begun.catch(() => undefined);
  }

  /** Sends the first statement together with BEGIN where the driver pipelines. */
  query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return this.run(this.toQuery(sql, params));
  }

  /** Sends a statement, or the end of the transaction. */
  async run(query: PostgresQuery): Promise<readonly SqlRow[]> {
    const { begun } = this;
    try {
      const [, rows] = await Promise.all([begun, this.send(query, begun ? 1 : 0)]);
      this.begun = undefined;
      return rows;
    } catch (error) {
      const failure = toSqlError(error);
      this.isLost ||= failure.kind === 'unavailable';
      throw failure;
    }
  }
}

/** Runs work in a transaction on a connection of the pool. */
export async function runInTransaction<T>(
  pool: SessionPool,
  work: (tx: OwnTransaction) => Promise<T>,
  { begin, commit, rollBack }: TransactionEnds,
  toQuery: ToQuery,
  timeout: QueryTimeout,
): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => Promise.reject(toSqlError(error)));
  const send = (query: PostgresQuery, ahead = 0): Promise<SqlRow[]> =>
    new Promise((resolve, reject) =>
      new PendingQuery(query, { resolve, reject }, timeout).send(client, () => undefined, ahead),
    );
  const tx = new OwnTransaction(send, toQuery, begin);
  let isBroken = false;
  try {
    const value = await work(tx);
    await tx.run(commit);
    return value;
  } catch (error) {
    isBroken = tx.isLost || !(await tx.run(rollBack).catch(() => false));
    throw error;
  } finally {
    client.release(isBroken);
  }
}

/** How many statements a connection has at once: one that runs, and the next, which the server starts right after it. */
export const STATEMENTS_AT_ONCE = 2;
/** After this many statements the connection goes back to the pool, which may want to close it. */
const STATEMENTS_PER_CHECKOUT_MAX = 1_000;

/** A connection while statements are on it. */
interface Checkout {
  readonly client: PooledClient;
  running: number;
  sent: number;
  isBroken: boolean;
}

/**
 * Runs one frequent statement on one connection and sends the next before the last one returns, so that the server need not wait
 * for Node. The statements run one after another, so they never wait for each other's rows.
 */
export class PipelinedRunner implements SqlRunner {
  private checkout: Checkout | undefined;
  private isConnecting = false;
  private waiting: PendingQuery[] = [];
  /** Connections that have prepared the statement. Where preparing fails, a second statement would fail without a cause. */
  private readonly prepared = new WeakSet<PooledClient>();

  constructor(
    private readonly pool: SessionPool,
    private readonly toQuery: ToQuery,
    private readonly timeout: QueryTimeout,
  ) {}

  async query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    try {
      return await new Promise<SqlRow[]>((resolve, reject) => {
        this.waiting.push(new PendingQuery(this.toQuery(sql, params), { resolve, reject }, this.timeout));
        this.sendWaiting();
      });
    } catch (error) {
      throw toSqlError(error);
    }
  }

  private sendWaiting(): void {
    const { checkout } = this;
    if (!checkout) {
      if (this.waiting.length > 0 && !this.isConnecting) {
        void this.connect();
      }
      return;
    }
    while (this.waiting.length > 0 && this.canSend(checkout)) {
      this.send(checkout, this.waiting.shift()!);
    }
    if (checkout.running === 0) {
      this.checkout = undefined;
      checkout.client.release(checkout.isBroken);
      this.sendWaiting();
    }
  }

  /** A caller that waits for a connection gets this one before more statements are sent on it. */
  private canSend({ client, running, sent, isBroken }: Checkout): boolean {
    if (sent === 0) {
      return true;
    }
    const mayKeep = this.pool.waitingCount === 0 && sent < STATEMENTS_PER_CHECKOUT_MAX && !isBroken;
    return mayKeep && (running === 0 || (running < STATEMENTS_AT_ONCE && this.prepared.has(client)));
  }

  private async connect(): Promise<void> {
    this.isConnecting = true;
    try {
      const client = await this.pool.connect();
      this.checkout = { client, running: 0, sent: 0, isBroken: false };
    } catch (error) {
      this.waiting.splice(0).forEach((query) => query.reject(error));
    }
    this.isConnecting = false;
    this.sendWaiting();
  }

  private send(checkout: Checkout, query: PendingQuery): void {
    const { client } = checkout;
    checkout.running += 1;
    checkout.sent += 1;
    const done = (isOk: boolean): void => {
      checkout.running -= 1;
      if (isOk) {
        this.prepared.add(client);
      } else {
        checkout.isBroken = true;
      }
      this.sendWaiting();
    };
    query.send(client, done, checkout.running - 1);
  }
}

/** A query without a result yet. */
export class PendingQuery {
  /** Its index in the list of {@link QueryTimeout}. */
  index = 0;
  deadlineMs = 0;
  private caller: Deferred | undefined;
  private client: PooledClient | undefined;
  private done: ((isOk: boolean) => void) | undefined;

  constructor(
    private readonly query: PostgresQuery,
    caller: Deferred,
    private readonly timeout: QueryTimeout,
  ) {
    this.caller = caller;
  }

  /**
   * Sends the query.
   *
   * @param done receives `true` for a result and `false` for a failure.
   * @param ahead how many queries run before it on the connection.
   */
  send(client: PooledClient, done: (isOk: boolean) => void, ahead: number): void {
    this.client = client;
    this.done = done;
    this.timeout.add(this, ahead);
    // A failure to send is reported asynchronously, like every other result: the caller is still sending.
    let isSent = false;
    const finish = (error: unknown, result?: PostgresResult): void =>
      isSent ? this.finish(error, result) : void Promise.resolve().then(() => this.finish(error, result));
    try {
      sendWithoutLimit(client, this.query, finish);
    } catch (error) {
      finish(error);
    }
    isSent = true;
  }

  /** Rejects a query that was not sent. */
  reject(error: unknown): void {
    this.caller?.reject(error);
    this.caller = undefined;
  }

  onTimeout(): void {
    const { client } = this;
    this.finish(new Error('the database did not reply in time'));
    // The driver does the same at its own limit. `end()` would wait for the pending replies first.
    client?.connection?.stream.destroy();
  }

  private finish(error: unknown, result?: PostgresResult): void {
    const { caller } = this;
    if (!caller) {
      return;
    }
    this.timeout.remove(this);
    this.caller = undefined;
    const isOk = result !== undefined && !error;
    if (isOk) {
      caller.resolve(result.rows);
      // An old query object would keep the rows alive: see docs/adr/0020-short-lived-objects.md.
      result.rows = [];
    } else {
      caller.reject(error);
    }
    this.done!(isOk);
  }
}

/** Switches off the driver's own limit for this query. It stays on for the queries of TypeORM. */
function sendWithoutLimit(
  client: PooledClient,
  query: PostgresQuery,
  done: (error: unknown, result?: PostgresResult) => void,
): void {
  const { connectionParameters: parameters = {} } = client;
  const timeoutMs = parameters.query_timeout;
  parameters.query_timeout = 0;
  try {
    client.query(query, done);
  } finally {
    parameters.query_timeout = timeoutMs;
  }
}

const TIMEOUT_CHECK_INTERVAL_MS = 1_000;

/**
 * The time limit of queries, for a network that drops packets silently. All queries share one timer: the driver would create a
 * timer for each, with a closure that keeps the query from the garbage collector (docs/adr/0020-short-lived-objects.md).
 */
export class QueryTimeout {
  private readonly pending: PendingQuery[] = [];
  private isScheduled = false;

  constructor(private readonly timeoutMs: number) {}

  /** @param ahead how many queries run before it on the connection; the limit covers them too. */
  add(query: PendingQuery, ahead: number): void {
    query.deadlineMs = monotonicMs() + (ahead + 1) * this.timeoutMs;
    query.index = this.pending.push(query) - 1;
    if (!this.isScheduled) {
      this.isScheduled = true;
      this.scheduleCheck();
    }
  }

  remove(query: PendingQuery): void {
    const last = this.pending.pop()!;
    if (last !== query) {
      last.index = query.index;
      this.pending[last.index] = last;
    }
  }

  private scheduleCheck(): void {
    // After the process was suspended, timers run before pending replies are read, hence `setImmediate`. The connections keep the
    // process alive for as long as it should be.
    setTimeout(() => setImmediate(() => this.check()), TIMEOUT_CHECK_INTERVAL_MS).unref();
  }

  private check(): void {
    const nowMs = monotonicMs();
    this.pending.filter(({ deadlineMs }) => deadlineMs <= nowMs).forEach((query) => query.onTimeout());
    this.isScheduled = this.pending.length > 0;
    if (this.isScheduled) {
      this.scheduleCheck();
    }
  }
}
