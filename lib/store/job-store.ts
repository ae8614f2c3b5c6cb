import type { Backoff } from '../core/backoff.js';
import type { Failure } from '../core/error-text.js';
import type { Claim, ClaimToken, Idempotency, Job, Outcome } from '../core/job.js';
import type { FinalStatus, JobStatus } from '../core/job-state.js';
import type { Retention } from '../core/options.js';
import type { JobReports, ReportRecords } from './report-store.js';

/**
 * The seam between the engine and a database. Every verb takes a set and is one statement, or a few; every comparison of
 * times is made by the database's clock.
 *
 * All verbs reject with `QueueUnavailableError` when the database does not answer: whether a write was stored is then
 * unknown. Any other rejection means that the database refused a member of the set. A verb of several statements may have
 * stored a part by then; every write may be repeated.
 */
export interface JobStore {
  readonly capabilities: StoreCapabilities;
  /** What people ask of the table, and what processes write down for that. */
  readonly reports: JobReports & ReportRecords;
  readonly pauses: TopicPauses;

  /** Opens the queue's own connections and brings the tables up to date, or checks them. */
  open(): Promise<void>;
  /** Closes the queue's own connections. The application's stay open. */
  close(): Promise<void>;

  /**
   * Stores jobs, all or none, and announces them. In a caller's transaction they are to be announced when it has committed.
   * Answers in the order of `jobs`.
   */
  insert(jobs: readonly JobInsert[], tx?: StoreTransaction): Promise<InsertedJob[]>;
  /** The jobs with these ids that exist, in any order; seen from inside the caller's transaction when one is given. */
  find(ids: readonly string[], tx?: StoreTransaction): Promise<Job[]>;
  /** The unfinished job that holds a unique key of this topic. */
  findHolder(topic: string, uniqueKey: string): Promise<Job | undefined>;
  /**
   * A call begins in the caller's transaction, which does not end before the call is settled. Calls `done` with whether that
   * committed, as soon as it has ended or the savepoint around the call was rolled back.
   *
   * @throws InvalidOptionsError when its end has begun; `done` is called then, too.
   */
  joinTransaction(tx: StoreTransaction, done: (committed: boolean) => void): TransactionPart;

  /** pending → processing, lane by lane, at most `limit` in all; nothing of topics that are paused. */
  claim(request: ClaimRequest): Promise<Claim[]>;
  /** The first waiting job, due or not, of each priority in each gap, and of each of the lanes from its lower bound on. */
  scan(gaps: readonly LaneGap[], lanes?: readonly LaneStart[]): Promise<LaneScan>;
  /**
   * processing → processing: their handlers are called next. Asked of jobs without a retry left: until then the end of the lease
   * puts such a job back, from then on it fails it; one that has ended counts as lost. Answers in the order of `tokens`.
   */
  markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]>;
  /** processing → processing: the lease lives on for `leaseMs` from now. Answers in the order of `tokens`. */
  renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]>;
  /** Those of the claimed jobs that somebody asked to cancel. */
  cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]>;
  /**
   * processing → whatever each outcome says, fenced by id and attempt. Answers in the order of `settlements`. Jobs that have
   * ended in one of the `discardStatuses` statuses are deleted, but those with an idempotency key: they are pruned later.
   */
  settle(settlements: readonly Settlement[], discardStatuses?: readonly FinalStatus[]): Promise<Settled[]>;
  /**
   * Keeps what handlers say of their progress, fenced, unless a transaction holds the row for longer than a moment. `false` where
   * the lease was lost. Answers in their order.
   */
  recordProgress(entries: readonly ProgressEntry[]): Promise<boolean[]>;
  /**
   * processing → completed inside the caller's transaction. `result` is JSON text.
   *
   * @throws LeaseLostError when another attempt owns the job or it has ended.
   * @throws JobStateError when a cancel was requested.
   */
  completeTx(tx: StoreTransaction, token: ClaimToken, result: string | null): Promise<void>;
  /** Runs `work` in a transaction of the application's DataSource. Only where `capabilities.transactionsAtOnce` allows it. */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;

  /**
   * Jobs whose lease has expired: a retry is charged, and they go back, fail for good, or end cancelled. What would fail and
   * has never begun goes back, too. Leases that ended before `lowerBound`, ISO 8601, are not looked at.
   */
  rescue(limit: number, lowerBound?: string | null): Promise<Rescue>;
  /**
   * Deletes finished jobs over their age, one page of the table at a time, oldest first. Without an age it says what is next,
   * and no more.
   */
  prune(retention: Retention, page: PrunePage): Promise<PrunedPage>;

  /**
   * failed, cancelled → pending. Jobs whose unique key is taken are left alone. Answers in the order of `ids`.
   *
   * @param from only jobs that stand in one of these statuses by now; `null`, the default, is all. So with each of these verbs.
   */
  requeue(ids: readonly string[], changes?: RequeueChanges, from?: Statuses): Promise<ActionResult[]>;
  /** pending → pending, due now, or when it was if that is earlier. Answers in the order of `ids`. */
  promote(ids: readonly string[], from?: Statuses): Promise<ActionResult[]>;
  /** pending → cancelled; a processing job is marked, and its worker told. Answers in the order of `ids`. */
  cancel(ids: readonly string[], from?: Statuses): Promise<ActionResult[]>;
  /** Deletes jobs that are not processing. Answers in the order of `ids`. */
  delete(ids: readonly string[], from?: Statuses): Promise<ActionResult[]>;

  /**
   * Deletes jobs that have ended in one of these statuses, as far as they still stand in it and in that attempt, but those with
   * an idempotency key: they are pruned later.
   */
  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void>;

  /** Tells other processes that jobs of these topics may be due. A hint: it may be dropped, or merged with others. */
  announce(topics: Iterable<string>): void;
  /** Calls back on hints of other processes until the returned function is called. */
  listen(hints: StoreHints): Promise<() => Promise<void>>;
}

