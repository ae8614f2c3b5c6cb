/*
 * store/postgres/. In: the verbs of `JobStore`, most of them for a set of jobs. Out: one statement or a few for each verb, and
 * their rows as the store's records.
 * Read this file first, then one class for each group of verbs: job-inserter.ts, job-claimer.ts, limited-claimer.ts, outcome-writer.ts,
 * lease-writer.ts, admin-writer.ts; then postgres-stats.ts, notifier.ts, postgres-listener.ts. SQL: sql/. Connections: driver/session.ts.
 */
import type { DataSource, EntityManager } from 'typeorm';
import type { Clock } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import { CallerTransactions } from '../caller-transaction.js';
import type {
  ActionRequest,
  ActionResult,
  ClaimRequest,
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
} from '../store-records.js';
import type { JobStore, StatementConcurrency, StoreCapabilities } from '../job-store.js';
import type { StoreTransaction, TransactionCall } from '../job-store.js';
import type { Audience, StoreHints } from '../store-hints.js';
import { ONE_AT_A_TIME } from '../job-store.js';
import { setUpTables } from '../migrator.js';
import { PausedTopics } from '../paused-topics.js';
import type { LinkChanges } from '../link-store.js';
import { GroupTable } from '../group-table.js';
import type { LinkTable } from '../link-table.js';
import { LogTable } from '../log-table.js';
import { StepTable } from '../step-table.js';
import { toJob } from '../row-mapper.js';
import type { SqlQuery, SqlRow, SqlScript } from '../sql-runner.js';
import { toSqlRunner, runScript } from '../sql-runner.js';
import { AdminWriter } from './admin-writer.js';
import {
  getApplicationPool,
  handleConnectionErrors,
  handlePoolErrors,
  transactionsAtOnce,
} from './driver/application-pool.js';
import { STATEMENTS_AT_ONCE } from './driver/pool-runners.js';
import type { SessionPool } from './driver/pool.js';
import { Semaphore } from './driver/semaphore.js';
import type { PostgresSession, SessionRunner } from './driver/session.js';
import { retryUntilDone, retryUntilUnlocked, runOwnTransaction, toTransactionError } from './error-translation.js';
import { JobClaimer } from './job-claimer.js';
import { JobInserter, needsTransaction } from './job-inserter.js';
import { LeaseWriter } from './lease-writer.js';
import { LimitedClaimer } from './limited-claimer.js';
import { MaintenanceWriter } from './maintenance-writer.js';
import { Notifier } from './notifier.js';
import { OutcomeWriter } from './outcome-writer.js';
import { createLimitTable } from './postgres-limits.js';
import type { PostgresClient } from './postgres-listener.js';
import { PostgresListener } from './postgres-listener.js';
import { createPostgresLinks } from './postgres-links.js';
import { createPostgresSchedules } from './postgres-schedules.js';
import { PostgresStats } from './postgres-stats.js';
import * as admin from './sql/admin.js';
import { FIND_HOLDER, FIND_JOBS } from './sql/list.js';
import * as group from './sql/group.js';
import * as log from './sql/log.js';
import * as schema from './sql/schema.js';
import * as step from './sql/step.js';
import * as channel from './sql/session.js';

export interface PostgresStoreOptions {
  /** The application's DataSource. */
  readonly app: DataSource;
  /** The queue's own DataSource, not initialized yet; the store opens and closes it. */
  readonly own: DataSource;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  /** The pool size of `own`. */
  readonly connections: number;
  /** The settings of `own`'s connections. */
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
const OWN_TABLES = /\b_jobs(_links|_groups)?\b/g;

type Pool = SessionPool & { readonly options: object };

/** The job store for PostgreSQL. */
export class PostgresStore implements JobStore {
  readonly capabilities: StoreCapabilities;
  // Above the fields that receive them. Each calls a part that `open` or the constructor creates.
  private readonly read: SqlQuery = (text, params) => this.limitedQuery(text, params);
  private readonly write: SqlQuery = (text, params) => this.query(text, params);
  private readonly lockingWrite: SqlQuery = (text, params) => this.lockLimit.run(() => this.query(text, params));

  readonly reports = new PostgresStats(this.read);
  readonly pauses = new PausedTopics(admin, this.read);
  readonly schedules = createPostgresSchedules({ read: this.read, write: this.lockingWrite, fire: this.write });
  readonly groups = new GroupTable(group, this.read, this.write);
  readonly logs = new LogTable(log, this.read, this.write);
  readonly steps = new StepTable(step, this.write);
  readonly links: LinkTable = createPostgresLinks({
    read: this.read,
    query: (text, params, tx) => this.query(text, params, tx),
    transaction: (work) => this.lockLimit.run(() => this.ownTransaction(work)),
    transactOutcomes: (script) => this.lockLimit.run(() => retryUntilDone(() => this.runner.runScript(script()))),
    inserter: () => this.jobInserter,
  });

  readonly limitedTopics = new LimitedClaimer({
    query: this.write,
    transact: (transactions) => retryUntilDone(() => this.runner.transact(transactions)),
    isNative: () => this.options.session.isNative,
    schema: () => this.schema ?? '',
  });

  readonly limits = createLimitTable(this.read, this.lockingWrite);

