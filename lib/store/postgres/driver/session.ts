import type { SqlError } from '../../sql-error.js';
import { toSqlError } from '../../sql-error.js';
import type { SqlRow, SqlRunner } from '../../sql-runner.js';
import { AnswerLimit } from './answer-limit.js';
import { ConnectionValidator } from './connection-validator.js';
import type { IdlingPool } from './idle-time.js';
import { boundIdleTime } from './idle-time.js';
import { PipelinedRunner } from './pipelined-runner.js';
import { runnerOfPool } from './pool-runner.js';
import { PIPELINED, PREPARED_NAMES } from './prepared-statements.js';
import type { PooledClient, PostgresQuery, SessionPool } from './session-pool.js';
import type { SessionLimits } from '../sql/session.js';
import * as sql from '../sql/session.js';
import { typeParsers } from './type-parsers.js';

/** The part of `pg.Client` that a new connection is prepared with. */
export interface NewClient {
  /** What the server says its process is. The native driver does not tell. */
  readonly processID?: number;
  /** Whether it sends statements before those before them are answered; not there before version 8.23. */
  pipeline?: boolean;
  on(event: 'error', handle: () => void): void;
  query(sql: string, done: (error?: Error, result?: { rows: unknown[] }) => void): void;
}

/** The part of TypeORM's driver by which its query runners come to their connections. */
export interface ConnectionSource {
  obtainMasterConnection(): Promise<[Pick<PooledClient, 'query' | 'connection'>, (error?: Error) => void]>;
}

/**
 * What the queue's statements run under, whatever the defaults of the server are. A connection is told once. Behind a
 * pooler that lends its connections from transaction to transaction, such settings would be lost on the queue and stay
 * with whoever gets the connection next: there each transaction is told, and nothing outlives it. A pooler that passes process
 * numbers on is found out only by a prepared statement that is not there; what was set until then has stayed with others.
 */
export class PostgresSession {
  /**
   * Whether a pooler stands between. It hands out process numbers of its own, since it cannot know which of the server's
   * its client will be given. In which mode it works cannot be told: in session mode this costs two round trips more.
   */
  private isLent = false;
  /** Whether the driver is the native one: it does not heed the parsers of a query, so JSON has to be asked for as text. */
  isNative = false;
  private canPipeline = false;

  /** @param mayPipeline whether a connection may be given a statement while the one before it is at work, if it can. */
  constructor(
    readonly limits: SessionLimits,
    private readonly mayPipeline = true,
    private readonly validator = new ConnectionValidator(),
  ) {}

  /** For the pool: tells a new connection, unless it is lent, before anybody gets it. */
  readonly prepare = (client: NewClient, done: (error?: Error) => void): void => {
    // The pool does not listen to a client that somebody has; whose statement is under way hears of the same error.
    client.on('error', () => undefined);
    this.isNative = client.processID === undefined;
    // The native driver has the member, too, and is another program.
    this.canPipeline = this.mayPipeline && !this.isNative && client.pipeline !== undefined;
    if (this.canPipeline) {
      client.pipeline = true;
    }
    client.query(sql.setForSession(this.limits, client.processID), (error, result) => {
      this.isLent ||= result?.rows.length === 0;
      this.validator.noteUse(client);
      done(error);
    });
  };

  /** The first statement of a transaction of the queue's own, if it needs one. */
  get openingOfTransaction(): string | undefined {
    return this.isLent ? sql.setForTransaction(this.limits) : undefined;
  }

  /** Whether a connection may be given a statement while the one before it is at work. */
  get isPipelining(): boolean {
    return this.canPipeline && !this.isLent;
  }

  /** Runs statements on any free connection of the queue's pool. */
  runnerOf(unproven: SessionPool): SqlRunner {
    const pool = this.validator.over(unproven);
    const limit = new AnswerLimit(sql.clientTimeoutMs(this.limits));
    const direct = runnerOfPool(pool, queryOf, limit);
    const pipelined = new Map(PIPELINED.map((text) => [text, new PipelinedRunner(pool, queryOf, limit)]));
    return {
      query: async (text, params) => {
        if (!this.isLent) {
          try {
            const runner = this.canPipeline ? (pipelined.get(text) ?? direct) : direct;
            return await runner.query(text, params);
          } catch (error) {
            if (!isOfStrangeSession(error)) {
              throw error;
            }
            // A pooler after all, one that passes the numbers of processes on. Nothing was done.
            this.isLent = true;
          }
        }
        return this.inTransaction(pool, text, params);
      },
    };
  }

  /** Has the pool keep what is idle for a shorter time where a pooler stands between. */
  boundIdleTime(pool: IdlingPool): void {
    if (this.isLent) {
      boundIdleTime(pool);
    }
  }

  /** Leaves plans to the server while a query runner has a connection: it may ask anything, as the repository of jobs does. */
  leavePlanningTo(source: ConnectionSource): void {
    const obtain = source.obtainMasterConnection.bind(source);
    source.obtainMasterConnection = async () => {
      const [client, release] = await this.validator.firstValid(
        obtain,
        ([client]) => client,
        ([, release]) => release(new Error('the connection does not answer')),
      );
      if (this.isLent) {
        return [client, release];
      }
      await client.query(sql.LEAVE_PLANNING).catch((error: Error) => {
        release(error);
        throw error;
      });
      return [
        client,
        (error) => {
          if (error || this.isLent) {
            release(error);
          } else {
            client.query(sql.TAKE_PLANNING).then(() => release(), release);
          }
        },
      ];
    };
  }

  private async inTransaction(pool: SessionPool, text: string, params: readonly unknown[]): Promise<SqlRow[]> {
    let client: PooledClient | undefined;
    try {
      client = await pool.connect();
      await client.query(`BEGIN; ${sql.setForTransaction(this.limits)}`);
      const { rows } = await client.query({ text, values: [...params], types: typeParsers });
      await client.query('COMMIT');
      client.release();
      return rows;
    } catch (error) {
      const failure = toSqlError(error);
      if (client) {
        await giveBack(client, failure);
      }
      throw failure;
    }
  }
}

function queryOf(text: string, params: readonly unknown[]): PostgresQuery {
  return { name: PREPARED_NAMES.get(text), text, values: [...params], types: typeParsers };
}

/** Whether a prepared statement is not there, or another has its name: `invalid_sql_statement_name`, `duplicate_prepared_statement`. */
function isOfStrangeSession(error: unknown): boolean {
  const { driverCode } = error as SqlError;
  return driverCode === '26000' || driverCode === '42P05';
}

/** Ends the transaction that has failed; a connection that does not answer is closed. */
async function giveBack(client: PooledClient, { kind }: SqlError): Promise<void> {
  const isBroken = kind === 'unavailable' || !(await client.query('ROLLBACK').catch(() => false));
  client.release(isBroken);
}
