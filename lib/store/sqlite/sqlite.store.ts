import type { DataSource } from 'typeorm';
import type { Clock, ScheduledWake } from '../../core/clock.js';
import { InvalidOptionsError, JobStateError, LeaseLostError, QueueUnavailableError } from '../../core/errors.js';
import type { Claim, ClaimToken, Job } from '../../core/job.js';
import type { FinalStatus } from '../../core/job-state.js';
import type { JobsLogger } from '../../core/logger.js';
import type { Retention } from '../../core/options.js';
import { CallerTransactions } from '../caller-transactions.js';
import type * as Seam from '../job-store.js';
import { ALONE } from '../job-store.js';
import { JobsTables } from '../jobs-tables.js';
import { PausedTopics } from '../paused-topics.js';
import { jobOf, movedOf, rescueOf, surveyOf } from '../row-mapper.js';
import { answeredInOrder, leftAlone, renewalsInOrder } from '../set-answers.js';
import { progressJson, tokenJson } from '../set-json.js';
import { QUEUE_CLOSED, SqlError } from '../sql-error.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import { runnerOfQueryRunner, runScript } from '../sql-runner.js';
import { claimOfRow } from './claim-row.js';
import { untilFree } from './lock-wait.js';
import { insertScript, moveScript, one, sqliteTime, startOf } from './scripts.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { sqliteConnectionOf } from './sqlite-connection.js';
import { SqliteReports } from './sqlite.reports.js';
import { settleScript } from './settle-script.js';
import * as settling from './settle-statements.js';
import * as sql from './statements.js';

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

/** How often the file is asked whether another connection has committed: the question costs about a microsecond. */
const WATCH_INTERVAL_MS = 20;

/** Jobs in a SQLite file, on a connection of the queue's own: each verb is one script of its write lane. */
export class SqliteStore implements Seam.JobStore {
  readonly capabilities = { transactionsAtOnce: 0, inserts: ALONE, pipelined: ALONE, database: 'sqlite' } as const;
  readonly reports = new SqliteReports(
    (script) => this.look(script),
    (script) => this.write(script),
  );
  readonly pauses = new PausedTopics(
    sql,
    (text, params) => this.read(text, params),
    (text, params) => this.write(() => one(text, params)),
  );

  private readonly transactions: CallerTransactions;
  private readonly tables: JobsTables;
  private connection!: SqliteConnection;

  constructor(private readonly options: SqliteStoreOptions) {
    this.transactions = new CallerTransactions([options.app, options.own], {
      starting: () => this.connection.lane.whenStill(),
      ended: () => this.connection.lane.poke(),
    });
    this.tables = new JobsTables({
      databaseType: options.own.options.type,
      statements: sql,
      migrate: options.migrate,
      read: (statement) => this.lookOnce(() => one(statement, [])),
      run: (script) => translating(this.connection.lane.transact(script)),
      runBeside: (script) => translating(this.connection.lane.run(script)),
      clock: options.clock,
      logger: options.logger,
    });
  }

  async open(): Promise<void> {
    await this.ensureShared();
    await this.whenFree(() => this.options.own.initialize());
    try {
      await this.prepareConnection();
      await this.tables.setUp();
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
    return tx ? this.inTransaction(tx, insertScript(jobs)) : this.write(() => insertScript(jobs));
  }

  async find(ids: readonly string[], tx?: Seam.StoreTransaction): Promise<Job[]> {
    const params = [JSON.stringify(ids)];
    const rows = await (tx ? this.inTransaction(tx, one(sql.FIND_JOBS, params)) : this.read(sql.FIND_JOBS, params));
    return rows.map(jobOf);
  }

  afterTransaction(tx: Seam.StoreTransaction, done: (committed: boolean) => void): void {
    this.transactions.whenEnded(tx, done);
  }

  async claim({ lanes, limit, worker, leaseMs }: Seam.ClaimRequest): Promise<Claim[]> {
    const asked = lanes.map((lane) => ({ ...startOf(lane), limit: lane.limit }));
    // Looking takes no lock: a poll that finds nothing does not get in the way of the application's writes.
    const places = await this.read(sql.DUE_LANES, [JSON.stringify(asked)]);
    const due = places.map(({ place }) => asked[place as number]!);
    if (due.length === 0) {
      return [];
    }
    const params = [JSON.stringify(due), limit, Math.max(...due.map((lane) => lane.limit)), worker, leaseMs];
    // Payloads are parsed when the lock is free again.
    return (await this.write(() => one(sql.CLAIM, params))).map(claimOfRow);
  }

  async survey(gaps: readonly Seam.LaneGap[], lanes: readonly Seam.LaneStart[] = []): Promise<Seam.LaneSurvey> {
    return surveyOf(await this.read(sql.SURVEY, [JSON.stringify(gaps), JSON.stringify(lanes.map(startOf))]));
  }

  async renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<Seam.Renewal[]> {
    const rows = await this.write(() => one(sql.RENEW, [tokenJson(tokens), leaseMs]));
    return renewalsInOrder(tokens, rows, []);
  }

  async cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    const rows = await this.read(sql.CANCEL_REQUESTS, [tokenJson(tokens)]);
    return rows.map((row) => ({ id: row.id as string, attempt: Number(row.attempt) }));
  }

