import type { DataSource, EntityManager } from 'typeorm';
import type { Clock } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import { CallerTransactions } from '../caller-transactions.js';
import type * as Seam from '../job-store.js';
import type { JobStore, StoreTransaction } from '../job-store.js';
import { setUpTables } from '../migrator.js';
import { PausedTopics } from '../paused-topics.js';
import { refusedCompletion } from '../refused-completion.js';
import { agesOf } from '../retention-ages.js';
import { toJob, toRescue, toLaneScan } from '../row-mapper.js';
import { piecesOf } from '../batch-json.js';
import type { SqlRow, SqlRunner, SqlScript } from '../sql-runner.js';
import { runnerOfQueryRunner, runScript } from '../sql-runner.js';
import { Notifier } from './notifier.js';
import { hearErrors, hearErrorsOf, poolOf } from './driver/application-pool.js';
import { capabilitiesOf } from './capabilities.js';
import { toClaim } from './claim-row.js';
import { CLAIM, CLAIM_AS_TEXT, SCAN } from './sql/claim.js';
import { translatedIn, untilDone } from './error-translation.js';
import { JobInserter, topicsOf } from './job-inserter.js';
import { LeaseWriter } from './leases.js';
import type { PostgresClient } from './listener.js';
import { PostgresListener } from './listener.js';
import { PRUNE, RESCUE } from './sql/maintenance.js';
import { whenUnlocked } from './migration-lock.js';
import { CANCEL, DELETE, PROMOTE } from './sql/admin.js';
import { CANCEL_CHANNEL, ECHO_CHANNEL, JOBS_CHANNEL, NOTIFY } from './sql/notification.js';
import * as pauseStatements from './sql/pause.js';
import { PostgresStats } from './postgres-stats.js';
import { FIND_HOLDER, FIND_JOBS } from './sql/stats.js';
import { RequestedActions } from './requested-moves.js';
import type { PostgresSession } from './driver/session.js';
import type { SessionPool } from './driver/session-pool.js';
import { COMPLETE_IN_TX, OWNED_STATE } from './sql/complete.js';
import { OutcomeWriter } from './settlements.js';
import * as tableStatements from './sql/schema.js';
import { Semaphore } from './driver/semaphore.js';

export interface PostgresStoreOptions {
  /** The application's DataSource. */
  readonly app: DataSource;
  /** The queue's own, not initialized yet; opened and closed by the store. */
  readonly own: DataSource;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  /** Size of the pool of `own`. */
  readonly connections: number;
  /** What the statements of `own` run under. */
  readonly session: PostgresSession;
}

/** Others find jobs without hints, too, only later. */
const LAST_HINT_MAX_MS = 500;
const CLOSE_MAX_MS = 5_000;

type Pool = SessionPool & { readonly options: object };

/** Jobs in PostgreSQL: each verb is one statement, or a few. */
export class PostgresStore implements JobStore {
  readonly capabilities: Seam.StoreCapabilities;
  readonly reports = new PostgresStats((text, params) => this.visit(text, params));
  readonly pauses = new PausedTopics(pauseStatements, (text, params) => this.visit(text, params));

  private readonly transactions: CallerTransactions;
  private readonly announcer: Notifier;
  private readonly insertions: JobInserter;
  /**
   * Requests of people and of the application, which may take long or wait for locks: with two connections or more, one is
   * left for claims, renewals and settlements, which share it with inserts that wait for nobody.
   */
  private readonly visitors: Semaphore;
  /** Those who may wait for an open transaction: one at a time, or they would use up the pool. */
  private readonly waiters = new Semaphore(1);
  /** Other inserts wait for nobody, and are short. */
  private readonly inserters: Semaphore;
  private readonly handlers: Semaphore;
  private readonly leases = new LeaseWriter((text, params) => this.query(text, params));
  private readonly settlements = new OutcomeWriter((text, params) => this.query(text, params));
  private readonly moves = new RequestedActions((text, params) => this.waiters.pass(() => this.query(text, params)));
  private runner!: SqlRunner;
  /** Where the tables are, as an identifier; known once they are there. */
  private schema: string | undefined;
  private stopHearing: (() => void) | undefined;

  constructor(private readonly options: PostgresStoreOptions) {
    this.capabilities = capabilitiesOf(options.app, options.session);
    this.inserters = new Semaphore(this.capabilities.inserts.atOnce);
    this.handlers = new Semaphore(this.capabilities.transactionsAtOnce);
    this.transactions = new CallerTransactions([options.app, options.own]);
    this.announcer = new Notifier((hint) => this.notify(JOBS_CHANNEL, hint), options.clock);
    this.visitors = options.connections > 2 ? new Semaphore(options.connections - 2) : this.waiters;
    this.insertions = new JobInserter(
      (text, params, tx) => this.query(text, params, tx),
      this.announcer,
      (work) => this.ownTransaction(work),
    );
  }

