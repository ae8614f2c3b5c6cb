/*
 * store/postgres/. In: the verbs of `JobStore`, most of them for a set of jobs. Out: one statement or a few for each verb, and
 * their rows as the store's records.
 * Read this file first: it joins one class for each group of verbs, which lie in the folders of their subjects, such as
 * jobs/postgres-inserter.ts. This folder has what reaches the database: own-pool.ts, session.ts, pool-runners.ts, notifier.ts and
 * postgres-listener.ts.
 */
import type { Clock } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/retention.js';
import type {
  PostgresTransactions,
  StoreTransaction,
  TransactionCall,
} from '../transactions/application-transactions.js';
import type {
  ActionRequest,
  ActionResult,
  ClaimRequest,
  ClaimResult,
  ClaimState,
  ExpiredJob,
  InsertedJob,
  JobInsert,
  LaneGap,
  LaneScan,
  LaneStart,
  LostLease,
  ProgressEntry,
  PrunedPage,
  PrunePage,
  RequeueChanges,
  Rescue,
  Settled,
  Settlement,
} from '../jobs/job-records.js';
import type { JobStore, StatementConcurrency, StoreCapabilities } from '../job-store.js';
import type { Audience, StoreHints } from '../runtime/store-hints.js';
import { ONE_AT_A_TIME } from '../job-store.js';
import { readQueueId, setUpTables } from '../migrate/migrator.js';
import { PausedTopics } from '../topics/paused-topics.js';
import type { LinkChanges } from '../links/link-store.js';
import { acceptAdapters, idToFind } from '../transactions/adapted-transactions.js';
import { GroupTable } from '../links/group-table.js';
import type { LinkTable } from '../links/link-table.js';
import { LogTable } from '../logs/log-table.js';
import { StepTable } from '../jobs/step-table.js';
import { toJob } from '../jobs/row-mapper.js';
import type { SqlQuery, SqlRow, SqlScript, SqlStatement } from '../runtime/sql-runner.js';
import { runScript } from '../runtime/sql-runner.js';
import { AdminWriter } from '../jobs/postgres-action-writer.js';
import type { OwnPool, PostgresDatabase } from './own-pool.js';
import { openPool } from './own-pool.js';
import { OwnTransaction, STATEMENTS_AT_ONCE } from './pool-runners.js';
import { Semaphore } from './semaphore.js';
import type { PostgresSession, SessionRunner } from './session.js';
import { retryUntilDone, retryUntilUnlocked, toTransactionError } from './postgres-errors.js';
import { JobClaimer } from '../jobs/postgres-claimer.js';
import { JobInserter, needsTransaction } from '../jobs/postgres-inserter.js';
import { LeaseWriter } from '../jobs/postgres-lease-writer.js';
import { LimitedClaimer } from '../limits/postgres-limited-claimer.js';
import { MaintenanceWriter } from '../jobs/postgres-maintenance-writer.js';
import { Notifier } from './notifier.js';
import { OutcomeWriter } from '../jobs/postgres-outcome-writer.js';
import { createDefinitionTable } from '../definitions/postgres-definitions.js';
import { LimitTable } from '../limits/limit-table.js';
import * as limit from '../limits/limit.postgres.js';
import { PRUNE_STARTS } from '../limits/limited-claim.postgres.js';
import { PostgresListener } from './postgres-listener.js';
import { createPostgresLinks } from '../links/postgres-links.js';
import { createPostgresSchedules } from '../schedules/postgres-schedules.js';
import { PostgresStats } from '../reports/postgres-reports.js';
import * as admin from '../jobs/actions.postgres.js';
import { FIND_HOLDER, FIND_JOBS } from '../lists/list.postgres.js';
import * as group from '../links/group.postgres.js';
import * as log from '../logs/log.postgres.js';
import * as schema from '../migrate/schema.postgres.js';
import * as step from '../jobs/step.postgres.js';
import * as channel from './session.postgres.js';

export interface PostgresStoreOptions {
  readonly database: PostgresDatabase;
  /** Opens what serves the application's transactions. @param pool the queue's own connections, which the store closes. */
  readonly openTransactions: (pool: OwnPool) => Promise<PostgresTransactions>;
  /** How many transactions of handlers may run at once; 0: none. */
  readonly transactionsAtOnce: number;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  /** Size of the queue's own pool. */
  readonly connections: number;
  /** Sets up the connections of that pool. */
  readonly session: PostgresSession;
}

