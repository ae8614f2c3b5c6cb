import type { DataSource } from 'typeorm';
import type { Clock } from '../../core/clock.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import { CallerTransactions } from '../caller-transactions.js';
import type * as Seam from '../job-store.js';
import { ALONE } from '../job-store.js';
import { setUpTables } from '../migrator.js';
import { PausedTopics } from '../paused-topics.js';
import { nextTurn } from '../real-timers.js';
import { refusedCompletion } from '../refused-completion.js';
import { agesOf } from '../retention-ages.js';
import { toJob, toRescue, toLaneScan } from '../row-mapper.js';
import { answeredInOrder, claimStatesInOrder } from '../batch-results.js';
import { progressJson, tokenJson } from '../batch-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import { runnerOfQueryRunner, runScript } from '../sql-runner.js';
import { toClaim } from './claim-row.js';
import { CLAIM, DUE_LANES, SCAN } from './sql/claim.js';
import { watchCommits } from './driver/commit-watch.js';
import { translated, translatedIn } from './error-translation.js';
import { BEGIN_ATTEMPTS, CANCEL_REQUESTS, RECORD_PROGRESS, RENEW } from './sql/lease.js';
import { untilFree } from './driver/lock-wait.js';
import { LOOK_FOR_EXPIRED, PRUNE, PRUNE_PAGE, RESCUE } from './sql/maintenance.js';
import { CANCEL, DELETE, PROMOTE } from './sql/admin.js';
import * as pauseStatements from './sql/pause.js';
import { FIND_HOLDER, FIND_JOBS } from './sql/stats.js';
import { RequestedActions } from './requested-moves.js';
import { insertScript, one, sqliteTime, startOf } from './scripts.js';
import * as sessionStatements from './sql/session.js';
import { settleScript } from './settle-script.js';
import { COMPLETE_IN_TX, DISCARD, OWNED_STATE } from './sql/complete.js';
import type { SqliteConnection } from './driver/sqlite-connection.js';
import { sqliteConnectionOf } from './driver/sqlite-connection.js';
import { SqliteStats } from './sqlite-stats.js';
import * as tableStatements from './sql/schema.js';

export interface SqliteStoreOptions {
  /** The application's DataSource. */
  readonly app: DataSource;
  /** The queue's own, not initialized yet; opened and closed by the store. */
  readonly own: DataSource;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  readonly synchronous: 'full' | 'normal';
  /** Bounds every wait for the write lock. */
  readonly lockTimeoutMs: number;
  /** The database lives in the application's connection: there are no other processes, and no files. */
  readonly isInMemory: boolean;
}

/** Jobs in a SQLite file, on a connection of the queue's own: what writes goes through its write lane. */
export class SqliteStore implements Seam.JobStore {
  readonly capabilities = { transactionsAtOnce: 0, inserts: ALONE, pipelined: ALONE, database: 'sqlite' } as const;
  readonly reports = new SqliteStats(
    (script) => this.look(script),
    (script) => this.run(script),
    (text, params) => this.write(text, params),
  );
  readonly pauses = new PausedTopics(
    pauseStatements,
    (text, params) => this.read(text, params),
    (text, params) => this.write(text, params),
  );

  private readonly moves = new RequestedActions((script) => this.run(script));
  private readonly transactions: CallerTransactions;
  private connection!: SqliteConnection;

  constructor(private readonly options: SqliteStoreOptions) {
    this.transactions = new CallerTransactions([options.app, options.own], {
      starting: () => this.connection.lane.whenStill(),
      ended: () => {
        this.flushAppCommits();
        this.connection.lane.poke();
      },
    });
  }