  settle(settlements: readonly Seam.Settlement[], unkept: readonly FinalStatus[] = []): Promise<Seam.Settled[]> {
    return this.write(() => settleScript(settlements, unkept));
  }

  async recordProgress(entries: readonly Seam.ProgressEntry[]): Promise<boolean[]> {
    const recorded = await this.write(() => one(sql.RECORD_PROGRESS, [progressJson(entries)]));
    return answeredInOrder(entries, recorded);
  }

  async completeTx(tx: Seam.StoreTransaction, { id, attempt }: ClaimToken, result: string | null): Promise<void> {
    const completed = await this.inTransaction(tx, one(settling.COMPLETE_IN_TX, [id, attempt, result]));
    if (completed.length > 0) {
      return;
    }
    const [owned] = await this.inTransaction(tx, one(settling.OWNED_STATE, [id, attempt]));
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

  async rescue(limit: number, lowerBound: string | null = null): Promise<Seam.Rescue> {
    const from = lowerBound === null ? '' : sqliteTime(lowerBound);
    const [look] = await this.read(sql.LOOK_FOR_EXPIRED, [from]);
    const rescued = look!.is_any_expired ? await this.write(() => one(sql.RESCUE, [limit, from])) : [];
    return rescueOf([...rescued, look!]);
  }

  async prune(retention: Retention, { after, rows, except = [] }: Seam.PrunePage): Promise<Seam.PrunedPage> {
    const ages = Object.entries(retention).filter((entry): entry is [string, number] => entry[1] !== false);
    const youngestMs = ages.length === 0 ? 0 : Math.min(...ages.map(([, age]) => age));
    const aged = JSON.stringify(ages.map(([status, age]) => ({ status, age_ms: age })));
    const params = [after ?? '', rows, aged, JSON.stringify(except)];
    // Looking takes no lock.
    const [page] = await this.read(sql.PRUNE_PAGE, [...params, youngestMs]);
    const removed = page!.is_any_aged ? await this.write(() => one(sql.PRUNE, params)) : [];
    return { removed: removed.length, next: page!.has_more ? (page!.last as string) : null };
  }

  requeue(ids: readonly string[], changes: Seam.RequeueChanges = {}): Promise<Seam.Moved[]> {
    const { payload = null, runAt, maxRetries = null } = changes;
    const params = [payload, runAt ? sqliteTime(runAt) : null, maxRetries];
    return this.move(sql.REQUEUE, ids, params);
  }

  promote(ids: readonly string[]): Promise<Seam.Moved[]> {
    return this.move(sql.PROMOTE, ids);
  }

  cancel(ids: readonly string[]): Promise<Seam.Moved[]> {
    return this.move(sql.CANCEL, ids);
  }

  delete(ids: readonly string[]): Promise<Seam.Moved[]> {
    return this.move(sql.DELETE, ids);
  }

  async discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    await this.write(() => one(settling.DISCARD, [tokenJson(tokens), JSON.stringify(statuses)]));
  }

  announce(): void {
    // Every process sees each commit of another by itself, in `listen`.
  }

