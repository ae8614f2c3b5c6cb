/*
 * store/: the seam between the engine and a database. In: verbs and records. Out: rows.
 * Read this file and jobs/job-records.ts first, then postgres/postgres-store.ts or sqlite/sqlite-store.ts, which join the parts. Each
 * subject is a folder: its logic for both databases, and its SQL in *.postgres.ts and *.sqlite.ts. In jobs/, batch-json.ts writes sets into
 * statements, row-mapper.ts and batch-results.ts read the rows. runtime/ has what all of them use.
 */
import type { GroupTopic, JobGroup } from '../core/job-group.js';
import type { WorkerDetails, WorkerProcess } from '../core/job-reports.js';
import type { ClaimToken, Job } from '../core/job.js';
import type { FinalStatus } from '../core/job-state.js';
import type { ListFilter } from '../core/list-filter.js';
import type { Retention } from '../core/retention.js';
import type { TopicLimits } from '../core/topic-limits.js';
import type { Definition, DefinitionRef, DefinitionState, PendingSchedule } from './definitions/definition-records.js';
import type { LimitSelection, LimitStates, LimitedTopic, StoredTopic } from './limits/limit-records.js';
import type { LinkChanges, LinkedCallback, LinkStore } from './links/link-store.js';
import type { LogStore } from './logs/log-store.js';
import type { Audience, StoreHints } from './runtime/store-hints.js';
import type { FiredSchedule, ListedSchedules, ScheduleChange, ScheduleFiring } from './schedules/schedule-records.js';
import type {
  ErrorCount,
  JobCounts,
  LastError,
  PresenceReply,
  RecordedCounts,
  RolledUpMinutes,
  RollupRecord,
  TopicRunTimes,
  FailureKind,
  FailureShares,
  TopicAttempts,
  TopicShare,
  WorkerSharing,
} from './reports/report-records.js';
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
  ListedIds,
  ListedJobs,
  LostLease,
  PausedTopic,
  ProgressEntry,
  PrunedPage,
  PrunePage,
  RequeueChanges,
  Rescue,
  Settled,
  Settlement,
  JobSummary,
  SweptPage,
} from './jobs/job-records.js';
import type { StoreTransaction, TransactionCall } from './transactions/application-transactions.js';

/**
 * Stores jobs in a database. Every verb takes a set and runs one statement or a few. Only the database's clock compares times.
 *
 * Every verb rejects with `QueueUnavailableError` when the database does not reply; it is then unknown whether a write was
 * stored. Any other rejection means that the database has refused a member of the set. A verb of several statements may then
 * have stored a part. Every write may be repeated.
 */
export interface JobStore
  extends JobWriter, JobClaimer, AttemptWriter, JobMaintenance, JobActionWriter, JobNotifications {
  readonly capabilities: StoreCapabilities;
  readonly reports: JobReports & ReportRecords;
  readonly pauses: TopicPauses;
  readonly schedules: ScheduleStore;
  readonly definitions: DefinitionStore;
  readonly limits: LimitStore;
  readonly links: LinkStore;
  readonly groups: GroupStore;
  readonly logs: LogStore;
  readonly steps: StepStore;

  /** Opens the queue's own connections. Creates and upgrades the tables, or checks them. */
  open(): Promise<void>;
  /** Closes the queue's own connections. Those of the application stay open. */
  close(): Promise<void>;
}

