import type { Backoff } from './backoff.js';
import type { JobStatus } from './job-state.js';
import type { TopicRetention } from './retention.js';
import type { TopicLimits } from './topic-limits.js';

/** Number of jobs of one topic by status. */
export type StatusCounts = Readonly<Record<JobStatus, number>>;

/** The sum of the topics that have no counts of their own: see `JobsService.topics.page`. */
export interface OtherTopics extends StatusCounts {
  /** How many topics these are. */
  readonly topics: number;
  /** Pending jobs that have used a retry: a part of `pending`. */
  readonly retrying: number;
}

/** The state of a job for a live view, which reads the job again when one of these members changes. */
export interface WatchedJob {
  readonly id: string;
  readonly status: JobStatus | 'deleted';
  /** When its row was written last; `null` if it is deleted. */
  readonly updated: Date | null;
  /** The `id` of its newest log line; `null` if it has none. */
  readonly lastLine: string | null;
}

/** Statistics of one topic. */
export interface TopicStats extends StatusCounts {
  readonly topic: string;
  /** Pending jobs that have used a retry: a part of `pending`. */
  readonly retrying: number;
  readonly total: number;
  /** completed ÷ (completed + failed); 0 if no job has finished. */
  readonly successRate: number;
  /** How long the oldest due job has been waiting, in milliseconds; `null` if no job is due. */
  readonly oldestPendingMs: number | null;
  /** When the next pending job becomes due, in milliseconds; 0 if a job is due, `null` if none is pending. */
  readonly nextDueMs: number | null;
  /** Attempts that ended in the current minute and the four before it. */
  readonly recent: RecentAttempts;
  /** Whether a live process has a handler for the topic. */
  readonly hasHandler: boolean;
  /** When the topic was paused; `null` if it is not paused. */
  readonly pausedSince: Date | null;
  /** See {@link JobStats.countedAt}. */
  readonly countedAt: Date;
  /** The limits that apply; `null` if it has none. */
  readonly limits: TopicLimits | null;
  /** Where the limits come from. */
  readonly limitsSource: 'code' | 'operator' | null;
  /** The limits in the code, which apply when an operator's setting is removed. */
  readonly codeLimits: TopicLimits | null;
  /** The ages that its handler declares, in milliseconds; an absent status has that of the module. `null`: all have. */
  readonly retention: TopicRetention | null;
  /** The topics that receive its dead letters. */
  readonly deadLetters: readonly string[];
  /** How many different definitions live processes declare in their code. */
  readonly liveDefinitions: LiveDefinitions;
  /** Running jobs. If the topic has limits: those that count. */
  readonly running: number;
  /** Concurrency keys with due jobs, counted up to 1,000 in all topics together; 0 in a topic without keyed jobs. */
  readonly waitingKeys: number;
  /** The limit that prevents a due job from starting: that of each waiting key, with `'key'`. `null` if none does. */
  readonly limitedBy: 'concurrency' | 'key' | 'rate' | null;
}

/**
 * How many different definitions live processes declare, for each kind that the topic has from the code. More than one: several versions of
 * the application run, and the definition that was first seen last applies. 0: no live process declares it, and the last one stays in force
 * until a live process handles the topic.
 */
export interface LiveDefinitions {
  readonly limits?: number;
  readonly retention?: number;
  readonly deadLetters?: number;
}

/** Attempts that ended lately. */
export interface RecentAttempts {
  readonly completed: number;
  /** Failed attempts, whether or not the job runs again. */
  readonly attemptsFailed: number;
}

/** Why a pending job does not start. */
export interface WaitingReason {
  readonly code: 'not_due' | 'paused' | 'concurrency' | 'key' | 'rate' | 'blocked' | 'no_handler' | 'no_free_slot';
  /** One sentence, such as "3 of 3 jobs of this topic are running". */
  readonly text: string;
  /** With `blocked`: how many parents have not ended. */
  readonly waitingOn?: number;
}

/**
 * Jobs that finished within one minute. Times are those of each job's last attempt, in milliseconds. `p95` is accurate to
 * 6 %; a value below 1 ms is reported as about 1.
 */
