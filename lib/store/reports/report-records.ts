import type { OtherTopics, RecentAttempts, StatusCounts } from '../../core/job-reports.js';
import type { Histogram } from '../../core/run-times.js';

/* What reports read and return. */

/** Jobs with an error: failed for good, or pending with a used retry. */
export type FailureKind = 'failed' | 'retrying';

export interface TopicCounts extends StatusCounts {
  readonly topic: string;
  /** Pending jobs that have used a retry. */
  readonly retrying: number;
}

/** Counts of one moment. Each job is counted once. */
export interface JobCounts {
  /** The topics with names: at most `NAMED_TOPICS_MAX`, unless the caller asked for them by name. */
  readonly topics: readonly TopicCounts[];
  /** The sum of all other topics; `null` if there are none. */
  readonly other: OtherTopics | null;
}

/**
 * This many topics have counts of their own: first those that a live process handles or that have settings, then those with the most jobs.
 * A caller who may enqueue chooses the names of topics, and a hundred thousand of them must not slow down a report.
 */
export const NAMED_TOPICS_MAX = 1_000;

/** The last full count. */
export interface RecordedCounts extends JobCounts {
  /** The database's time at which the count began. */
  readonly countedAt: Date;
  /** At most `COUNT_PACE.tookMsMax`. */
  readonly tookMs: number;
}

export function sumCounts(counts: readonly StatusCounts[]): StatusCounts {
  const sum = { pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const each of counts) {
    sum.pending += each.pending;
    sum.processing += each.processing;
    sum.completed += each.completed;
    sum.failed += each.failed;
    sum.cancelled += each.cancelled;
  }
  return sum;
}

export function total({ pending, processing, completed, failed, cancelled }: StatusCounts): number {
  return pending + processing + completed + failed + cancelled;
}

/** The counts of a topic without jobs. */
export const NO_JOBS = { pending: 0, retrying: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };

/** How workers keep the recorded count recent. */
export const COUNT_PACE = {
  /** The next count starts after this many times the duration of the last one, so that counting takes 1 % of a core. */
  restFactor: 100,
  /** The shortest time between two counts. */
  restMs: 20_000,
  /** A count that took less than this is not used again. */
  fastMs: 25,
  /** The time between two counts after such a fast one. */
  fastRestMs: 600_000,
  /** A longer duration is recorded as this: the process may have been suspended or waited for a lock. */
  tookMsMax: 30_000,
  /** Without a record, workers do not count a smaller table. On PostgreSQL this is its size, on SQLite it is `SMALL_TABLE_JOBS`. */
  heapBytes: 2_097_152,
  /** If the process that counts dies, another one may count after this time. */
  claimMs: 60_000,
} as const;

/** How many jobs of a topic a report reads: the newest in a status, or those that would run first. */
export interface TopicShare {
  readonly topic: string;
  readonly limit: number;
}

/** The newest jobs that `errors` reads. */
export interface FailureShares extends Readonly<Record<FailureKind, readonly TopicShare[]>> {
  /** Only of jobs with these labels, joined by commas; `null`: of all. */
  readonly labels: string | null;
}

/** Failed jobs, and jobs that wait for a retry, of one topic that have the same message and failed at about the same time. */
export interface ErrorCount {
  readonly topic: string;
  /** The first `READ_MESSAGE_CHARS` characters, at least. */
  readonly message: string;
  /** How long ago they failed, in units of `ERROR_SLOT_MS`. At most `ERROR_SLOTS`. */
  readonly slot: number;
  readonly failed: number;
  readonly retrying: number;
  readonly firstSeen: Date;
  readonly lastSeen: Date;
  /** The newest of these jobs. */
  readonly sampleId: string;
}

/** Length of a slot in which reports count failed attempts. */
export const ERROR_SLOT_MS = 300_000;
/** Slots in an hour. */
export const ERROR_SLOTS = 12;

/** The last error of a job. */
export interface LastError {
  readonly id: string;
  readonly message: string;
  readonly stack: string | null;
}

/** Attempts of one topic that ended lately. */
export interface TopicAttempts extends RecentAttempts {
  readonly topic: string;
}

export interface TopicRunTimes {
  readonly topic: string;
  readonly timesMs: readonly number[];
}

/** A process that has not reported for this long counts as gone. */
export const WORKER_SEEN_MS = 60_000;
/** How long its report is kept. */
export const WORKER_AGE_MS = 3_600_000;
/** How long rolled-up minutes are kept. Reports reach back a day. */
export const ROLLUP_AGE_MS = 25 * 3_600_000;

/** The topic of an entry that counts all topics together. No job can have it. */
export const ALL_TOPICS = '';

/** Counts and times of the jobs of one topic, or of all. */
export interface RollupEntry {
  readonly topic: string;
  readonly completed: number;
  readonly failed: number;
  /** Attempts that failed, whether or not the job runs again. */
  readonly attemptsFailed: number;
  readonly started: number;
  /** Sum of the run times of the completed jobs. */
  readonly runMs: number;
  /** Sum of the waiting times of the started jobs. */
  readonly waitMs: number;
  /** Histogram of the run times. */
  readonly histogram: Histogram;
}

export interface RollupRecord {
  readonly worker: string;
  readonly minute: Date | null;
  readonly totals: readonly RollupEntry[];
  readonly since: readonly RollupEntry[];
}

export interface RolledUpMinutes {
  /** The current minute of the database's clock. */
  readonly now: Date;
  /** One for each minute, process and topic in which something happened. */
  readonly entries: readonly (Omit<RollupEntry, 'topic'> & { readonly minute: Date })[];
}

/** What the statement that records a live process returns. */
export interface PresenceReply {
  /** The database's time. */
  readonly now: Date;
  /** Changes with every change of a schedule; empty if there is none. */
  readonly schedulesVersion: string;
  /** Whether any job has a parent or a group. */
  readonly hasLinks: boolean;
  /** Whether any log line is stored. */
  readonly hasLogs: boolean;
  /** Whether the table has any definition. */
  readonly hasDefinitions: boolean;
  /** Whether the table is large and its last recorded count is old: see `COUNT_PACE`. */
  readonly isCountDue: boolean;
  /** The other live processes that share notifications and polls. */
  readonly others: readonly OtherWorker[];
}

/** What a process shares with the others. */
export interface WorkerSharing {
  readonly pollIntervalMs: number;
  /** The connection on which it listens. The process is dead when the connection is closed. */
  readonly backend: number;
}

export interface OtherWorker {
  readonly worker: string;
  /** `undefined`: those of the process that asks. */
  readonly topics: readonly string[] | undefined;
  readonly pollIntervalMs: number;
}