  private readonly transactions: CallerTransactions;
  private readonly notifier: Notifier;
  private readonly jobInserter: JobInserter;
  private readonly jobClaimer = new JobClaimer(this.write, () => this.options.session.isNative);
  private readonly leaseWriter = new LeaseWriter(this.write);
  private readonly outcomeWriter = new OutcomeWriter((text, params, tx) => this.query(text, params, tx), this.links);
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

  private runner!: SessionRunner;
  /** The schema of the tables as an SQL identifier; known after `open`. */
  private schema: string | undefined;
  private stopHandlingErrors: (() => void) | undefined;

  constructor(private readonly options: PostgresStoreOptions) {
    const { app, own, clock, connections, session } = options;
    this.capabilities = {
      transactionsAtOnce: transactionsAtOnce(getApplicationPool(app).options.max),
      inserts: INSERTS,
      database: 'postgres',
      get pipelined() {
        return session.isPipelining ? PIPELINED : ONE_AT_A_TIME;
      },
    };
    this.queryLimit = connections > 2 ? new Semaphore(connections - 2) : this.lockLimit;
    this.handlerLimit = new Semaphore(this.capabilities.transactionsAtOnce);
    this.transactions = new CallerTransactions([app, own]);
    this.notifier = new Notifier((payload) => this.notify(channel.JOBS_CHANNEL, payload), clock);
    this.jobInserter = new JobInserter({
      query: (text, params, tx) => this.query(text, params, tx),
      transaction: (work) => this.ownTransaction(work),
      notifier: this.notifier,
    });
  }

  async open(): Promise<void> {
    const { app, own, session, migrate } = this.options;
    await own.initialize();
    try {
      session.resetPlannerSettings(own.driver);
      session.boundIdleTime(this.pool);
      this.transactions.startWatching();
      this.stopHandlingErrors = handlePoolErrors(getApplicationPool(app));
      this.runner = session.createRunner(this.pool);
      await setUpTables({
        databaseType: 'postgres',
        statements: schema,
        migrate,
        read: (statement) => this.query(statement, []),
        run: (script) => this.runMigrations(script),
      });
      this.schema = String((await this.query(schema.SCHEMA_OF_JOBS, []))[0]!.name);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const { own, clock } = this.options;
    this.transactions.close();
    this.stopHandlingErrors?.();
    if (own.isInitialized) {
      await endsWithin(clock, FLUSH_MAX_MS, this.notifier.flush());
      await endsWithin(clock, CLOSE_MAX_MS, own.destroy());
    }
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

  claim(request: ClaimRequest): Promise<Claim[]> {
    return this.jobClaimer.claim(request);
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

  completeTx(tx: StoreTransaction, token: ClaimToken, result: string | null, progress?: string): Promise<LinkChanges> {
    return this.outcomeWriter.completeTx(tx, token, result, progress);
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.handlerLimit.run(() =>
      // The heartbeat updates this row during the transaction. Under REPEATABLE READ its completion would fail.
      this.options.app.transaction('READ COMMITTED', async (manager: EntityManager) => {
        await handleConnectionErrors(manager.queryRunner!);
        return work(manager);
      }),
    );
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
    return this.adminWriter.requeue(ids, changes, request);
  }

  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.adminWriter.promote(ids, request);
  }

  async cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    const results = await this.links.act('cancel', await this.adminWriter.cancel(ids, request), request);
    if (results.some((job) => job.changed && job.status === 'processing')) {
      void this.notify(channel.CANCEL_CHANNEL, '');
    }
    return results;
  }

  async delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.links.act('delete', await this.adminWriter.delete(ids, request), request);
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
    const { clock, logger, own } = this.options;
    this.notifier.codec.worker = hints.worker;
    const { Client } = (own.driver as unknown as { postgres: { Client: new (o: object) => PostgresClient } }).postgres;
    const listener = new PostgresListener({
      clock,
      logger,
      // The options object itself: a copy would lose the password, which is not enumerable.
      makeClient: () => new Client(this.pool.options),
      sendEcho: () => this.limitedQuery(channel.NOTIFY, [channel.ECHO_CHANNEL, '']),
      hints,
      codec: this.notifier.codec,
    });
    await listener.start();
    return () => listener.stop();
  }

  private get pool(): Pool {
    return (this.options.own.driver as unknown as { master: Pool }).master;
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

  protected async query(text: string, params: readonly unknown[], tx?: StoreTransaction): Promise<readonly SqlRow[]> {
    if (!tx) {
      return retryUntilDone(() => this.runner.query(text, params));
    }
    try {
      const queryRunner = this.transactions.getQueryRunner(tx);
      await handleConnectionErrors(queryRunner);
      return await toSqlRunner(queryRunner).query(this.qualify(text), params);
    } catch (error) {
      throw toTransactionError(error);
    }
  }

  /** The `search_path` of the caller's transaction may lead to a `_jobs` in another schema. */
  private qualify(text: string): string {
    return this.schema === undefined ? text : text.replace(OWN_TABLES, (table) => `${this.schema}.${table}`);
  }

  private ownTransaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return runOwnTransaction(this.options.own, this.options.session.transactionSettings, work);
  }
}