/** Parallel inserts, each on a connection. */
const INSERTS: StatementConcurrency = { atOnce: 2, minJobsForAnother: 16 };
/** Pipelined statements, all on one connection. */
const PIPELINED: StatementConcurrency = { atOnce: STATEMENTS_AT_ONCE, minJobsForAnother: 250 };

/** How long `close` waits for the last notification. If it is lost, other processes find the jobs by polling. */
const FLUSH_MAX_MS = 500;
/** How long `close` waits for connections. On a silent network a running query would delay it indefinitely. */
const CLOSE_MAX_MS = 5_000;

/** The tables that statements in a transaction of the application use. */
const OWN_TABLES = /\b_jobs(_links|_groups|_meta)?\b/g;

/** The job store for PostgreSQL. */
export class PostgresStore implements JobStore {
  readonly capabilities: StoreCapabilities;
  // Above the fields that receive them. Each calls a part that `open` or the constructor creates.
  private readonly read: SqlQuery = (text, params) => this.limitedQuery(text, params);
  private readonly write: SqlQuery = (text, params) => this.query(text, params);
  private readonly lockingWrite: SqlQuery = (text, params) => this.lockLimit.run(() => this.query(text, params));

  /** Plans the statement for its values. */
  private readonly readPlanned: SqlQuery = (text, params) => {
    const settings = channel.RESET_PLANNER_LOCALLY.map((sql) => ({ sql, params: [] }));
    return this.queryLimit.run(() => this.transact([[...settings, { sql: text, params }]]));
  };

  readonly reports = new PostgresStats(this.read, this.readPlanned);
  readonly pauses = new PausedTopics(admin, this.read);
  readonly schedules = createPostgresSchedules({ read: this.read, write: this.lockingWrite, fire: this.write });
  readonly groups = new GroupTable(group, this.read, this.write);
  readonly logs = new LogTable(log, this.read, this.write);
  readonly steps = new StepTable(step, this.write);
  readonly links: LinkTable = createPostgresLinks({
    read: this.read,
    query: (text, params, tx) => this.query(text, params, tx),
    transaction: (work) => this.lockLimit.run(() => this.ownTransaction(work)),
    inserter: () => this.jobInserter,
  });

  readonly limits = new LimitTable({
    statements: limit,
    read: this.read,
    write: this.lockingWrite,
    pruneStarts: async (topic, max) => Number((await this.write(PRUNE_STARTS, [topic, max]))[0]!.removed),
  });

  readonly definitions = createDefinitionTable(
    this.read,
    (transactions) => this.lockLimit.run(() => this.transact(transactions)),
    () => this.schema ?? '',
  );

  private readonly notifier: Notifier;
  private readonly jobInserter: JobInserter;
  private readonly jobClaimer = new JobClaimer(this.write);
  private readonly limitedClaimer = new LimitedClaimer({
    query: this.write,
    transact: (transactions) => this.transact(transactions),
    schema: () => this.schema ?? '',
  });

  private readonly leaseWriter = new LeaseWriter(this.write);
  private readonly outcomeWriter = new OutcomeWriter(
    (text, params, tx) => this.query(text, params, tx),
    (script) =>
      this.lockLimit.run(() => retryUntilDone(() => this.runner.transaction((tx) => runScript(tx, script())))),
    this.links,
    (tx) => idToFind(tx, this.queueId),
  );
  private readonly maintenanceWriter = new MaintenanceWriter(this.write, this.links);
  private readonly adminWriter = new AdminWriter(this.lockingWrite);

  /**
   * Requests of users and of the application, which may be slow. `lockLimit` and `queryLimit` together leave one connection for
   * claims, renewals, outcomes and plain inserts. With 2 connections they share one slot.
   */
  private readonly queryLimit: Semaphore;
  /** Statements that may wait for an open transaction run one at a time, or they would occupy the whole pool. */
  private readonly lockLimit = new Semaphore(1);
  /** Plain inserts are short and wait for no lock. */
  private readonly insertLimit = new Semaphore(INSERTS.atOnce);
  /** Transactional handlers on the application's pool. */
  private readonly handlerLimit: Semaphore;

