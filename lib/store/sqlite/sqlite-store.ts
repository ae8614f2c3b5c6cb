/*
 * store/sqlite/. In: the verbs of `JobStore`, most of them for a set of jobs. Out: one statement or a few for each verb, and
 * their rows as the store's records.
 * Read this file first, then driver/write-queue.ts: how writes wait for the lock of the file without blocking the application.
 * Then the verbs of several statements: insert-script.ts, settle-script.ts, admin-writer.ts and sqlite-stats.ts. All SQL is in
 * sql/. The connection is in driver/sqlite-connection.ts.
 */
import type { DataSource } from 'typeorm';
import type { Clock } from '../../core/clock.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import { toLossJson, toProgressJson, toTokenJson } from '../batch-json.js';
import { toClaimStates } from '../batch-results.js';
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
import type { LimitedClaim, LimitedClaimRequest } from '../limited-claim.js';
import type { JobStore, LimitedTopicClaims, StoreTransaction, TransactionCall } from '../job-store.js';
import type { StoreHints } from '../store-hints.js';
import { ONE_AT_A_TIME } from '../job-store.js';
import type { LinkChanges } from '../link-store.js';
import { NO_CHANGES } from '../link-script.js';
import { GroupTable } from '../group-table.js';
import type { LinkTable } from '../link-table.js';
import { StepTable } from '../step-table.js';
import { LogTable } from '../log-table.js';
import { selectPlain } from '../link-table.js';
import { setUpTables } from '../migrator.js';
import type { MovedTime } from '../moved-time.js';
import { withMovedTime } from '../moved-time.js';
import { PausedTopics } from '../paused-topics.js';
import { ScheduleTable } from '../schedule-table.js';
import { toClaimedJob, toJob, toLaneScan } from '../row-mapper.js';
import type { SqlQuery, SqlRow, SqlScript } from '../sql-runner.js';
import { toSqlRunner, runScript, singleStatement } from '../sql-runner.js';
import { AdminWriter } from './admin-writer.js';
import { CommitSignal, watchCommits } from './driver/commit-watcher.js';
import type { SqliteConnection } from './driver/sqlite-connection.js';
import { checkLockingMode, createConnection } from './driver/sqlite-connection.js';
import { retryWhileLocked } from './driver/write-queue.js';
import { toJobsError, toTransactionError } from './error-translation.js';
import { fireScript } from './fire-script.js';
import { insertScript } from './insert-script.js';
import { createDefinitionTable } from './sqlite-definitions.js';
import { createLimitTable } from './sqlite-limits.js';
import { completeInTransactionScript, settleScript } from './settle-script.js';
import { MaintenanceWriter } from './maintenance-writer.js';
import * as adminStatements from './sql/admin.js';
import { CLAIM, DUE_LANES, SCAN } from './sql/claim.js';
import { toSqliteTime } from './sql/job-row.js';
import { DISCARD } from './sql/complete.js';
import { MARK_STARTED, CANCEL_REQUESTS, EXPLAIN_LOST_LEASES, RECORD_PROGRESS, RENEW } from './sql/lease.js';
import * as groupStatements from './sql/group.js';
import * as logStatements from './sql/log.js';
import { moveTime } from './sql/moved-time.js';
import * as scheduleStatements from './sql/schedule.js';
import * as stepStatements from './sql/step.js';
import { limitedClaimScript, markKeyedDueScript } from './limited-claim-script.js';
import * as limitedClaim from './sql/limited-claim.js';
import * as schema from './sql/schema.js';
import { FIND_HOLDER, FIND_JOBS } from './sql/list.js';
import { PRUNED_STARTS_MAX } from '../limited-claim.js';
import { KeyedJobMarker } from '../keyed-job-marker.js';
import { createSqliteLinks } from './sqlite-links.js';
import { SqliteStats } from './sqlite-stats.js';
import { OVERLAP_HINT, TransactionSerializer } from './transaction-serializer.js';

interface SqliteStoreOptions {
  /** The application's DataSource. */
  readonly app: DataSource;
  /** The queue's own DataSource, not initialized yet. The store opens and closes it. */
  readonly own: DataSource;
  readonly clock: Clock;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  readonly synchronous: 'full' | 'normal';
  /** Limits every wait for the lock of the file. */
  readonly lockTimeoutMs: number;
  /** Whether to run the application's transactions one at a time. */
  readonly serializeTransactions: boolean;
  readonly logger: JobsLogger;
  /** Whether the database lives in the application's connection. Then it has no file, and no other process sees it. */
  readonly isInMemory: boolean;
  readonly time: MovedTime | undefined;
}

