import type { SqlError } from '../runtime/sql-error.js';
import { toSqlError } from '../runtime/sql-error.js';
import type { RunTransactions, SqlRow, SqlRunner, SqlStatement } from '../runtime/sql-runner.js';
import type { SessionLimits } from './session.postgres.js';
import * as sql from './session.postgres.js';
import type { OwnTransaction } from './pool-runners.js';
import { createPoolRunner, PipelinedRunner, QueryTimeout, runInSequence, runInTransaction } from './pool-runners.js';
import type { IdlingPool, PooledClient, SessionPool } from './pool.js';
import { ConnectionValidator, shortenIdleTime } from './pool.js';
import { PIPELINED, toQuery, toUnnamedQuery } from './session-settings.js';

/** A row of the reply to `setForSession`. */
interface NewSession {
  readonly is_standby: string;
}

/** The part of `pg.Client` that prepares a new connection. */
interface NewClient {
  /** The server's process id. */
  readonly processID?: number;
  /** Whether the client sends a statement before the last one returns; absent before `pg` 8.23. */
  pipeline?: boolean;
  on(event: 'error', handle: () => void): void;
  query(sql: string, done: (error?: Error, result?: { rows: NewSession[] }) => void): void;
}

/** Runs statements and transactions on the queue's pool. */
export interface SessionRunner extends SqlRunner {
  readonly transact: RunTransactions;
  /** Runs work in one transaction. */
  readonly transaction: <T>(work: (tx: OwnTransaction) => Promise<T>) => Promise<T>;
}

/**
 * Sets up the queue's connections, so that its statements run under the same settings whatever the server's defaults are.
 *
 * A direct connection is set up once. Behind a pooler in transaction mode the settings would apply to the next client instead, so
 * there each transaction sets its own. A pooler is detected by its process ids, or, when it passes the server's ids through, by a
 * prepared statement that is missing; until then its connections keep the queue's settings.
 */
export class PostgresSession {
  /**
   * Whether the connections lead to a pooler. A pooler reports its own process ids, because it does not know which server process
   * its client will get. Its mode is unknown: in session mode this costs two extra round trips.
   */
  private isBehindPooler = false;
  private canPipeline = false;

  /** @param mayPipeline whether a connection may get a statement before the last one returns. */
  constructor(
    readonly limits: SessionLimits,
    private readonly mayPipeline = true,
    private readonly validator = new ConnectionValidator(),
  ) {}

  /** The pool's `verify` hook: sets up a new connection before its first use. */
  readonly prepare = (client: NewClient, done: (error?: Error) => void): void => {
    // The pool does not listen to a connection that is checked out. The running statement rejects with the same error.
    client.on('error', () => undefined);
    this.canPipeline = this.mayPipeline && client.pipeline !== undefined;
    if (this.canPipeline) {
      client.pipeline = true;
    }
    client.query(sql.setForSession(this.limits, client.processID), (error, result) => {
      this.isBehindPooler ||= result?.rows.length === 0;
      this.validator.markUsed(client);
      if (result?.rows[0]?.is_standby === 'true') {
        this.validator.markStandby(client);
      }
      done(error);
    });
  };

  /** The first statement of the queue's own transactions, if they need one. */
  private get transactionSettings(): string | undefined {
    return this.isBehindPooler ? sql.setForTransaction(this.limits) : undefined;
  }

  /** Whether a connection may get a statement before the last one returns. */
  get isPipelining(): boolean {
    return this.canPipeline && !this.isBehindPooler;
  }

