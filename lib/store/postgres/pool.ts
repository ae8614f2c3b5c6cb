import { clearTimeout, monotonicMs, setImmediate, setTimeout } from '../runtime/real-timers.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import { PING } from './session.postgres.js';

/** One statement as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly values: unknown[];
  /** The name under which the connection keeps the prepared statement, if any. */
  readonly name?: string | undefined;
  readonly types?: PostgresTypes;
}

/** How `pg` parses the values of a result. */
export interface PostgresTypes {
  getTypeParser(type: number): (text: string) => unknown;
}

export interface PostgresResult {
  rows: SqlRow[];
}

/** A connection that was checked out of the pool. */
export interface PooledClient {
  readonly connectionParameters?: {
    /** The driver's own time limit for a query. */
    query_timeout?: number | undefined;
  };
  query(config: PostgresQuery, done: (error: unknown, result?: PostgresResult) => void): void;
  query(config: PostgresQuery | string): Promise<PostgresResult>;
  release(isBroken?: boolean): void;
  /** Absent with the native driver, which takes one statement at a time. */
  readonly connection?: { readonly stream: { destroy(): void } };
}

/** The part of `pg.Pool` that the runners use. */
export interface SessionPool {
  /** How many callers wait for a connection. */
  readonly waitingCount: number;
  connect(): Promise<PooledClient>;
}

/**
 * How long the pool keeps an idle connection. `pg` keeps it for 10 s, less than the time between two jobs of many applications,
 * and a new connection takes longer than it takes to store and run a job.
 */
export const IDLE_MAX_MS = 60_000;
/** The same behind a pooler: in session mode each connection occupies a connection of the server. */
const IDLE_BEHIND_POOLER_MAX_MS = 10_000;

/** The part of `pg.Pool` that holds the idle time. */
export interface IdlingPool {
  readonly options: { idleTimeoutMillis?: number | null | undefined };
}

/** Shortens the idle time of a pool behind a pooler, unless the application has set its own. */
export function shortenIdleTime({ options }: IdlingPool): void {
  if (options.idleTimeoutMillis === IDLE_MAX_MS) {
    options.idleTimeoutMillis = IDLE_BEHIND_POOLER_MAX_MS;
  }
}

interface ValidationTimes {
  /** A connection that was used within this time is not tested. */
  readonly bypassMs: number;
  /** How long a test waits for the reply. A new connection takes less. */
  readonly timeoutMs: number;
}

const VALIDATION_TIMES: ValidationTimes = { bypassMs: 10_000, timeoutMs: 2_000 };

type ValidatedClient = Pick<PooledClient, 'query' | 'connection'>;

/**
 * Tests a connection that was idle for a while before a statement uses it. When a proxy has silently dropped the connection, a
 * statement would wait for its full time limit. When the server has just closed it, its outcome would be unknown.
 */
export class ConnectionValidator {
  private readonly usedAtMs = new WeakMap<object, number>();
  /** When the last test timed out. Connections last used before that are dropped untested: each test would cost the timeout. */
  private timedOutAtMs = -Infinity;

  /** New connections that reached a standby, and whether they have been used. */
  private readonly standbys = new WeakMap<object, boolean>();

  constructor(private readonly times = VALIDATION_TIMES) {}

  /** Records that a new connection reached a standby. It is used once: after a failover the next one may reach the primary. */
  markStandby(client: object): void {
    this.standbys.set(client, false);
  }

  /** Records that a connection is new or about to be used. */
  markUsed(client: object): void {
    this.usedAtMs.set(client, monotonicMs());
  }

  /**
   * Checks out connections until one is valid.
   *
   * @param take checks out a connection; the pool opens a new one when none is left.
   * @param drop returns a broken connection to the pool.
   */
  async takeValid<T>(
    take: () => Promise<T>,
    getClient: (taken: T) => ValidatedClient,
    drop: (taken: T) => void,
  ): Promise<T> {
    for (;;) {
      const taken = await take();
      const client = getClient(taken);
      const usedAtMs = this.usedAtMs.get(client) ?? -Infinity;
      this.markUsed(client);
      const isFresh = monotonicMs() - usedAtMs < this.times.bypassMs;
      if (this.mayUse(client) && usedAtMs >= this.timedOutAtMs && (isFresh || (await this.test(client)))) {
        return taken;
      }
      // `end()` would wait for a reply first.
      client.connection?.stream.destroy();
      drop(taken);
    }
  }

  /** Wraps a pool so that it hands out valid connections only. */
  wrap(pool: SessionPool): SessionPool {
    const take = (): Promise<PooledClient> => pool.connect();
    const drop = (client: PooledClient): void => client.release(true);
    return {
      get waitingCount() {
        return pool.waitingCount;
      },
      connect: () => this.takeValid(take, (client) => client, drop),
    };
  }

  /** Returns whether a connection may be used. One to a standby may be used once. */
  private mayUse(client: object): boolean {
    const isUsed = this.standbys.get(client);
    if (isUsed === false) {
      this.standbys.set(client, true);
    }
    return isUsed !== true;
  }

  private test(client: ValidatedClient): Promise<boolean> {
    return new Promise((resolve) => {
      // After the process was suspended, it reads pending replies before the timeout counts.
      const timer = setTimeout(() => setImmediate(onTimeout), this.times.timeoutMs);
      let isDone = false;
      const finish = (isValid: boolean): void => {
        isDone = true;
        clearTimeout(timer);
        resolve(isValid);
      };
      const onTimeout = (): void => {
        if (!isDone) {
          this.timedOutAtMs = monotonicMs();
          finish(false);
        }
      };
      client.query(PING).then(
        () => finish(true),
        () => finish(false),
      );
    });
  }
}