/** Keyed jobs that one transaction marks as due. It blocks the event loop for a few milliseconds. */
const MARKED_PAGE = 500;

/** The job store for SQLite. */
export class SqliteStore implements JobStore {
  readonly capabilities = {
    transactionsAtOnce: 0,
    inserts: ONE_AT_A_TIME,
    pipelined: ONE_AT_A_TIME,
    database: 'sqlite',
  } as const;
  // Functions, because the tables below call them.
  private readonly read: SqlQuery = (sql, params) => this.readScript(() => singleStatement(sql, params));
  private readonly write: SqlQuery = (sql, params) => this.writeScript(() => singleStatement(sql, params));

  readonly reports = new SqliteStats(
    (script) => this.readScript(script),
    this.read,
    this.write,
    (script) => this.transact(script),
  );

  readonly pauses = new PausedTopics(adminStatements, this.read, this.write);
  readonly limits = createLimitTable(this.read, this.write);
  readonly definitions = createDefinitionTable(this.read, (script) => this.transact(script));
  readonly schedules = new ScheduleTable({
    statements: scheduleStatements,
    read: this.read,
    write: this.write,
    timeText: toSqliteTime,
    fire: (firings) => this.transact(() => fireScript(firings)),
  });

  readonly limitedTopics: LimitedTopicClaims = {
    claim: (request) => this.claimLimited(request),
    pruneStarts: async (topic) =>
      (await this.write(limitedClaim.PRUNE_STARTS, [topic, PRUNED_STARTS_MAX])).length === PRUNED_STARTS_MAX,
  };
  private readonly keyedJobs = new KeyedJobMarker({
    pageMax: MARKED_PAGE,
    mark: async (topic, priorities, limit) =>
      Math.max(...(await this.writeScript(() => markKeyedDueScript(topic, priorities, limit)))),
  });

  readonly groups = new GroupTable(groupStatements, this.read, this.write);
  readonly logs = new LogTable(logStatements, this.read, this.write);
  readonly steps = new StepTable(stepStatements, this.write);
  readonly links: LinkTable = createSqliteLinks({
    read: this.read,
    transact: (script) => this.connection.writes.transact(script).catch(throwJobsError),
    runIn: (tx, script) => this.runInTransaction(tx, script),
  });

  private readonly maintenance = new MaintenanceWriter(this.read, this.write, this.links);
  private readonly admin = new AdminWriter((script) => this.writeScript(script));
  private readonly transactions: CallerTransactions;
  private connection!: SqliteConnection;
  private stopGapWork: (() => void) | undefined;
  private signal: CommitSignal | undefined;

  constructor(private readonly options: SqliteStoreOptions) {
    this.transactions = new CallerTransactions([options.app, options.own], {
      onStarting: () => this.connection.writes.idle(),
      onEnded: () => void this.retryWrites(),
      ...(options.serializeTransactions ? {} : { hint: OVERLAP_HINT }),
    });
  }

