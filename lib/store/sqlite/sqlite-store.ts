/*
 * store/sqlite/. In: the verbs of `JobStore`, most of them for a set of jobs. Out: one statement or a few for each verb, and
 * their rows as the store's records.
 * Read this file first: it joins the scripts of the subjects, such as jobs/sqlite-insert-script.ts. Then write-queue.ts: how writes wait
 * for the lock of the file without blocking the application. own-database.ts opens the queue's own connection.
 */
import type { Clock } from '../../core/clock.js';
import { InvalidOptionsError, QueueUnavailableError } from '../../core/errors.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { Retention } from '../../core/retention.js';
import { toLossJson, toProgressJson, toTokenJson } from '../jobs/batch-json.js';
import { selectOwing, selectWithoutRow, toClaimStates, toSettledInOrder } from '../jobs/batch-results.js';
import { isUncalled, settleUncalledScript } from '../jobs/uncalled-script.js';
import type {
  SqliteTransactionListener,
  SqliteTransactions,
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
  LaneClaimRequest,
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
  TopicClaimRequest,
} from '../jobs/job-records.js';
import type { JobStore } from '../job-store.js';
import type { StoreHints } from '../runtime/store-hints.js';
import { ONE_AT_A_TIME } from '../job-store.js';
import type { LinkChanges } from '../links/link-store.js';
import { GroupTable } from '../links/group-table.js';
import type { LinkTable } from '../links/link-table.js';
import { StepTable } from '../jobs/step-table.js';
import { LogTable } from '../logs/log-table.js';
import { readQueueId, setUpTables } from '../migrate/migrator.js';
import type { MovedTime } from '../runtime/moved-time.js';
import { withMovedTime } from '../runtime/moved-time.js';
import { PausedTopics } from '../topics/paused-topics.js';
import { ScheduleTable } from '../schedules/schedule-table.js';
import { toClaimedJob, toJob, toLaneScan } from '../jobs/row-mapper.js';
import { QUEUE_CLOSED } from '../runtime/sql-error.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { runScript, singleStatement } from '../runtime/sql-runner.js';
import { AdminWriter } from '../jobs/sqlite-action-writer.js';
import { CommitSignal, watchCommits } from './commit-watcher.js';
import type { OwnDatabase, SqliteSettings } from './own-database.js';
import { openDatabase } from './own-database.js';
import * as session from './session.sqlite.js';
import type { ReadConnection } from './snapshot-reader.js';
import { SnapshotReader } from './snapshot-reader.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { createConnection } from './sqlite-connection.js';
import { retryWhileLocked } from './write-queue.js';
import { toJobsError, toTransactionError } from './sqlite-errors.js';
import { fireScript } from '../schedules/sqlite-fire-script.js';
import type { Caller } from '../jobs/sqlite-insert-script.js';
import { insertScript } from '../jobs/sqlite-insert-script.js';
import { createDefinitionTable } from '../definitions/sqlite-definitions.js';
import { LimitTable } from '../limits/limit-table.js';
import * as limitStatements from '../limits/limit.sqlite.js';
import { completeInTransactionScript, settleScript } from '../jobs/sqlite-settle-script.js';
import { MaintenanceWriter } from '../jobs/sqlite-maintenance-writer.js';
import * as adminStatements from '../jobs/actions.sqlite.js';
import { CLAIM, DUE_LANES, SCAN } from '../jobs/claim.sqlite.js';
import { toSqliteTime } from '../jobs/job-row.sqlite.js';
import { DISCARD, SETTLE, SETTLED_STATE } from '../jobs/settle.sqlite.js';
import { MARK_STARTED, CANCEL_REQUESTS, EXPLAIN_LOST_LEASES, RECORD_PROGRESS, RENEW } from '../jobs/lease.sqlite.js';
import * as groupStatements from '../links/group.sqlite.js';
import * as logStatements from '../logs/log.sqlite.js';
import { moveTime } from '../runtime/moved-time.sqlite.js';
import * as scheduleStatements from '../schedules/schedule.sqlite.js';
import * as stepStatements from '../jobs/step.sqlite.js';
import { limitedClaimScript, markKeyedDueScript } from '../limits/sqlite-limited-claim-script.js';
import * as limitedClaim from '../limits/limited-claim.sqlite.js';
import * as schema from '../migrate/schema.sqlite.js';
import { FIND_HOLDER, FIND_JOBS } from '../lists/list.sqlite.js';
import { acceptAdapters, idToFind } from '../transactions/adapted-transactions.js';
import { KeyedJobMarker } from '../limits/keyed-job-marker.js';
import { createSqliteLinks } from '../links/sqlite-links.js';
import { SqliteStats } from '../reports/sqlite-reports.js';