/** A call in a transaction of the caller's. */
export interface TransactionPart {
  /** The call has its answer. With a refusal the transaction cannot commit: its commit rejects with that. */
  settled(refusal?: Error): void;
  /** Its refusal counts no more. */
  pardon(): void;
}

export interface StoreCapabilities {
  /** How many handlers may each run inside a transaction for their whole length; 0 where none may. */
  readonly transactionsAtOnce: number;
  /** Inserts without a unique key; more would only wait for each other. */
  readonly inserts: StatementConcurrency;
  /**
   * How many claims, and how many settlements, may be under way on one connection: where it is more than one, the next is sent
   * before the answer to the last is read. Known when the store is open.
   */
  readonly pipelined: StatementConcurrency;
  /** For people to read; nothing is decided by it. */
  readonly database: 'postgres' | 'sqlite';
}

/** Of one kind of statement, how many gain from being under way at once. */
export interface StatementConcurrency {
  readonly atOnce: number;
  /** None goes out beside another for fewer jobs than this: it must be worth a commit of its own. */
  readonly jobsMin: number;
}

/** Each waits for the answer to the one before it. */
export const ALONE: StatementConcurrency = { atOnce: 1, jobsMin: 1 };

/** A transaction of the caller's own. What it is, an `EntityManager`, only the store knows. */
export type StoreTransaction = object;

/** What other processes say; `topic` is absent when any may be meant. */
export interface StoreHints {
  jobs(topic?: string): void;
  cancel(): void;
}

/** A row to be. JSON members are text already. */
export interface JobInsert {
  readonly id: string;
  readonly topic: string;
  readonly payload: string;
  /** `null` counts from now. */
  readonly runAt: Date | null;
  readonly delayMs: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly uniqueKey: string | null;
  readonly metadata: string | null;
  readonly idempotency: Idempotency | null;
}

/** For so long a repeated request is known by its idempotency key; its job is kept as long, whatever `retention` says. */
export const IDEMPOTENCY_MS = 24 * 3_600_000;

export interface InsertedJob {
  /** The id of the job that stands in the table: the given one, or that of the holder of one of its keys. */
  readonly id: string;
  /** Another unfinished job holds the unique key. */
  readonly deduplicated: boolean;
  /** The hash under which another job holds the idempotency key; `null` when none does. */
  readonly replayOf: string | null;
  readonly runAt: Date;
  readonly created: Date;
}

/** Jobs of one topic and priority, in the order of `run_at`, from some moment on. */
export interface LaneStart {
  readonly topic: string;
  readonly priority: number;
  /** Nothing due before this moment is looked at; ISO 8601, `null` looks at everything. */
  readonly lowerBound: string | null;
}

/** A lane to claim from. */
export interface Lane extends LaneStart {
  readonly limit: number;
}

export interface ClaimRequest {
  /** In the order in which they are to be served. */
  readonly lanes: readonly Lane[];
  readonly limit: number;
  readonly leaseMs: number;
  readonly worker: string;
}

/** Priorities of a topic strictly between two bounds. */
export interface LaneGap {
  readonly topic: string;
  readonly after: number;
  readonly before: number;
}