  /** Returns a runner for statements and transactions on the queue's pool. */
  createRunner(untested: SessionPool): SessionRunner {
    const pool = this.validator.wrap(untested);
    const timeout = new QueryTimeout(sql.clientTimeoutMs(this.limits));
    const runDirect: RunTransactions = (transactions) =>
      runInSequence(
        pool,
        transactions.flatMap(enclose).map((statement) => toQuery(statement.sql, statement.params)),
        timeout,
      );
    const runPooled: RunTransactions = async (transactions) => {
      let rows: readonly SqlRow[] = [];
      for (const statements of transactions) {
        rows = await this.queryInTransaction(pool, statements);
      }
      return rows;
    };
    const direct = createPoolRunner(pool, toQuery, timeout);
    const pipelined = new Map(PIPELINED.map((text) => [text, new PipelinedRunner(pool, toQuery, timeout)]));
    return {
      query: async (text, params) => {
        const runner = this.canPipeline ? (pipelined.get(text) ?? direct) : direct;
        return this.runDirectOrPooled(
          () => runner.query(text, params),
          () => this.queryInTransaction(pool, [{ sql: text, params }]),
        );
      },
      transact: (transactions) =>
        this.runDirectOrPooled(
          () => runDirect(transactions),
          () => runPooled(transactions),
        ),
      transaction: (work) => {
        const settings = this.transactionSettings;
        const begin = settings === undefined ? sql.BEGIN : `${sql.BEGIN}; ${settings}`;
        const [first, commit, rollBack] = [begin, sql.COMMIT, sql.ROLLBACK].map((text) => toUnnamedQuery(text, []));
        const ends = { begin: first!, commit: commit!, rollBack: rollBack! };
        return runInTransaction(pool, work, ends, toUnnamedQuery, timeout);
      },
    };
  }

  private async runDirectOrPooled<T>(direct: () => Promise<T>, pooled: () => Promise<T>): Promise<T> {
    if (!this.isBehindPooler) {
      try {
        return await direct();
      } catch (error) {
        if (!isForeignSession(error)) {
          throw error;
        }
        // The statement was not executed, so it is safe to send it again.
        this.isBehindPooler = true;
      }
    }
    return pooled();
  }

  /** Shortens the pool's idle time behind a pooler. */
  boundIdleTime(pool: IdlingPool): void {
    if (this.isBehindPooler) {
      shortenIdleTime(pool);
    }
  }

  /**
   * Checks out a connection for statements that are not the queue's, which may need other plans: resets the planner settings until the
   * returned function is called.
   */
  async lend(untested: SessionPool): Promise<[PooledClient, (error?: Error | boolean) => void]> {
    const client = await this.validator.wrap(untested).connect();
    if (this.isBehindPooler) {
      return [client, (error) => client.release(Boolean(error))];
    }
    try {
      await client.query(sql.RESET_PLANNER);
    } catch (error) {
      client.release(true);
      throw error;
    }
    return [
      client,
      (error) => {
        if (error || this.isBehindPooler) {
          client.release(Boolean(error));
        } else {
          client.query(sql.SET_PLANNER).then(
            () => client.release(),
            () => client.release(true),
          );
        }
      },
    ];
  }

  private async queryInTransaction(pool: SessionPool, statements: readonly SqlStatement[]): Promise<SqlRow[]> {
    let client: PooledClient | undefined;
    try {
      client = await pool.connect();
      await client.query(`BEGIN; ${sql.setForTransaction(this.limits)}`);
      let rows: SqlRow[] = [];
      for (const { sql: text, params } of statements) {
        ({ rows } = await client.query(toUnnamedQuery(text, params)));
      }
      await client.query('COMMIT');
      client.release();
      return rows;
    } catch (error) {
      const failure = toSqlError(error);
      if (client) {
        await rollBackAndRelease(client, failure);
      }
      throw failure;
    }
  }
}

/** Adds BEGIN and COMMIT where a transaction has several statements. */
function enclose(statements: readonly SqlStatement[]): readonly SqlStatement[] {
  const end = (text: string): SqlStatement => ({ sql: text, params: [] });
  return statements.length === 1 ? statements : [end(sql.BEGIN), ...statements, end(sql.COMMIT)];
}

/** Whether the prepared statement is missing (`invalid_sql_statement_name`) or its name is taken (`duplicate_prepared_statement`). */
function isForeignSession(error: unknown): boolean {
  const { driverCode } = error as SqlError;
  return driverCode === '26000' || driverCode === '42P05';
}

/** A connection that does not reply is closed. */
async function rollBackAndRelease(client: PooledClient, { kind }: SqlError): Promise<void> {
  const isBroken = kind === 'unavailable' || !(await client.query('ROLLBACK').catch(() => false));
  client.release(isBroken);
}