  async open(): Promise<void> {
    await this.ensureShared();
    await this.whenFree(() => this.options.own.initialize());
    try {
      await this.prepareConnection();
      await setUpTables({
        databaseType: this.options.own.options.type,
        statements: tableStatements,
        migrate: this.options.migrate,
        read: (statement) => this.read(statement, []),
        run: (script) => translated(this.connection.lane.transact(script)),
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.transactions.close();
    if (this.options.own.isInitialized) {
      await this.options.own.destroy();
    }
  }

  async insert(jobs: readonly Seam.JobInsert[], tx?: Seam.StoreTransaction): Promise<Seam.InsertedJob[]> {
    return tx ? this.inTransaction(tx, insertScript(jobs)) : this.run(() => insertScript(jobs));
  }

  async find(ids: readonly string[], tx?: Seam.StoreTransaction): Promise<Job[]> {
    const params = [JSON.stringify(ids)];
    const rows = await (tx ? this.inTransaction(tx, one(FIND_JOBS, params)) : this.read(FIND_JOBS, params));
    return rows.map(toJob);
  }

  async findHolder(topic: string, uniqueKey: string): Promise<Job | undefined> {
    return (await this.read(FIND_HOLDER, [topic, uniqueKey])).map(toJob)[0];
  }

  joinTransaction(tx: Seam.StoreTransaction, done: (committed: boolean) => void): Seam.TransactionPart {
    return this.transactions.join(tx, done);
  }

  async claim({ lanes, limit, worker, leaseMs }: Seam.ClaimRequest): Promise<Claim[]> {
    const asked = lanes.map((lane) => ({ ...startOf(lane), limit: lane.limit }));
    // Looking takes no lock: a poll that finds nothing does not get in the way of the application's writes.
    const places = await this.read(DUE_LANES, [JSON.stringify(asked)]);
    const due = places.map(({ place }) => asked[place as number]!);
    if (due.length === 0) {
      return [];
    }
    const params = [JSON.stringify(due), limit, Math.max(...due.map((lane) => lane.limit)), worker, leaseMs];
    // Payloads are parsed when the lock is free again.
    return (await this.write(CLAIM, params)).map(toClaim);
  }

  async scan(gaps: readonly Seam.LaneGap[], lanes: readonly Seam.LaneStart[] = []): Promise<Seam.LaneScan> {
    return toLaneScan(await this.read(SCAN, [JSON.stringify(gaps), JSON.stringify(lanes.map(startOf))]));
  }

  async markStarted(tokens: readonly ClaimToken[]): Promise<Seam.ClaimState[]> {
    return claimStatesInOrder(tokens, await this.write(BEGIN_ATTEMPTS, [tokenJson(tokens)]), []);
  }

  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<Seam.ClaimState[]> {
    return claimStatesInOrder(tokens, await this.write(RENEW, [tokenJson(tokens), leaseMs]), []);
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.read(CANCEL_REQUESTS, [tokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  settle(
    settlements: readonly Seam.Settlement[],
    discardStatuses: readonly FinalStatus[] = [],
  ): Promise<Seam.Settled[]> {
    // One script for all: an attempt ends before a claim starts the next attempt of its job.
    return this.run(() => settleScript(settlements, discardStatuses, this.connection.answersWithinTick));
  }

  async recordProgress(entries: readonly Seam.ProgressEntry[]): Promise<boolean[]> {
    const recorded = await this.write(RECORD_PROGRESS, [progressJson(entries)]);
    return answeredInOrder(entries, recorded);
  }

  async completeTx(tx: Seam.StoreTransaction, { id, attempt }: ClaimToken, result: string | null): Promise<void> {
    const completed = await this.inTransaction(tx, one(COMPLETE_IN_TX, [id, attempt, result]));
    if (completed.length > 0) {
      return;
    }
    const [owned] = await this.inTransaction(tx, one(OWNED_STATE, [id, attempt]));
    throw refusedCompletion({ id, attempt }, owned);
  }

  transaction(): Promise<never> {
    // A write transaction for the length of a handler would block every other writer of the file.
    return Promise.reject(
      new InvalidOptionsError('transactional', 'not on SQLite; call job.completeTx(manager) instead'),
    );
  }

  async rescue(limit: number, lowerBound: string | null = null): Promise<Seam.Rescue> {
    const from = lowerBound === null ? '' : sqliteTime(lowerBound);
    const [look] = await this.read(LOOK_FOR_EXPIRED, [from]);
    const rescued = look!.is_any_expired ? await this.write(RESCUE, [limit, from]) : [];
    return toRescue([...rescued, look!]);
  }

  async prune(retention: Retention, { after, rows, except = [] }: Seam.PrunePage): Promise<Seam.PrunedPage> {
    const { json, youngestMs } = agesOf(retention);
    const params = [after ?? '', rows, json, JSON.stringify(except)];
    // Many pages are looked at one after the other, and a read ends within its tick.
    await nextTurn();
    // Looking takes no lock.
    const [page] = await this.read(PRUNE_PAGE, [...params, youngestMs]);
    const removed = page!.is_any_aged ? await this.write(PRUNE, params) : [];
    return { removed: removed.length, next: page!.has_more ? (page!.last as string) : null };
  }

  requeue(ids: readonly string[], changes?: Seam.RequeueChanges, from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.requeue(ids, changes, from);
  }

  promote(ids: readonly string[], from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.move(PROMOTE, ids, from);
  }

  cancel(ids: readonly string[], from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.move(CANCEL, ids, from);
  }

  delete(ids: readonly string[], from?: Seam.Statuses): Promise<Seam.ActionResult[]> {
    return this.moves.move(DELETE, ids, from);
  }

  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.write(DISCARD, [tokenJson(tokens), JSON.stringify(statuses)]);
  }

  announce(): void {
    // Every process sees each commit of another by itself, in `listen`.
  }

  async listen(hints: Seam.StoreHints): Promise<() => Promise<void>> {
    if (this.options.isInMemory) {
      return () => Promise.resolve();
    }
    return watchCommits((lastKnown) => this.dataVersion(lastKnown), hints, this.options.clock);
  }

  private async dataVersion(lastKnown: unknown): Promise<unknown> {
    try {
      return (await this.connection.read(one(sessionStatements.DATA_VERSION, [])))[0]?.data_version;
    } catch {
      // Another process is recovering the log, or the disk failed: the next look, or a poll, will tell.
      return lastKnown;
    }
  }

  private async prepareConnection(): Promise<void> {
    const { app, own, clock, lockTimeoutMs, synchronous, isInMemory } = this.options;
    this.connection = sqliteConnectionOf(own, app, { clock, lockTimeoutMs });
    this.transactions.startWatching();
    if (!isInMemory) {
      for (const pragma of [...sessionStatements.CONNECTION_PRAGMAS, sessionStatements.WRITE_AHEAD_LOG]) {
        await this.read(pragma, []);
      }
      await this.read(sessionStatements.SYNCHRONOUS[synchronous], []);
      this.flushAppCommits();
    }
  }

  /** With `enqueueTx` and `completeTx` it is the application's connection that commits jobs. */
  private flushAppCommits(): void {
    if (this.options.synchronous === 'full' && !this.options.isInMemory) {
      this.connection.flushAppCommits();
    }
  }

  /** @throws InvalidOptionsError where the application's own connection shuts out all others. */
  private async ensureShared(): Promise<void> {
    const { app, isInMemory } = this.options;
    const [row] = isInMemory ? [] : await app.query<SqlRow[]>(sessionStatements.LOCKING_MODE);
    if (row?.locking_mode === 'exclusive') {
      throw new InvalidOptionsError('dataSource', 'expected a file that others may open, got locking_mode = EXCLUSIVE');
    }
  }

  private run<T>(script: () => SqlScript<T>): Promise<T> {
    return translated(this.connection.lane.run(script));
  }

  private write(text: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return this.run(() => one(text, params));
  }

  private read(text: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return this.look(() => one(text, params));
  }

  /** Runs a script that only reads. */
  private look<T>(script: () => SqlScript<T>): Promise<T> {
    return this.whenFree(() => this.connection.read(script()));
  }

  private whenFree<T>(work: () => T | Promise<T>): Promise<T> {
    return translated(untilFree(work, this.options.clock, this.options.lockTimeoutMs));
  }

  private async inTransaction<T>(tx: Seam.StoreTransaction, script: SqlScript<T>): Promise<T> {
    return translatedIn(runScript(runnerOfQueryRunner(this.transactions.queryRunnerOf(tx)), script));
  }
}
