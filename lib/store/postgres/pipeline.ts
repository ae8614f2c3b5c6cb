import type { PostgresQuery, SqlRow, SqlRunner } from '../sql-runner.js';
import { sqlErrorOf } from '../sql-error.js';
import type { PooledClient, SessionPool } from './session-pool.js';

/** Statements that a connection has at once: one at work, and the next one, which the server begins when that is done. */
export const PIPELINE_DEPTH = 2;
/** After so many a connection goes back to the pool, which may have an end in mind for it. */
const TURN_MAX = 1_000;

/** A connection, for as long as statements are on it. */
interface Turn {
  readonly client: PooledClient;
  underWay: number;
  sent: number;
  isBroken: boolean;
}

/**
 * Sends one statement again and again, and the next time before the last one is answered: the server need not wait for
 * Node between the two. Both are on one connection, one behind the other, so they never wait for each other's rows.
 */
export class Pipeline implements SqlRunner {
  private turn: Turn | undefined;
  private connecting: Promise<unknown> | undefined;
  /** Connections that know the statement: if it could not be prepared there, the second one would fail without a cause. */
  private readonly prepared = new WeakSet<PooledClient>();

  /**
   * @param direct where statements go that may not follow another one.
   * @param queryOf a statement as the driver takes it.
   * @param timeoutMs how long one may take.
   */
  constructor(
    private readonly pool: SessionPool,
    private readonly direct: SqlRunner,
    private readonly queryOf: (sql: string, params: readonly unknown[]) => PostgresQuery,
    private readonly timeoutMs: number,
  ) {}

  async query(sql: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    while (this.connecting) {
      await this.connecting;
    }
    const { turn } = this;
    if (turn && !this.mayFollow(turn)) {
      return this.direct.query(sql, params);
    }
    try {
      return await this.send(turn ?? (await this.begin()), this.queryOf(sql, params));
    } catch (error) {
      throw sqlErrorOf(error);
    }
  }

  /** Whoever waits for a connection gets this one before more is sent on it. */
  private mayFollow({ client, underWay, sent, isBroken }: Turn): boolean {
    const isFree = this.pool.waitingCount === 0 && sent < TURN_MAX && !isBroken;
    return isFree && underWay < PIPELINE_DEPTH && this.prepared.has(client);
  }

  private async begin(): Promise<Turn> {
    const connected = this.pool.connect();
    this.connecting = connected.catch(() => undefined);
    try {
      const client = await connected;
      client.on('error', ignore);
      return (this.turn = { client, underWay: 0, sent: 0, isBroken: false });
    } finally {
      this.connecting = undefined;
    }
  }

  private async send(turn: Turn, query: PostgresQuery): Promise<SqlRow[]> {
    const { client } = turn;
    turn.underWay += 1;
    turn.sent += 1;
    try {
      // Its time begins while the one before it is still at work.
      const { rows } = await client.query({ ...query, query_timeout: this.timeoutMs * turn.underWay });
      this.prepared.add(client);
      return rows;
    } catch (error) {
      turn.isBroken = true;
      throw error;
    } finally {
      turn.underWay -= 1;
      if (turn.underWay === 0) {
        this.end(turn);
      }
    }
  }

  private end({ client, isBroken }: Turn): void {
    this.turn = undefined;
    client.removeListener('error', ignore);
    client.release(isBroken);
  }
}

/** The statements under way hear of it, too. */
const ignore = (): void => undefined;