/** A lane that has a waiting job. */
export interface WaitingLane {
  readonly topic: string;
  readonly priority: number;
  /** Milliseconds until its first job is due; 0 or less when it is. */
  readonly dueInMs: number;
  /** Claims get nothing from it. */
  readonly isPaused: boolean;
}

/** Topics of which no process claims a job, until they are resumed. */
export interface TopicPauses {
  list(): Promise<PausedTopic[]>;
  /** One that is paused already keeps its time. */
  pause(topics: readonly string[]): Promise<void>;
  /** Harmless for one that is not paused. Processes that may claim again are not told: see `announce`. */
  resume(topics: readonly string[]): Promise<void>;
}

export interface PausedTopic {
  readonly topic: string;
  readonly since: Date;
}

/** What a look into the database's indexes says of itself. */
export interface ScanTiming {
  /** The database's time, at which it was asked. */
  readonly at: Date;
  /**
   * How long the database worked on it. On PostgreSQL that grows with the entries of claimed and finished jobs which a
   * long transaction somewhere keeps in the index; SQLite has none, and says 0.
   */
  readonly tookMs: number;
}

export interface LaneScan extends ScanTiming {
  readonly waiting: readonly WaitingLane[];
}

/** `held`: still owned, and written. `busy`: still owned, but the row is locked by a transaction; ask again. */
export interface ClaimState {
  readonly state: 'held' | 'busy' | 'lost';
  readonly cancelRequested: boolean;
  /** Where the store has left the row, if it says so: for the token. */
  readonly rowRef?: string;
}

export interface Settlement {
  readonly token: ClaimToken;
  readonly outcome: Outcome;
  /** How long the handler ran; `null` when it did not, or when that is not known. */
  readonly durationMs: number | null;
  /** Somebody had its row locked, or changed it meanwhile, when it was asked for before: no statement is to wait for it. */
  readonly wasLocked?: boolean;
}

export interface ProgressEntry {
  readonly token: ClaimToken;
  /** JSON text. */
  readonly progress: string | null;
}

/** What became of one outcome: the row as it stands now, or nothing when it is gone. */
export interface Settled {
  /** Whether this call moved the row. Of many completions, one may have been moved by an earlier call for the same attempt. */
  readonly applied: boolean;
  /** `null`: there is no such job any more. */
  readonly status: JobStatus | null;
  readonly attempt: number;
  /** Of a job that waits again: how many retries it has had. */
  readonly retries: number | null;
  /** Of a job that waits again: when it is due. */
  readonly runAt: Date | null;
  /**
   * Of a row that did not move: whether the rescue, and not this attempt, has recorded how the attempt ended. Of an attempt that
   * has never begun the rescue leaves nothing to tell by.
   */
  readonly wasRescued?: true;
}

export interface Rescue extends ScanTiming {
  readonly rescued: readonly Rescued[];
}

export interface Rescued {
  readonly id: string;
  readonly topic: string;
  readonly attempt: number;
  readonly status: 'pending' | 'failed' | 'cancelled';
  readonly retries: number;
  /** Of one that has failed. */
  readonly failure: Failure | null;
}

export interface PrunePage {
  /** Only jobs after this id are looked at; `null` begins with the oldest. */
  readonly after: string | null;
  readonly rows: number;
  /** Jobs that are left alone. Default none. */
  readonly except?: readonly string[];
}

export interface PrunedPage {
  readonly removed: number;
  /** Where to go on; `null` when no older job is left to look at. */
  readonly next: string | null;
}

/** Absent members stay as they are; `runAt` absent means now. `payload` is JSON text. */
export interface RequeueChanges {
  readonly payload?: string;
  readonly runAt?: Date;
  readonly maxRetries?: number;
}

/** Some statuses, or all. */
export type Statuses = readonly JobStatus[] | null;

/** What became of one job that somebody asked to move. */
export interface ActionResult {
  readonly id: string;
  readonly moved: boolean;
  /** Its status now; `null`: there is no such job (any more). */
  readonly status: JobStatus | null;
  readonly topic: string | null;
  readonly attempt: number;
  /** The unfinished job that holds its unique key, when that stood in the way. */
  readonly holderId: string | null;
  /**
   * What kept it from being moved when there is nothing else to say of it: a `RowLockedError`, since an open transaction holds its
   * row or its key, or a `SqlError`, since the database refused what was asked.
   */
  readonly reason: Error | null;
  /** The row as it was moved, when no other job was asked for and it was not deleted: it may be gone in a moment. */
  readonly job: Job | null;
}