  // Known after `open`.
  private pool!: OwnPool;
  private runner!: SessionRunner;
  private transactions!: PostgresTransactions;
  private isClosed = false;
  /** The schema of the tables as an SQL identifier. */
  private schema: string | undefined;
  /** Tells the queue's database from others. */
  private queueId: string | null = null;

  constructor(private readonly options: PostgresStoreOptions) {
    const { transactionsAtOnce, clock, connections, session } = options;
    this.capabilities = {
      transactionsAtOnce,
      inserts: INSERTS,
      database: 'postgres',
      get pipelined() {
        return session.isPipelining ? PIPELINED : ONE_AT_A_TIME;
      },
    };
    this.queryLimit = connections > 2 ? new Semaphore(connections - 2) : this.lockLimit;
    this.handlerLimit = new Semaphore(transactionsAtOnce);
    this.notifier = new Notifier((payload) => this.notify(channel.JOBS_CHANNEL, payload), clock);
    this.jobInserter = new JobInserter({
      query: (text, params, tx) => this.query(text, params, tx),
      transaction: (work) => this.ownTransaction(work),
      notifier: this.notifier,
      queueId: (tx) => idToFind(tx, this.queueId),
    });
  }

  async open(): Promise<void> {
    const { database, connections, openTransactions, session, migrate } = this.options;
    this.pool = await openPool(database, connections, session);
    try {
      this.runner = session.createRunner(this.pool);
      this.transactions = acceptAdapters(await openTransactions(this.pool), 'postgres');
      await setUpTables({
        databaseType: 'postgres',
        statements: schema,
        migrate,
        read: (statement) => this.query(statement, []),
        run: (script) => this.runMigrations(script),
      });
      this.schema = String((await this.query(schema.SCHEMA_OF_JOBS, []))[0]!.name);
      const query = (statement: string): Promise<readonly SqlRow[]> => this.query(statement, []);
      this.queueId = await readQueueId({ statements: schema, migrate, read: query, write: query });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const { clock } = this.options;
    const pool = this.pool as OwnPool | undefined;
    if (!pool || this.isClosed) {
      return;
    }
    await this.links.close(clock);
    this.isClosed = true;
    await endsWithin(clock, FLUSH_MAX_MS, this.notifier.flush());
    await (this.transactions as PostgresTransactions | undefined)?.close();
    await endsWithin(clock, CLOSE_MAX_MS, pool.end());
  }

  async insert(jobs: readonly JobInsert[], tx?: StoreTransaction, isOwn = false): Promise<InsertedJob[]> {
    if (tx) {
      return this.jobInserter.insertIn(tx, jobs);
    }
    if (needsTransaction(jobs)) {
      return this.lockLimit.run(() => this.jobInserter.insertInOwnTransaction(jobs, isOwn));
    }
    const isKeyed = jobs.some(({ uniqueKey }) => uniqueKey !== null);
    return (isKeyed ? this.lockLimit : this.insertLimit).run(() => this.jobInserter.insert(jobs, isOwn));
  }

  async find(ids: readonly string[], tx?: StoreTransaction): Promise<Job[]> {
    const rows = await (tx ? this.query(FIND_JOBS, [ids], tx) : this.limitedQuery(FIND_JOBS, [ids]));
    return rows.map(toJob);
  }

  async findHolder(topic: string, uniqueKey: string): Promise<Job | undefined> {
    return (await this.limitedQuery(FIND_HOLDER, [topic, uniqueKey])).map(toJob)[0];
  }

  joinTransaction(tx: StoreTransaction, onEnd: (committed: boolean) => void): TransactionCall {
    return this.transactions.join(tx, onEnd);
  }

  claim(request: ClaimRequest): Promise<ClaimResult> {
    return request.from === 'lanes' ? this.jobClaimer.claim(request) : this.limitedClaimer.claim(request);
  }

  scan(gaps: readonly LaneGap[], lanes?: readonly LaneStart[]): Promise<LaneScan> {
    return this.jobClaimer.scan(gaps, lanes);
  }

  markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
    return this.leaseWriter.markStarted(tokens);
  }

  renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]> {
    return this.leaseWriter.renew(tokens, leaseMs);
  }

  cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    return this.leaseWriter.cancelRequests(tokens);
  }

  recordProgress(entries: readonly ProgressEntry[]): Promise<ClaimState[]> {
    return this.leaseWriter.recordProgress(entries);
  }

  explainLostLeases(losses: readonly LostLease[]): Promise<string[]> {
    return this.leaseWriter.explainLostLeases(losses);
  }

  settle(settlements: readonly Settlement[], discardStatuses: readonly FinalStatus[] = []): Promise<Settled[]> {
    return this.outcomeWriter.settle(settlements, discardStatuses);
  }

  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    return this.outcomeWriter.discard(tokens, statuses);
  }

  completeTx(...args: Parameters<OutcomeWriter['completeTx']>): Promise<LinkChanges> {
    return this.outcomeWriter.completeTx(...args);
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.handlerLimit.run(() => this.transactions.run(work));
  }

  rescue(limit: number, lowerBound: string | null = null): Promise<Rescue> {
    return this.maintenanceWriter.rescue(limit, lowerBound);
  }

  expire(limit: number, lowerBound?: string | null): Promise<ExpiredJob[]> {
    return this.maintenanceWriter.expire(limit, lowerBound);
  }

  prune(retention: Retention | null, page: PrunePage): Promise<PrunedPage> {
    return this.maintenanceWriter.prune(retention, page);
  }

  requeue(ids: readonly string[], changes?: RequeueChanges, request?: ActionRequest): Promise<ActionResult[]> {
    return this.links.act(ids, (some) => this.adminWriter.requeue(some, changes, request));
  }

  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.adminWriter.promote(ids, request);
  }

  async cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    const results = await this.links.act(ids, (some) => this.adminWriter.cancel(some, request));
    if (results.some((job) => job.changed && job.status === 'processing')) {
      void this.notify(channel.CANCEL_CHANNEL, '');
    }
    return results;
  }

  async delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.links.act(ids, (some) => this.adminWriter.delete(some, request));
  }

  announce(topics: Iterable<string>, audience?: Audience): void {
    this.notifier.announce(topics, audience);
  }

  announceWorkers(): Promise<void> {
    return this.notify(channel.WORKERS_CHANNEL, '');
  }

  announceSchedules(): void {
    void this.notify(channel.SCHEDULES_CHANNEL, '');
  }

  async listen(hints: StoreHints): Promise<() => Promise<void>> {
    const { clock, logger, database } = this.options;
    this.notifier.codec.worker = hints.worker;
    const listener = new PostgresListener({
      clock,
      logger,
      // The options object itself: a copy would lose the password, which is not enumerable.
      makeClient: () => new database.driver.Client(this.pool.options),
      sendEcho: () => this.limitedQuery(channel.NOTIFY, [channel.ECHO_CHANNEL, '']),
      hints,
      codec: this.notifier.codec,
    });
    await listener.start();
    return () => listener.stop();
  }

  private runMigrations(script: () => SqlScript<void>): Promise<void> {
    return retryUntilUnlocked(this.options.clock, () =>
      this.ownTransaction(async (tx) => {
        await this.query(schema.LOCK_MIGRATIONS, [], tx);
        await runScript({ query: (text, params) => this.query(text, params, tx) }, script());
      }),
    );
  }

  private async notify(name: string, payload: string): Promise<void> {
    try {
      await this.query(channel.NOTIFY, [name, payload]);
    } catch (error) {
      this.options.logger.debug(`a notification was not sent; polling takes its place: ${toErrorMessage(error)}`);
    }
  }

  private limitedQuery(text: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return this.queryLimit.run(() => this.query(text, params));
  }

  protected transact(transactions: readonly (readonly SqlStatement[])[]): Promise<readonly SqlRow[]> {
    return retryUntilDone(() => this.runner.transact(transactions));
  }

  /** @param tx a transaction of the application or of the queue. */
  protected async query(text: string, params: readonly unknown[], tx?: StoreTransaction): Promise<readonly SqlRow[]> {
    if (!tx) {
      return retryUntilDone(() => this.runner.query(text, params));
    }
    try {
      if (tx instanceof OwnTransaction) {
        return await tx.query(text, params);
      }
      return await (await this.transactions.createRunner(tx)).query(this.qualify(text), params);
    } catch (error) {
      throw toTransactionError(error);
    }
  }

  /** The `search_path` of the caller's transaction may lead to a `_jobs` in another schema. */
  private qualify(text: string): string {
    return this.schema === undefined ? text : text.replace(OWN_TABLES, (table) => `${this.schema}.${table}`);
  }

  private ownTransaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return retryUntilDone(() => this.runner.transaction(work));
  }
}