  async listen(hints: Seam.StoreHints): Promise<() => Promise<void>> {
    if (this.options.isInMemory) {
      return () => Promise.resolve();
    }
    let seen: unknown;
    let timer: ScheduledWake | undefined;
    let isListening = true;
    const look = async (): Promise<void> => {
      const version = await this.dataVersion(seen);
      if (!isListening) {
        return;
      }
      if (version !== seen) {
        seen = version;
        hints.jobs();
        hints.cancel();
      }
      timer = this.options.clock.schedule(WATCH_INTERVAL_MS, () => void look());
    };
    await look();
    return async () => {
      isListening = false;
      timer?.cancel();
    };
  }

  private async dataVersion(lastKnown: unknown): Promise<unknown> {
    try {
      return (await this.connection.read(one(sql.DATA_VERSION, [])))[0]?.data_version;
    } catch {
      // Another process is recovering the log, or the disk failed: the next look, or a poll, will tell.
      return lastKnown;
    }
  }

  private async prepareConnection(): Promise<void> {
    const { app, own, clock, lockTimeoutMs, synchronous, isInMemory } = this.options;
    this.connection = sqliteConnectionOf(own, app, { clock, lockTimeoutMs });
    this.transactions.open();
    if (!isInMemory) {
      for (const pragma of [...sql.CONNECTION_PRAGMAS, sql.WRITE_AHEAD_LOG]) {
        await this.read(pragma, []);
      }
      await this.read(sql.SYNCHRONOUS[synchronous], []);
    }
  }

  /** @throws InvalidOptionsError where the application's own connection shuts out all others. */
  private async ensureShared(): Promise<void> {
    const { app, isInMemory } = this.options;
    const [row] = isInMemory ? [] : await app.query<SqlRow[]>(sql.LOCKING_MODE);
    if (row?.locking_mode === 'exclusive') {
      throw new InvalidOptionsError('dataSource', 'expected a file that others may open, got locking_mode = EXCLUSIVE');
    }
  }

  /** In one script, or where the database refuses one of several, in halves, until those that it refuses stand alone. */
  private async move(
    statements: sql.MoveStatements,
    ids: readonly string[],
    params: readonly unknown[] = [],
  ): Promise<Seam.Moved[]> {
    try {
      return await this.write(() => moveScript(statements, ids, params));
    } catch (error) {
      if (!(error instanceof SqlError)) {
        throw error;
      }
      return ids.length === 1 ? [movedOf(leftAlone(ids[0]!, error))] : this.moveHalves(statements, ids, params);
    }
  }

  private async moveHalves(
    statements: sql.MoveStatements,
    ids: readonly string[],
    params: readonly unknown[],
  ): Promise<Seam.Moved[]> {
    const middle = Math.ceil(ids.length / 2);
    const moved = [
      ...(await this.move(statements, ids.slice(0, middle), params)),
      ...(await this.move(statements, ids.slice(middle), params)),
    ];
    // Alone a job is answered whole; of several none is, whichever way they went.
    return moved.map((each) => ({ ...each, job: null }));
  }

  private write<T>(script: () => SqlScript<T>): Promise<T> {
    return this.tables.usedBy(() => translating(this.connection.lane.run(script)));
  }

  private read(text: string, params: readonly unknown[]): Promise<readonly SqlRow[]> {
    return this.look(() => one(text, params));
  }

  /** Runs a script that only reads. */
  private look<T>(script: () => SqlScript<T>): Promise<T> {
    return this.tables.usedBy(() => this.lookOnce(script));
  }

  private lookOnce<T>(script: () => SqlScript<T>): Promise<T> {
    return this.whenFree(() => this.connection.read(script()));
  }

  private whenFree<T>(work: () => T | Promise<T>): Promise<T> {
    return translating(untilFree(work, this.options.clock, this.options.lockTimeoutMs));
  }

  private async inTransaction<T>(tx: Seam.StoreTransaction, script: SqlScript<T>): Promise<T> {
    try {
      return await translating(runScript(runnerOfQueryRunner(this.transactions.queryRunnerOf(tx)), script));
    } catch (error) {
      void this.tables.madeAfter(error);
      throw error;
    }
  }
}

async function translating<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof SqlError ? (unavailability(error) ?? error) : error;
  }
}

function unavailability(cause: SqlError): QueueUnavailableError | undefined {
  switch (cause.kind) {
    case 'closed':
      return new QueueUnavailableError(QUEUE_CLOSED, { cause });
    case 'unavailable':
    case 'busy':
    case 'denied':
      return new QueueUnavailableError(`the database cannot be used: ${cause.message}`, { cause });
    default:
      return undefined;
  }
}