export interface TimeseriesPoint {
  /** Start of the minute. */
  readonly minute: Date;
  readonly completed: number;
  /** Failed for good. */
  readonly failed: number;
  /** Failed attempts, whether or not the job runs again. */
  readonly attemptsFailed: number;
  /** Mean execution time. */
  readonly avgExecutionTime: number;
  /** 95th percentile of the execution time. */
  readonly p95: number;
  /** Mean time that jobs were due before they started. */
  readonly avgWaitTime: number;
}

/** A window of minutes as one: counts, and execution times in milliseconds. Percentiles are accurate to 6 %. */
export interface TimeseriesWindow extends Omit<TimeseriesPoint, 'minute'> {
  readonly p50: number;
  readonly p99: number;
}

/** The minutes of a window, oldest first, and the window as one. */
export interface TimeseriesReport {
  readonly points: TimeseriesPoint[];
  readonly window: TimeseriesWindow;
}

/** The failed and retrying jobs of one topic whose errors differ only in numbers and ids. */
export interface ErrorGroup {
  readonly topic: string;
  /** The error of the job `sampleId`. */
  readonly message: string;
  /** The message of all jobs of the group: `#` stands for numbers, ids, email addresses, dates and IP addresses. */
  readonly pattern: string;
  /** Class of the error of the job `sampleId`, from its stack; `null`: not known. */
  readonly name: string | null;
  /** Identifies the group: pass it as `errorKey` to a list or a bulk request. */
  readonly key: string;
  /** Jobs that failed for good. */
  readonly count: number;
  /** Pending jobs whose last error this is. */
  readonly retrying: number;
  /** When the latest attempts of these jobs failed: the first, and the last. */
  readonly firstSeen: Date;
  readonly lastSeen: Date;
  /** The same times in the last hour: jobs in each five minutes, oldest first. */
  readonly lastHour: readonly number[];
  /** Id of the newest job of the group. */
  readonly sampleId: string;
}

/** A handler of a process, with the options that are in force. */
export interface HandlerSummary {
  readonly topic: string;
  /** Jobs of the topic that the process runs at a time; `null`: as many as of all topics together. */
  readonly concurrency: number | null;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  /** `null`: a function. */
  readonly backoff: Backoff | null;
  /** Jobs in one call; `null`: the handler takes one job. */
  readonly batchSize: number | null;
  readonly transactional: boolean;
}

/** What a process reports about itself. */
export interface WorkerDetails {
  readonly host: string;
  readonly pid: number;
  /** Version of this package. */
  readonly version: string;
  /** The newest migration of that version. Processes of different schema versions should run together only during an upgrade. */
  readonly schemaVersion: string;
  /** Running jobs. */
  readonly running: number;
  /** The option `concurrency`: how many jobs it runs at a time, a batch counted as one. */
  readonly concurrency: number;
  /** Whether it shuts down. It starts no more jobs and waits for the running ones. */
  readonly isDraining: boolean;
  /** Whether notifications of other processes arrive. Otherwise it finds their jobs by polling. */
  readonly isNotified: boolean;
  /** Its handlers, by topic. */
  readonly handlers: readonly HandlerSummary[];
}

/** A process that runs jobs. Its values are at most 20 s old while it lives. */
export interface WorkerProcess extends WorkerDetails {
  /** As in `lockedBy` of its jobs. */
  readonly worker: string;
  /** The topics of its handlers, by name. */
  readonly topics: readonly string[];
  readonly lastSeen: Date;
  /** Whether it was seen in the last minute. */
  readonly isAlive: boolean;
}

/** A page of the errors among the newest failed jobs and the newest jobs that wait for a retry. */
export interface ErrorGroups {
  readonly items: readonly ErrorGroup[];
  /** Number of all groups, not only of this page. */
  readonly groupsTotal: number;
  /** How many failed jobs (`jobs`) and retrying jobs (`retrying`) were read; `jobsMax`: the upper bound of each. */
  readonly window: { readonly jobs: number; readonly retrying: number; readonly jobsMax: number };
}
