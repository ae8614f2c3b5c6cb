import type { DataSource } from 'typeorm';
import type { Clock, ScheduledWake } from '../../core/clock.js';
import { InvalidOptionsError, JobStateError, LeaseLostError, QueueUnavailableError } from '../../core/errors.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { Retention } from '../../core/options.js';
import { CallerTransactions } from '../caller-transactions.js';
import type * as Seam from '../job-store.js';
import type { JobStore, StoreTransaction } from '../job-store.js';
import { pendingMigrations, tableErrorOf } from '../migrator.js';
import { jobOf, rescuedOf } from '../row-mapper.js';
import { answeredInOrder, renewalsInOrder } from '../set-answers.js';
import { progressJson, tokenJson } from '../set-json.js';
import type { BetterSqliteDatabase, SqlRow, SqlScript } from '../sql-runner.js';
import { BetterSqliteRunner, runnerOfQueryRunner, runScript, SqlError } from '../sql-runner.js';
import { untilFree } from './lock-wait.js';
import type { DueLane } from './scripts.js';
import { claimScript, insertScript, moveScript, one, settleScript, sqliteTime, surveyScript } from './scripts.js';
import { SqliteReports } from './sqlite.reports.js';
import * as sql from './statements.js';
import { WriteLane } from './write-lane.js';

export interface SqliteStoreOptions {
  /** The application's DataSource. */
  readonly app: DataSource;
  /** The queue's own, not initialized yet; opened and closed by the store. */
  readonly own: DataSource;
  readonly clock: Clock;
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  readonly synchronous: 'full' | 'normal';
  /** Bounds every wait for the write lock. */
  readonly lockTimeoutMs: number;
  /** The database lives in the application's connection: there are no other processes, and no files. */
  readonly isInMemory: boolean;
}

/** How often the file is asked whether another connection has committed: the question costs about a microsecond. */
const WATCH_INTERVAL_MS = 20;

/** Jobs in a SQLite file, on a connection of the queue's own: each verb is one script, run within one tick. */
export class SqliteStore implements JobStore {
  readonly capabilities = { transactionalHandlers: false };
  readonly reports = new SqliteReports(
    (script) => this.whenFree(() => this.runner.run(script())),
    (script) => this.write(script),
  );

  private readonly transactions: CallerTransactions;
  private runner!: BetterSqliteRunner;
  private lane!: WriteLane;

  constructor(private readonly options: SqliteStoreOptions) {
    this.transactions = new CallerTransactions([options.app, options.own], () => this.lane.poke());
  }