  async open(): Promise<void> {
    await checkLockingMode(this.options);
    await this.retryRead(() => this.options.own.initialize());
    try {
      await this.prepareConnection();
      await setUpTables({
        databaseType: this.options.own.options.type,
        statements: schema,
        migrate: this.options.migrate,
        read: (sql) => this.read(sql, []),
        run: (script) => this.transact(script),
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.transactions.close();
    this.stopGapWork?.();
    if (this.options.own.isInitialized) {
      await this.options.own.destroy();
    }
  }

  async insert(
    jobs: readonly JobInsert[],
    tx?: StoreTransaction,
    _isOwn?: boolean,
    sinceMs?: number,
  ): Promise<InsertedJob[]> {
    if (tx) {
      return this.runInTransaction(tx, insertScript(jobs));
    }
    const { writes, isSynchronous } = this.connection;
    const script = (): SqlScript<InsertedJob[]> => insertScript(jobs);
    // All jobs or none, except on sqlite3: see `AsyncWriteQueue`.
    const insertion = isSynchronous && jobs.length > 1 ? writes.transact(script, sinceMs) : writes.run(script, sinceMs);
    const inserted = await insertion.catch(throwJobsError);
    this.signal?.send();
    return inserted;
  }

  async find(ids: readonly string[], tx?: StoreTransaction): Promise<Job[]> {
    const params = [JSON.stringify(ids)];
    const rows = await (tx
      ? this.runInTransaction(tx, singleStatement(FIND_JOBS, params))
      : this.read(FIND_JOBS, params));
    return rows.map(toJob);
  }

  async findHolder(topic: string, uniqueKey: string): Promise<Job | undefined> {
    return (await this.read(FIND_HOLDER, [topic, uniqueKey])).map(toJob)[0];
  }

  joinTransaction(tx: StoreTransaction, onEnd: (committed: boolean) => void): TransactionCall {
    return this.transactions.join(tx, onEnd);
  }

  async claim({ lanes, limit, worker, leaseMs }: ClaimRequest): Promise<Claim[]> {
    const requestedLanes = lanes.map((lane) => ({ ...toLaneParam(lane), limit: lane.limit }));
    // A read takes no lock, so a poll that finds nothing does not delay writes of the application.
    const rows = await this.read(DUE_LANES, [JSON.stringify(requestedLanes)]);
    const due = rows.map((row) => requestedLanes[row.lane_index as number]!);
    if (due.length === 0) {
      return [];
    }
    const params = [JSON.stringify(due), limit, Math.max(...due.map((lane) => lane.limit)), worker, leaseMs];
    // `toClaim` parses payloads after the write has released the lock.
    return (await this.write(CLAIM, params)).map(toClaim);
  }

  /** A read first, which takes no lock: a poll that finds nothing does not delay writes of the application. */
  private async claimLimited(request: LimitedClaimRequest): Promise<LimitedClaim> {
    const due = await this.read(limitedClaim.HAS_DUE, [request.topic, JSON.stringify(request.priorities)]);
    if (due.length === 0) {
      return { claims: [], ending: 'done', limitedBy: null, rateInMs: null, start: null };
    }
    const { writes } = this.connection;
    const { rows, isBehind, ...end } = await writes.transact(() => limitedClaimScript(request)).catch(throwJobsError);
    if (isBehind) {
      this.keyedJobs.start(request.topic, request.priorities);
    }
    return { ...end, claims: rows.map(toClaim) };
  }

  async scan(gaps: readonly LaneGap[], lanes: readonly LaneStart[] = []): Promise<LaneScan> {
    return toLaneScan(await this.read(SCAN, [JSON.stringify(gaps), JSON.stringify(lanes.map(toLaneParam))]));
  }

  async markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
    return toClaimStates(tokens, await this.write(MARK_STARTED, [toTokenJson(tokens)]), []);
  }

  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]> {
    return toClaimStates(tokens, await this.write(RENEW, [toTokenJson(tokens), leaseMs]), []);
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.read(CANCEL_REQUESTS, [toTokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  /** One script for the set: no claim runs between its statements, so an attempt ends before the next one of its job starts. */
  settle(settlements: readonly Settlement[], discardStatuses: readonly FinalStatus[] = []): Promise<Settled[]> {
    const { writes, isSynchronous } = this.connection;
    const plain = selectPlain(settlements);
    const settle = (): SqlScript<Settled[]> => settleScript(plain, discardStatuses, isSynchronous);
    return writes.run(settle).then((settled) => this.links.settleRest(settlements, plain, settled), throwJobsError);
  }

  async recordProgress(entries: readonly ProgressEntry[]): Promise<ClaimState[]> {
    const tokens = entries.map(({ token }) => token);
    return toClaimStates(tokens, await this.write(RECORD_PROGRESS, [toProgressJson(entries)]), []);
  }

  async explainLostLeases(losses: readonly LostLease[]): Promise<string[]> {
    return (await this.write(EXPLAIN_LOST_LEASES, [toLossJson(losses)])).map(({ id }) => id as string);
  }

  async completeTx(
    tx: StoreTransaction,
    token: ClaimToken,
    result: string | null,
    progress?: string,
    startedMs?: number,
  ): Promise<LinkChanges> {
    const script = completeInTransactionScript(token, result, progress, startedMs);
    const { isWatched } = await this.runInTransaction(tx, script);
    return isWatched ? this.links.completeIn(tx, token.id) : NO_CHANGES;
  }

  /** Always rejects: a write transaction for the length of a handler would block all other writers of the file. */
  transaction(): Promise<never> {
    return Promise.reject(
      new InvalidOptionsError('transactional', 'is not supported on SQLite; call job.completeTx(manager) instead'),
    );
  }

  rescue(limit: number, lowerBound: string | null = null): Promise<Rescue> {
    return this.maintenance.rescue(limit, lowerBound);
  }

  expire(limit: number, lowerBound: string | null = null): Promise<ExpiredJob[]> {
    return this.maintenance.expire(limit, lowerBound);
  }

  prune(retention: Retention | null, page: PrunePage): Promise<PrunedPage> {
    return this.maintenance.prune(retention, page);
  }

  requeue(ids: readonly string[], changes?: RequeueChanges, request?: ActionRequest): Promise<ActionResult[]> {
    return this.admin.requeue(ids, changes, request);
  }

  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.admin.promote(ids, request);
  }

  async cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    const results = await this.links.act('cancel', await this.admin.cancel(ids, request), request);
    this.signal?.send();
    return results;
  }

  async delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.links.act('delete', await this.admin.delete(ids, request), request);
  }

  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.write(DISCARD, [toTokenJson(tokens), JSON.stringify(statuses)]);
  }