/** Used to enqueue. */
interface JobWriter {
  /**
   * Stores all jobs or none, and announces them to one process. With `tx` the caller announces them after its commit. On sqlite3,
   * several jobs without `tx` can be stored in part when the verb rejects. Returns the jobs in the order of `jobs`.
   *
   * @param isOwn this process claims the jobs itself: no notification is sent.
   * @param sinceMs when the oldest call began, by the clock of the store. On SQLite its wait for the lock counts from then on.
   * @throws WriteLockError on SQLite, when another connection held the lock for too long.
   */
  insert(jobs: readonly JobInsert[], tx?: StoreTransaction, isOwn?: boolean, sinceMs?: number): Promise<InsertedJob[]>;
  /** Returns those of the jobs that exist, in any order. With `tx` it reads inside that transaction. */
  find(ids: readonly string[], tx?: StoreTransaction): Promise<Job[]>;
  /** Returns the job that holds a unique key of the topic: unfinished, waiting, or kept by `uniqueFor`. */
  findHolder(topic: string, uniqueKey: string): Promise<Job | undefined>;
  /**
   * Adds a call to a transaction of the application. The transaction ends only after the call has finished. `onEnd` then receives
   * whether it has committed. When the savepoint around the call is rolled back, `onEnd` receives `false` at once.
   *
   * @throws InvalidOptionsError when the transaction is ending or has ended. If it has already ended, `onEnd` is called before
   * the throw.
   */
  joinTransaction(tx: StoreTransaction, onEnd: (committed: boolean) => void): TransactionCall;
}

/** Used by the dispatcher. */
interface JobClaimer {
  /**
   * pending → processing, `limit` jobs at most. Skips paused topics. From lanes: lane by lane. From a topic: as far as its limits allow, exact
   * under any number of processes, since claims of one topic run one after another; keys take turns, in one order for all processes.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>;
  /** Returns the first waiting job, due or not, of each priority in each gap, and of each lane from its lower bound on. */
  scan(gaps: readonly LaneGap[], lanes?: readonly LaneStart[]): Promise<LaneScan>;
}

/** Used while an attempt runs, and to record its outcome. Each write is fenced by id and attempt. */
interface AttemptWriter {
  /**
   * processing → processing. Marks that the handler of a last attempt is about to run. If the lease expires before the mark, the
   * job waits again; after it, the job fails. An expired lease counts as lost. Returns the states in the order of `tokens`.
   */
  markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]>;
  /** processing → processing. The lease ends `leaseMs` from now. Returns the states in the order of `tokens`. */
  renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]>;
  /** Returns those of the claimed jobs for which a cancel was requested. */
  cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]>;
  /**
   * processing → the status of each outcome. Deletes jobs that end in one of `discardStatuses`, except those that `discard` keeps. A
   * follow-up then releases or cancels children, finishes groups and inserts dead letters; see `LinkStore.observe`. Returns the results in the order of `settlements`.
   */
  settle(settlements: readonly Settlement[], discardStatuses?: readonly FinalStatus[]): Promise<Settled[]>;
  /** Writes the progress of running jobs, one value for each. Returns the states in the order of `entries`. */
  recordProgress(entries: readonly ProgressEntry[]): Promise<ClaimState[]>;
  /**
   * Adds a reason to the errors that a rescue has recorded for these attempts. Leaves out those that it does not find, jobs that have
   * completed since, and rows that are locked. Returns the ids of the changed jobs.
   */
  explainLostLeases(losses: readonly LostLease[]): Promise<string[]>;
  /**
   * processing → completed, inside a transaction of the application. `result` and `progress` are JSON texts; without `progress` the
   * row keeps its value; `startedMs` is that of `Settlement`. Returns what happened to the children; the caller reports it after the
   * commit: see `LinkStore.report`.
   *
   * @throws LeaseLostError when another attempt owns the job or it has ended.
   * @throws JobStateError when a cancel was requested.
   */
  completeTx(
    tx: StoreTransaction,
    token: ClaimToken,
    result: string | null,
    progress?: string,
    startedMs?: number,
  ): Promise<LinkChanges>;
  /** Runs `work` in a transaction of the application's DataSource. Rejects when `capabilities.transactionsAtOnce` is 0. */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
  /**
   * Deletes jobs that have ended in one of these statuses, in this attempt. These jobs stay, and are pruned later: those with an
   * idempotency key, those that keep their unique key, watched ones, which children may read, and those whose topic declares an age.
   */
  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void>;
}