  async open(): Promise<void> {
    await this.whenFree(() => this.options.own.initialize());
    try {
      this.transactions.open();
      await this.prepareConnection();
      await this.prepareTables();
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

  async insert(jobs: readonly Seam.JobInsert[], tx?: StoreTransaction): Promise<Seam.InsertedJob[]> {
    return tx ? this.inTransaction(tx, insertScript(jobs)) : this.write(() => insertScript(jobs));
  }

  async find(ids: readonly string[], tx?: StoreTransaction): Promise<Job[]> {
    const params = [JSON.stringify(ids)];
    const rows = await (tx ? this.inTransaction(tx, one(sql.FIND_JOBS, params)) : this.read(sql.FIND_JOBS, params));
    return rows.map(jobOf);
  }

  afterTransaction(tx: StoreTransaction, done: (committed: boolean) => void): void {
    this.transactions.whenEnded(tx, done);
  }

  async claim(request: Seam.ClaimRequest): Promise<Claim[]> {
    const lanes = request.lanes.map((lane) => ({ ...lane, from: lane.lowerBound ? sqliteTime(lane.lowerBound) : '' }));
    // Looking takes no lock: an idle queue never gets in the way of the application's writes.
    const isDue = ({ topic, priority, from }: DueLane): boolean =>
      this.runner.query(sql.IS_LANE_DUE, [topic, priority, from]).length > 0;
    const due = await this.whenFree(() => lanes.filter(isDue));
    return due.length === 0 ? [] : this.write(() => claimScript(due, request));
  }

  async survey(gaps: readonly Seam.LaneGap[]): Promise<Seam.WaitingLane[]> {
    const rows = await this.whenFree(() => gaps.flatMap((gap) => this.runner.run(surveyScript(gap))));
    return rows.map((row) => ({
      topic: row.topic as string,
      priority: Number(row.priority),
      dueInMs: Number(row.due_in_ms),
    }));
  }

  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<Seam.Renewal[]> {
    const rows = await this.write(() => one(sql.RENEW, [tokenJson(tokens), leaseMs]));
    return renewalsInOrder(tokens, rows, []);
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.read(sql.CANCEL_REQUESTS, [tokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  settle(settlements: readonly Seam.Settlement[]): Promise<Seam.Settled[]> {
    return this.write(() => settleScript(settlements));
  }

  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.write(() => one(sql.DISCARD, [tokenJson(tokens), JSON.stringify(statuses)]));
  }

  async recordProgress(entries: readonly Seam.ProgressEntry[]): Promise<boolean[]> {
    const recorded = await this.write(() => one(sql.RECORD_PROGRESS, [progressJson(entries)]));
    return answeredInOrder(entries, recorded);
  }

  async completeTx(tx: StoreTransaction, { id, attempt }: ClaimToken, result: string | null): Promise<void> {
    const completed = await this.inTransaction(tx, one(sql.COMPLETE_IN_TX, [id, attempt, result]));
    if (completed.length > 0) {
      return;
    }
    const [owned] = await this.inTransaction(tx, one(sql.OWNED_STATE, [id, attempt]));
    throw owned
      ? new JobStateError(id, 'cannot be completed, a cancel was requested')
      : new LeaseLostError(id, attempt);
  }

  transaction(): Promise<never> {
    // A write transaction for the length of a handler would block every other writer of the file.
    return Promise.reject(
      new InvalidOptionsError('transactional', 'not on SQLite; call job.completeTx(manager) instead'),
    );
  }

  async rescue(limit: number): Promise<Seam.Rescued[]> {
    if ((await this.read(sql.IS_ANY_EXPIRED, [])).length === 0) {
      return [];
    }
    return (await this.write(() => one(sql.RESCUE, [limit]))).map(rescuedOf);
  }

  async prune(retention: Retention, { after, rows }: Seam.PrunePage): Promise<Seam.PrunedPage> {
    const ages = Object.entries(retention).filter((entry): entry is [string, number] => entry[1] !== false);
    if (ages.length === 0) {
      return { removed: 0, next: null };
    }
    const from = after ?? '';
    const youngestMs = Math.min(...ages.map(([, age]) => age));
    const [page] = await this.read(sql.PRUNE_PAGE, [from, rows, youngestMs]);
    const aged = JSON.stringify(ages.map(([status, age]) => ({ status, age_ms: age })));
    const removed = page!.last === null ? [] : await this.write(() => one(sql.PRUNE, [from, rows, aged]));
    return { removed: removed.length, next: page!.has_more ? (page!.last as string) : null };
  }

  requeue(ids: readonly string[], changes: Seam.RequeueChanges = {}): Promise<Seam.Moved[]> {
    const { payload = null, runAt, maxRetries = null } = changes;
    const params = [payload, runAt ? sqliteTime(runAt) : null, maxRetries];
    return this.write(() => moveScript(ids, { statement: sql.REQUEUE, params, takesKey: true }));
  }

  cancel(ids: readonly string[]): Promise<Seam.Moved[]> {
    return this.write(() => moveScript(ids, { statement: sql.CANCEL }));
  }

  delete(ids: readonly string[]): Promise<Seam.Moved[]> {
    return this.write(() => moveScript(ids, { statement: sql.DELETE }));
  }

  announce(): void {
    // Every process sees each commit of another by itself, in `listen`.
  }

  async listen(hints: Seam.StoreHints): Promise<() => Promise<void>> {
    if (this.options.isInMemory) {
      return () => Promise.resolve();
    }
    let seen: unknown;
    let timer: ScheduledWake;
    const look = (): void => {
      const version = this.dataVersion(seen);
      if (version !== seen) {
        seen = version;
        hints.jobs();
        hints.cancel();
      }
      timer = this.options.clock.schedule(WATCH_INTERVAL_MS, look);
    };
    look();
    return () => Promise.resolve(timer.cancel());
  }

  private dataVersion(lastKnown: unknown): unknown {
    try {
      return this.runner.query(sql.DATA_VERSION, [])[0]?.data_version;
    } catch {
      // Another process is recovering the log, or the disk failed: the next look, or a poll, will tell.
      return lastKnown;
    }
  }

  private async prepareConnection(): Promise<void> {
    const { app, own, clock, lockTimeoutMs, synchronous, isInMemory } = this.options;
    const database = databaseOf(own)!;
    this.runner = new BetterSqliteRunner(database);
    this.lane = new WriteLane({
      runner: this.runner,
      isAppInTransaction: () => databaseOf(app)?.inTransaction ?? false,
      clock,
      lockTimeoutMs,
    });
    if (!isInMemory) {
      for (const pragma of [...sql.CONNECTION_PRAGMAS, sql.WRITE_AHEAD_LOG]) {
        await this.whenFree(() => this.runner.query(pragma, []));
      }
      await this.whenFree(() => this.runner.query(sql.SYNCHRONOUS[synchronous], []));
    }
  }

  private async prepareTables(): Promise<void> {
    const { own, migrate } = this.options;
    try {
      if (migrate) {
        const migrations = await pendingMigrations(own.options.type, sql);
        await this.write(() => migrations.script());
      }
      await this.read(sql.CHECK_TABLE, []);
    } catch (error) {
      throw tableErrorOf(error, migrate);
    }
  }

  private async write<T>(script: () => SqlScript<T>): Promise<T> {
    try {
      return await this.lane.run(script);
    } catch (error) {
      throw translated(error);
    }
  }

  private read(text: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return this.whenFree(() => this.runner.query(text, params));
  }

  private async whenFree<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await untilFree(work, this.options.clock, this.options.lockTimeoutMs);
    } catch (error) {
      throw translated(error);
    }
  }

  private async inTransaction<T>(tx: StoreTransaction, script: SqlScript<T>): Promise<T> {
    try {
      return await runScript(runnerOfQueryRunner(this.transactions.queryRunnerOf(tx)), script);
    } catch (error) {
      throw translated(error);
    }
  }
}

/** The connection of a DataSource; an application may have closed its own. */
function databaseOf({ driver }: DataSource): BetterSqliteDatabase | undefined {
  return (driver as unknown as { databaseConnection?: BetterSqliteDatabase }).databaseConnection;
}

function translated(error: unknown): unknown {
  return error instanceof SqlError && (error.kind === 'unavailable' || error.kind === 'busy')
    ? new QueueUnavailableError(`the database cannot be used: ${error.message}`, { cause: error })
    : error;
}