  announce(): void {
    this.signal?.send();
  }

  announceSchedules(): void {
    this.signal?.send();
  }

  async announceWorkers(): Promise<void> {}

  async listen(hints: StoreHints): Promise<() => Promise<void>> {
    const { connection, signal, options } = this;
    return options.isInMemory ? () => Promise.resolve() : watchCommits(connection, hints, options.clock, signal);
  }

  private async prepareConnection(): Promise<void> {
    const { app, own, clock, lockTimeoutMs, synchronous, isInMemory, serializeTransactions, time } = this.options;
    const serializer = serializeTransactions ? TransactionSerializer.of(app, this.options) : undefined;
    serializer?.add(own);
    this.connection = createConnection(own, app, { clock, lockTimeoutMs, serializer, time });
    this.stopGapWork = serializer?.addGapWork(() => this.retryWrites());
    this.transactions.startWatching();
    if (!isInMemory) {
      for (const pragma of [...schema.CONNECTION_PRAGMAS, schema.WRITE_AHEAD_LOG, schema.SYNCHRONOUS[synchronous]]) {
        await this.read(pragma, []);
      }
      this.makeAppCommitsDurable();
      const [database] = await this.read(schema.DATABASE_FILE, []);
      this.signal = CommitSignal.of(database!.file as string);
    }
  }

  /** Called between two transactions of the application. */
  private retryWrites(): Promise<void> | undefined {
    this.makeAppCommitsDurable();
    return this.connection.writes.retryNow();
  }

  /** The application's connection commits the jobs of `enqueueTx` and `completeTx`, so it must flush them too. */
  private makeAppCommitsDurable(): void {
    if (this.options.synchronous === 'full' && !this.options.isInMemory) {
      this.connection.makeAppCommitsDurable();
    }
  }

  private writeScript<T>(script: () => SqlScript<T>): Promise<T> {
    return this.connection.writes.run(script).catch(throwJobsError);
  }

  /** Runs the statements of a script in one transaction. */
  private transact<T>(script: () => SqlScript<T>): Promise<T> {
    return this.connection.writes.transact(script).catch(throwJobsError);
  }

  private readScript<T>(script: () => SqlScript<T>): Promise<T> {
    return this.retryRead(() => this.connection.read(script()));
  }

  private retryRead<T>(work: () => T | Promise<T>): Promise<T> {
    return retryWhileLocked(work, this.options.clock, this.options.lockTimeoutMs).catch(throwJobsError);
  }

  private async runInTransaction<T>(tx: StoreTransaction, script: SqlScript<T>): Promise<T> {
    const runner = withMovedTime(toSqlRunner(this.transactions.getQueryRunner(tx)), moveTime, this.options.time);
    return runScript(runner, script).catch((error: unknown) => {
      throw toTransactionError(error);
    });
  }
}

function throwJobsError(error: unknown): never {
  throw toJobsError(error);
}

/** `CLAIM` returns unusual values as one JSON column. */
function toClaim(row: SqlRow): Claim {
  const { unusual } = row;
  return toClaimedJob(unusual === null ? row : { ...row, ...(JSON.parse(unusual as string) as SqlRow) });
}

/** The empty text comes before all times. */
function toLaneParam({ topic, priority, lowerBound }: LaneStart): { topic: string; priority: number; from: string } {
  return { topic, priority, from: lowerBound === null ? '' : toSqliteTime(lowerBound) };
}