export interface SqliteStoreOptions {
  readonly database: SqliteSettings;
  /** @throws InvalidOptionsError when the application keeps other connections out of the file. */
  readonly checkApplication: () => Promise<void>;
  /** Opens what serves the application's transactions. @param own the queue's own connection, which the store closes. */
  readonly openTransactions: (own: OwnDatabase, listener: SqliteTransactionListener) => Promise<SqliteTransactions>;
  readonly clock: Clock;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  readonly synchronous: 'full' | 'normal';
  /** Limits every wait for the lock of the file. */
  readonly lockTimeoutMs: number;
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
  private readonly snapshots = new SnapshotReader(() => this.openReader());
  // Functions, because the tables below call them.
  private readonly read: SqlQuery = (sql, params) => this.readScript(() => singleStatement(sql, params));
  private readonly write: SqlQuery = (sql, params) => this.writeScript(() => singleStatement(sql, params));

  readonly reports = new SqliteStats(
    (script) => this.readScript(script),
    this.read,
    this.write,
    (script) => this.transact(script),
    (script) => (this.isInMemory ? this.readScript(script) : this.snapshots.read(script).catch(throwJobsError)),
  );

  readonly pauses = new PausedTopics(adminStatements, this.read, this.write);
  readonly limits = new LimitTable({
    statements: limitStatements,
    read: this.read,
    write: this.write,
    pruneStarts: async (topic, max) => (await this.write(limitedClaim.PRUNE_STARTS, [topic, max])).length,
  });