  async open(): Promise<void> {
    await this.options.own.initialize();
    try {
      this.options.session.leavePlanningTo(this.options.own.driver);
      this.options.session.boundIdleTime(this.pool);
      this.transactions.startWatching();
      this.stopHearing = hearErrorsOf(poolOf(this.options.app));
      this.runner = this.options.session.runnerOf(this.pool);
      await setUpTables({
        databaseType: 'postgres',
        statements: tableStatements,
        migrate: this.options.migrate,
        read: (statement) => this.query(statement, []),
        run: (script) => this.runMigrations(script),
      });
      this.schema = String((await this.query(tableStatements.SCHEMA_OF_JOBS, []))[0]!.name);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.transactions.close();
    this.stopHearing?.();
    if (this.options.own.isInitialized) {
      await endsWithin(this.options.clock, LAST_HINT_MAX_MS, this.announcer.flush());
      // A connection on which a query hangs would be waited for as long as the network keeps silent.
      await endsWithin(this.options.clock, CLOSE_MAX_MS, this.options.own.destroy());
    }
  }

  async insert(jobs: readonly Seam.JobInsert[], tx?: StoreTransaction): Promise<Seam.InsertedJob[]> {
    const { insertions } = this;
    if (tx) {
      return insertions.insertIn(tx, jobs);
    }
    const isKeyed = jobs.some((job) => job.uniqueKey !== null);
    const mayTakeRounds = isKeyed && jobs.length > 1;
    if (!mayTakeRounds && piecesOf(jobs).length === 1) {
      return (isKeyed ? this.waiters : this.inserters).pass(() => insertions.insert(jobs));
    }
    const insert = (): Promise<Seam.InsertedJob[]> => this.ownTransaction((own) => insertions.insertAlone(own, jobs));
    const inserted = await this.waiters.pass(insert);
    this.announcer.announce(topicsOf(jobs));
    return inserted;
  }

  async find(ids: readonly string[], tx?: StoreTransaction): Promise<Job[]> {
    return (await this.visit(FIND_JOBS, [ids], tx)).map(toJob);
  }

  async findHolder(topic: string, uniqueKey: string): Promise<Job | undefined> {
    return (await this.visit(FIND_HOLDER, [topic, uniqueKey])).map(toJob)[0];
  }

  joinTransaction(tx: StoreTransaction, done: (committed: boolean) => void): Seam.TransactionPart {
    return this.transactions.join(tx, done);
  }

  async claim({ lanes, limit, worker, leaseMs }: Seam.ClaimRequest): Promise<Claim[]> {
    const input = lanes.map((lane) => ({
      topic: lane.topic,
      priority: lane.priority,
      lower_bound: lane.lowerBound ?? '-infinity',
      lane_limit: lane.limit,
    }));
    const statement = this.options.session.isNative ? CLAIM_AS_TEXT : CLAIM;
    const rows = await this.query(statement, [JSON.stringify(input), limit, worker, leaseMs]);
    return rows.map(toClaim);
  }

  async scan(gaps: readonly Seam.LaneGap[], lanes: readonly Seam.LaneStart[] = []): Promise<Seam.LaneScan> {
    const starts = lanes.map(({ topic, priority, lowerBound }) => ({
      topic,
      priority,
      lower_bound: lowerBound ?? '-infinity',
    }));
    return toLaneScan(await this.query(SCAN, [JSON.stringify(gaps), JSON.stringify(starts)]));
  }

  markStarted(tokens: readonly ClaimToken[]): Promise<Seam.ClaimState[]> {
    return this.leases.begin(tokens);
  }

  renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<Seam.ClaimState[]> {
    return this.leases.renew(tokens, leaseMs);
  }

  cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    return this.leases.cancelRequests(tokens);
  }

  settle(
    settlements: readonly Seam.Settlement[],
    discardStatuses: readonly FinalStatus[] = [],
  ): Promise<Seam.Settled[]> {
    return this.settlements.settle(settlements, discardStatuses);
  }

  recordProgress(entries: readonly Seam.ProgressEntry[]): Promise<boolean[]> {
    return this.leases.recordProgress(entries);
  }