/** Used by the rescuer and the pruner. */
interface JobMaintenance {
  /**
   * Ends the attempts whose lease has expired: each costs a retry, and the job waits again, fails or ends cancelled. A last
   * attempt that never started waits again instead of failing. Skips leases that ended before `lowerBound`, ISO 8601.
   */
  rescue(limit: number, lowerBound?: string | null): Promise<Rescue>;
  /**
   * pending → cancelled for up to `limit` jobs that have not started by their expiry. Skips expiries before `lowerBound`, ISO 8601.
   */
  expire(limit: number, lowerBound?: string | null): Promise<ExpiredJob[]>;
  /**
   * Deletes finished jobs that are older than the retention allows, in one page of the table, oldest first. A topic that declares its own
   * retention has that one. `null` deletes nothing, and only returns the next page.
   */
  prune(retention: Retention | null, page: PrunePage): Promise<PrunedPage>;
}

/** Used by the admin actions. Each verb returns its results in the order of `ids`. */
interface JobActionWriter {
  /** failed, cancelled → pending. Skips jobs whose unique key is taken. */
  requeue(ids: readonly string[], changes?: RequeueChanges, request?: ActionRequest): Promise<ActionResult[]>;
  /** pending → pending. Sets `run_at` to now, unless it is earlier already. */
  promote(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]>;
  /** pending → cancelled. Marks processing jobs and notifies their workers. */
  cancel(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]>;
  /** Deletes jobs that are not processing. */
  delete(ids: readonly string[], request?: ActionRequest): Promise<ActionResult[]>;
}

/** Hints between processes. Any of them may be lost. */
interface JobNotifications {
  /** Notifies other processes that jobs of these topics may be due. Hints may be merged. Default: `one` of them should claim. */
  announce(topics: Iterable<string>, audience?: Audience): void;
  /** Notifies other processes that the list of live processes has changed. Never rejects. */
  announceWorkers(): Promise<void>;
  /** Calls `hints` for notifications of other processes, until the returned function is called. */
  listen(hints: StoreHints): Promise<() => Promise<void>>;
  /** Notifies other processes that a schedule has changed. */
  announceSchedules(): void;
}

/** Topics of which no process claims a job until they are resumed. */
export interface TopicPauses {
  list(): Promise<PausedTopic[]>;
  /** A topic that is paused already keeps its time. */
  pause(topics: readonly string[]): Promise<void>;
  /** Ignores topics that are not paused. Sends no notification: see `announce`. */
  resume(topics: readonly string[]): Promise<void>;
}

/** The limits of topics. Claims read them, so a change applies from the next claim of any process. */
export interface LimitStore {
  /** Stores an operator's setting; `null` removes it. Sends no notification: see `announce`. */
  set(topic: string, limits: TopicLimits | null): Promise<void>;
  /** Returns the topics that have limits or a declaration, by name. @param topic only this topic. Default: all. */
  list(topic?: string | null): Promise<StoredTopic[]>;
  /** Returns what the limits of these topics and keys allow now. */
  states(selection: readonly LimitSelection[]): Promise<LimitStates>;
  /** Returns what runs and waits in those of these topics that are limited. @param keysMax counts up to this many keys of each priority. */
  limited(topics: readonly string[], keysMax: number): Promise<LimitedTopic[]>;
  /** Deletes up to 10,000 counted starts of a topic that its rate does not need any more. Returns whether there may be others. */
  pruneStarts(topic: string): Promise<boolean>;
}

/**
 * What the code of processes declares: schedules, and limits, retention and dead letters of topics. Of each kind and name the definition
 * applies that was first seen last, among those that a live process declares. While a process settles (`isSettling`,
 * default `false`), the definition in the row of the topic or schedule counts as declared.
 */
export interface DefinitionStore {
  /**
   * Records that this process declares these definitions, and applies those of topics as `apply` does. `recordWorker` renews them. Returns
   * the topics that changed.
   */
  declare(definitions: readonly Definition[], isSettling?: boolean): Promise<string[]>;
  /**
   * Writes the definitions that apply to the rows of all topics, and deletes old ones. A definition that no live process declares ends, if a
   * live process handles its topic. Limits of an operator stay. Returns the topics that changed.
   */
  apply(isSettling?: boolean): Promise<string[]>;
  /** Compares these definitions, and the rows of topics and schedules, with the definitions that apply. Only reads. */
  state(refs: readonly DefinitionRef[], isSettling?: boolean): Promise<DefinitionState>;
  /** Returns the schedules whose row has another definition than the one that applies, by name. */
  pendingSchedules(isSettling?: boolean): Promise<PendingSchedule[]>;
}