  readonly definitions = createDefinitionTable(this.read, (script) => this.transact(script));
  readonly schedules = new ScheduleTable({
    statements: scheduleStatements,
    read: this.read,
    write: this.write,
    timeText: toSqliteTime,
    fire: (firings) => this.transact(() => fireScript(firings)),
  });

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
    transactRelaxed: (script) => this.connection.writes.transact(script, undefined, true).catch(throwJobsError),
    runIn: (tx, script) => this.runInTransaction(tx, script),
    toCaller: (tx) => this.toCaller(tx),
  });

  private readonly maintenance = new MaintenanceWriter(
    this.read,
    this.write,
    (script) => this.transact(script),
    this.links,
  );
  private readonly admin = new AdminWriter((script) => this.writeScript(script));
  // Known after `open`.
  private own: OwnDatabase | undefined;
  private connection!: SqliteConnection;
  private transactions: SqliteTransactions | undefined;
  private signal: CommitSignal | undefined;
  /** Tells the queue's database from others. */
  private queueId: string | null = null;

  constructor(private readonly options: SqliteStoreOptions) {}

  async open(): Promise<void> {
    await this.options.checkApplication();
    this.own = await this.retryRead(() => openDatabase(this.options.database));
    try {
      await this.prepareConnection(this.own);
      await setUpTables({
        databaseType: 'sqlite',
        statements: schema,
        migrate: this.options.migrate,
        read: (sql) => this.read(sql, []),
        run: (script) => this.transact(script),
      });
      this.queueId = await readQueueId({
        statements: schema,
        migrate: this.options.migrate,
        read: (sql) => this.read(sql, []),
        write: (sql) => this.write(sql, []),
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.links.close(this.options.clock);
    const { own, transactions } = this;
    this.own = undefined;
    this.transactions = undefined;
    await this.snapshots.idle();
    await transactions?.close();
    await own?.close();
  }

  async insert(
    jobs: readonly JobInsert[],
    tx?: StoreTransaction,
    _isOwn?: boolean,
    sinceMs?: number,
  ): Promise<InsertedJob[]> {
    if (tx) {
      return this.runInTransaction(tx, insertScript(jobs, this.toCaller(tx)));
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
    return this.openTransactions.join(tx, onEnd);
  }

  claim(request: ClaimRequest): Promise<ClaimResult> {
    return request.from === 'lanes' ? this.claimLanes(request) : this.claimTopic(request);
  }

  private async claimLanes({ lanes, limit, worker, leaseMs }: LaneClaimRequest): Promise<ClaimResult> {
    const requestedLanes = lanes.map((lane) => ({ ...toLaneParam(lane), limit: lane.limit }));
    // A read takes no lock, so a poll that finds nothing does not delay writes of the application.
    const rows = await this.read(DUE_LANES, [JSON.stringify(requestedLanes)]);
    const due = rows.map((row) => requestedLanes[row.lane_index as number]!);
    if (due.length === 0) {
      return { claims: [], rest: 'none' };
    }
    const params = [JSON.stringify(due), limit, Math.max(...due.map((lane) => lane.limit)), worker, leaseMs];
    // `toClaim` parses payloads after the write has released the lock.
    const claims = (await this.write(CLAIM, params)).map(toClaim);
    return { claims, rest: claims.length === limit ? 'maybe' : 'none' };
  }

  /** A read first, which takes no lock: a poll that finds nothing does not delay writes of the application. */
  private async claimTopic(request: TopicClaimRequest): Promise<ClaimResult> {
    const due = await this.read(limitedClaim.HAS_DUE, [request.topic, JSON.stringify(request.priorities)]);
    if (due.length === 0) {
      return { claims: [], rest: 'none' };
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
    const owed: string[] = [];
    const uncalled = settlements.filter(isUncalled);
    const others = uncalled.length === 0 ? settlements : settlements.filter((each) => !isUncalled(each));
    // Not `finally`: its further turns would let the next attempt start before this one is reported.
    return writes
      .run(() => settleScript(others, discardStatuses, isSynchronous, owed))
      .then(
        (results) => {
          this.links.follow(owed);
          return uncalled.length === 0 ? results : this.settleUncalled(settlements, uncalled, results);
        },
        (error: unknown) => {
          this.links.follow(owed);
          return throwJobsError(error);
        },
      );
  }

  /** Records the outcomes of handlers that were not called. Returns the results in the order of `settlements`. */
  private async settleUncalled(
    settlements: readonly Settlement[],
    uncalled: readonly Settlement[],
    others: readonly Settled[],
  ): Promise<Settled[]> {
    const statements = { SETTLE, TAKE_BACK_STARTS: limitedClaim.TAKE_BACK_STARTS };
    const rows = await this.transact(() => settleUncalledScript(statements, uncalled));
    this.links.follow(selectOwing(rows));
    const tokens = uncalled.map(({ token }) => token);
    const left = selectWithoutRow(tokens, rows);
    const states = left.length === 0 ? [] : await this.read(SETTLED_STATE, [toTokenJson(left)]);
    const late = toSettledInOrder(tokens, rows, states);
    const [given, own] = [[...others], [...late]];
    return settlements.map((each) => (isUncalled(each) ? own.shift()! : given.shift()!));
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
    const script = completeInTransactionScript(this.toCaller(tx), token, result, progress, startedMs);
    return this.runInTransaction(tx, script);
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
    return this.links.act(ids, (some) => this.admin.requeue(some, changes, request));
  }

  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.admin.promote(ids, request);
  }

  async cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    const results = await this.links.act(ids, (some) => this.admin.cancel(some, request));
    this.signal?.send();
    return results;
  }

  async delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]> {
    return this.links.act(ids, (some) => this.admin.delete(some, request));
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
    return this.isInMemory ? () => Promise.resolve() : watchCommits(connection, hints, options.clock, signal);
  }

  private async prepareConnection(own: OwnDatabase): Promise<void> {
    const { clock, lockTimeoutMs, synchronous, openTransactions, time } = this.options;
    this.connection = createConnection(own, {
      clock,
      lockTimeoutMs,
      time,
      relaxed:
        synchronous === 'full' && !this.isInMemory
          ? { before: session.SYNCHRONOUS.normal, after: session.SYNCHRONOUS.full }
          : undefined,
      isAppInTransaction: () => this.transactions?.isOpen() ?? false,
      describeTransaction: () => this.transactions?.describeOpen(),
    });
    this.transactions = acceptAdapters(
      await this.retryRead(() =>
        openTransactions(own, { onStarting: () => this.connection.writes.idle(), onEnded: () => this.retryWrites() }),
      ),
      'sqlite',
    );
    if (!this.isInMemory) {
      for (const pragma of [...session.CONNECTION_PRAGMAS, session.WRITE_AHEAD_LOG, session.SYNCHRONOUS[synchronous]]) {
        await this.read(pragma, []);
      }
      this.makeAppCommitsDurable();
      const [database] = await this.read(session.DATABASE_FILE, []);
      this.signal = CommitSignal.of(database!.file as string);
    }
  }

  /** Opens a connection that only reads. */
  private async openReader(): Promise<ReadConnection> {
    if (!this.own) {
      throw new QueueUnavailableError(QUEUE_CLOSED);
    }
    const own = await this.retryRead(() => openDatabase(this.options.database));
    const connection = createConnection(own, {
      clock: this.options.clock,
      lockTimeoutMs: this.options.lockTimeoutMs,
      time: this.options.time,
      isAppInTransaction: () => false,
    });
    return {
      query: (sql, params) => {
        // A count that runs is given up when the store closes.
        if (!this.own) {
          throw new QueueUnavailableError(QUEUE_CLOSED);
        }
        return this.retryRead(() => connection.read(singleStatement(sql, params)));
      },
      close: () => own.close(),
    };
  }

  /** Whether the database lives in the application's connection. Then it has no file, and no other process sees it. */
  private get isInMemory(): boolean {
    const { database } = this.options;
    return database.driver === 'better-sqlite3' && database.shared !== undefined;
  }

  /** @throws QueueUnavailableError after `close`. */
  private get openTransactions(): SqliteTransactions {
    if (!this.transactions) {
      throw new QueueUnavailableError(QUEUE_CLOSED);
    }
    return this.transactions;
  }

  /** Called between two transactions of the application. */
  private retryWrites(): Promise<void> | undefined {
    this.makeAppCommitsDurable();
    return this.connection.writes.retryNow();
  }

  /** The application's connection commits the jobs of `enqueueTx` and `completeTx`, so it must flush them too. */
  private makeAppCommitsDurable(): void {
    if (this.options.synchronous === 'full' && !this.isInMemory) {
      this.transactions?.makeCommitsDurable();
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

  private toCaller(tx: StoreTransaction): Caller {
    return { tx, queueId: idToFind(tx, this.queueId) };
  }

  private async runInTransaction<T>(tx: StoreTransaction, script: SqlScript<T>): Promise<T> {
    const created = this.openTransactions.createRunner(tx);
    // Without a wait where there is none: a synchronous transaction ends with this tick.
    const given = created instanceof Promise ? await created : created;
    const runner = withMovedTime(given, moveTime, this.options.time);
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