  async completeTx(tx: StoreTransaction, { id, attempt }: ClaimToken, result: string | null): Promise<void> {
    const completed = await this.query(COMPLETE_IN_TX, [id, attempt, result], tx);
    if (completed.length > 0) {
      return;
    }
    const [owned] = await this.query(OWNED_STATE, [id, attempt], tx);
    throw refusedCompletion({ id, attempt }, owned);
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.handlers.pass(() =>
      // Each renewal of the lease touches the row that the transaction completes: a snapshot of its own would refuse that.
      this.options.app.transaction('READ COMMITTED', async (manager: EntityManager) => {
        await hearErrors(manager.queryRunner!);
        return work(manager);
      }),
    );
  }

  async rescue(limit: number, lowerBound: string | null = null): Promise<Seam.Rescue> {
    return toRescue(await this.query(RESCUE, [limit, lowerBound ?? '-infinity']));
  }

  async prune(retention: Retention, { after, rows, except = [] }: Seam.PrunePage): Promise<Seam.PrunedPage> {
    const { json, youngestMs } = agesOf(retention);
    const [page] = await this.query(PRUNE, [after, rows, json, youngestMs, except]);
    return { removed: Number(page!.removed), next: page!.next as string | null };
  }

  requeue(ids: readonly string[], changes?: Seam.RequeueChanges, from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.requeue(ids, changes, from);
  }

  promote(ids: readonly string[], from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.move(PROMOTE, ids, from);
  }

  async cancel(ids: readonly string[], from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    const moved = await this.moves.move(CANCEL, ids, from);
    if (moved.some((job) => job.moved && job.status === 'processing')) {
      void this.notify(CANCEL_CHANNEL, '');
    }
    return moved;
  }

  delete(ids: readonly string[], from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.move(DELETE, ids, from);
  }

  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    return this.settlements.discard(tokens, statuses);
  }

  announce(topics: Iterable<string>): void {
    this.announcer.announce(topics);
  }

  async listen(hints: Seam.StoreHints): Promise<() => Promise<void>> {
    const { Client } = (
      this.options.own.driver as unknown as { postgres: { Client: new (o: object) => PostgresClient } }
    ).postgres;
    // The options object itself: its password is not enumerable, a copy would lose it.
    const listener = new PostgresListener({
      ...this.options,
      makeClient: () => new Client(this.pool.options),
      sendEcho: () => this.visit(NOTIFY, [ECHO_CHANNEL, '']),
      hints,
      codec: this.announcer.codec,
    });
    await listener.start();
    return () => listener.stop();
  }

  private runMigrations(script: () => SqlScript<void>): Promise<void> {
    const migrate = (): Promise<void> =>
      this.ownTransaction(async (tx) => {
        await this.query(tableStatements.LOCK_MIGRATIONS, [], tx);
        await runScript({ query: (text, params) => this.query(text, params, tx) }, script());
      });
    return whenUnlocked(migrate, this.options.clock);
  }

  private get pool(): Pool {
    return (this.options.own.driver as unknown as { master: Pool }).master;
  }

  private async notify(channel: string, hint: string): Promise<void> {
    try {
      await this.query(NOTIFY, [channel, hint]);
    } catch (error) {
      this.options.logger.debug(`a notification was not sent, polling will find the job: ${toErrorMessage(error)}`);
    }
  }

  /** A statement on request of somebody, which may have to wait. In the caller's transaction that is the caller's affair. */
  private visit(text: string, params: readonly unknown[], tx?: StoreTransaction): Promise<readonly SqlRow[]> {
    return tx ? this.query(text, params, tx) : this.visitors.pass(() => this.query(text, params));
  }

  private async query(text: string, params: readonly unknown[], tx?: StoreTransaction): Promise<readonly SqlRow[]> {
    if (!tx) {
      return untilDone(() => this.runner.query(text, params));
    }
    try {
      const queryRunner = this.transactions.queryRunnerOf(tx);
      await hearErrors(queryRunner);
      return await runnerOfQueryRunner(queryRunner).query(this.qualified(text), params);
    } catch (error) {
      throw translatedIn(error);
    }
  }

  /** In a transaction of the caller's, `search_path` may lead to a table of the same name in another schema. */
  private qualified(text: string): string {
    return this.schema === undefined ? text : text.replace(/\b_jobs\b/g, () => `${this.schema}._jobs`);
  }

  private ownTransaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    const { own, session } = this.options;
    return untilDone(() =>
      own.transaction(async (manager: EntityManager) => {
        if (session.openingOfTransaction) {
          await manager.query(session.openingOfTransaction);
        }
        return work(manager);
      }),
    );
  }
}