/** The table of schedules. Each change compares the revision that the caller has read. */
export interface ScheduleStore {
  /** Returns the schedules by name, and the database's time. @param name only this schedule. Default: all. */
  list(name?: string | null): Promise<ListedSchedules>;
  /** Adds or changes a schedule. Returns `false` when another process was first: read again. */
  put(change: ScheduleChange): Promise<boolean>;
  /** Returns `false` when the schedule has changed or does not exist. */
  remove(name: string, revision: number): Promise<boolean>;
  /** Returns `false` when the schedule does not exist. */
  pause(name: string): Promise<boolean>;
  /** Returns `false` when the schedule has changed or does not exist. */
  resume(name: string, revision: number, nextTick: Date | null): Promise<boolean>;
  /**
   * Moves the cursors of due schedules and inserts the jobs of their ticks, in one transaction. Leaves out schedules that another
   * process has fired or changed, and jobs that exist already.
   */
  fire(firings: readonly ScheduleFiring[]): Promise<FiredSchedule[]>;
}

/** A finished step of a running job. */
export interface StepEntry {
  readonly token: ClaimToken;
  /** JSON text of an object with `name` and, unless it is `undefined`, `result`. */
  readonly step: string;
}

/** The steps that handlers run with `job.step`. `JobStore.find` reads them. */
export interface StepStore {
  /**
   * processing → processing. Adds a step to each job, fenced by id and attempt, and the database's time. A step that is there already
   * is skipped, so that a write whose response was lost can be repeated. Returns the states in the order of `entries`.
   */
  record(entries: readonly StepEntry[]): Promise<ClaimState[]>;
}

/** Reads groups. `LinkStore` writes them. */
export interface GroupStore {
  get(id: string): Promise<JobGroup | undefined>;
  /** Returns the newest groups, or those before a group. `finished`: only groups that have finished, or have not; `null`: both. */
  list(before: string | null, limit: number, finished: boolean | null): Promise<JobGroup[]>;
  /** Returns the id of the caller over HTTP who has created a group. */
  creator(id: string): Promise<string | null>;
  /** Returns the jobs that wait for a group, and how. */
  callbacks(id: string): Promise<LinkedCallback[]>;
  /** Returns each topic of the members and callbacks that exist. */
  topics(ids: readonly string[]): Promise<GroupTopic[]>;
  /** Returns the ids of the next `limit` members after `after` that are pending or processing. */
  unfinishedMembers(id: string, after: string | null, limit: number): Promise<string[]>;
  /** Deletes finished groups without jobs, among the next `limit` groups after `after`, 1,000 by default. */
  prune(after: string | null, limit?: number): Promise<SweptPage>;
}

/**
 * Lists, counts, errors and times. Reads only. Each statement reads index ranges, so its cost grows with the result, not with the
 * table. Counts are the exception: they read one index from end to end.
 */
export interface JobReports {
  /** Returns one page, newest first. */
  list(query: ListFilter): Promise<ListedJobs>;
  /** Returns the ids of one page. */
  listIds(query: ListFilter): Promise<ListedIds>;
  /** Returns a summary of each of the jobs that exist, in any order. */
  summarize(ids: readonly string[], asOf?: string | null): Promise<JobSummary[]>;
  /**
   * Returns the database's time, ISO 8601 in microseconds. Everything that is written from now on has a later time: a database that counts
   * milliseconds waits for the next one.
   */
  now(): Promise<string>;
  /** Counts the jobs by topic and status at one moment. Leaves out topics without jobs. @param topics each by its name; `null`: all. */
  counts(topics: readonly string[] | null): Promise<JobCounts>;
  /** Whether the table has at most this many jobs. */
  isSmall(jobsMax: number): Promise<boolean>;
  /** Returns the database's time and the last recorded count. */
  recordedCounts(): Promise<{ readonly now: Date; readonly recorded: RecordedCounts | null }>;
  /** Returns the times of the newest completed jobs of each topic. */
  runTimes(shares: readonly TopicShare[]): Promise<TopicRunTimes[]>;
  /** Splits a budget of `jobsMax` rows over the topics, in proportion to their jobs with an error. `null`: all topics. */
  failingTopics(kind: FailureKind, topics: readonly string[] | null, jobsMax: number): Promise<TopicShare[]>;
  /** Sums the attempts of topics in the last minutes, the current one included. Leaves out topics without any. */
  recentAttempts(topics: readonly string[], minutes: number): Promise<TopicAttempts[]>;
  /** Counts the newest jobs with an error of each topic by message and time, in any order. */
  errors(shares: FailureShares): Promise<ErrorCount[]>;
  /** Returns the last errors of the jobs that exist, in any order. */
  lastErrors(ids: readonly string[]): Promise<LastError[]>;
  /** Returns what finished in the last minutes, the current one included, oldest first. Takes topics, or `ALL_TOPICS`. */
  timeseries(topics: readonly string[], minutes: number): Promise<RolledUpMinutes>;
  /** Returns the topics for which a live process has a handler. */
  servedTopics(): Promise<string[]>;
  /** Returns up to 1,000 processes, those that live first. */
  workers(): Promise<WorkerProcess[]>;
  /** Returns the topics with pending jobs, due or not. Costs one index lookup a topic. */
  waitingTopics(): Promise<string[]>;
  /**
   * Returns topics with jobs, a handler in a live process, settings or a schedule, at least `max` if there are that many. Costs one index
   * lookup a topic.
   */
  knownTopics(max: number): Promise<string[]>;
  /** Returns those of the topics that `knownTopics` would list, without its limit. */
  existingTopics(topics: readonly string[]): Promise<string[]>;
}

/** Records that each process writes for the reports. */
export interface ReportRecords {
  /**
   * Stores what finished in this process. If `minute` is the database's current minute, overwrites its row with `totals`. In a new
   * minute inserts a row with `since`, the jobs since the last record.
   *
   * @returns the minute of the row that was written.
   */
  recordRollup(record: RollupRecord): Promise<Date>;
  /**
   * Records that this process lives and has handlers for these topics.
   *
   * @param sharing what it shares with others; `null`: it wakes and polls alone, and the reply names no others.
   * @param definitions what it declares. In the same transaction: the end of a definition depends on both.
   */
  recordWorker(
    worker: string,
    topics: readonly string[],
    details: WorkerDetails,
    sharing?: WorkerSharing | null,
    definitions?: readonly DefinitionRef[],
  ): Promise<PresenceReply>;
  /** Records that this process ends. */
  forgetWorker(worker: string): Promise<void>;
  /**
   * Claims the full count, so that one process counts at a time. The claim ends when the process records its count, or after a minute.
   *
   * @param restFactor how many times its duration ago the last count must have begun.
   * @returns the database's time, or `null` if no count is due or another process counts.
   */
  claimCount(restFactor: number): Promise<Date | null>;
  /** Records a count of all jobs, unless a later one is recorded. */
  recordCounts(counts: RecordedCounts): Promise<void>;
  /** Deletes up to `limit` rows of each kind that no report shows any more; 1,000 by default. */
  pruneReports(limit?: number): Promise<SweptPage>;
}

export interface StoreCapabilities {
  /** How many handlers may run inside a transaction of the application at once; 0: none. */
  readonly transactionsAtOnce: number;
  /** Inserts without a unique key. More of them at once would wait for each other. */
  readonly inserts: StatementConcurrency;
  /**
   * Claims, and settlements. `atOnce` above 1 means pipelining on one connection: the next is sent before the reply to the previous
   * one is read. Known once the store is open.
   */
  readonly pipelined: StatementConcurrency;
  /** For display. No code depends on it. */
  readonly database: 'postgres' | 'sqlite';
}

/** How many statements of one kind gain from running at once. */
export interface StatementConcurrency {
  readonly atOnce: number;
  /** While one statement runs, another is sent only for at least this many jobs: each costs a commit of its own. */
  readonly minJobsForAnother: number;
}

/** One statement at a time. */
export const ONE_AT_A_TIME: StatementConcurrency = { atOnce: 1, minJobsForAnother: 1 };
