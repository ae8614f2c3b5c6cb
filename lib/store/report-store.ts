import type { Histogram } from '../core/run-times.js';
import type { Job } from '../core/job.js';
import type { ErrorGroup, StatusCounts } from '../core/job-reports.js';
import type { JobStatus } from '../core/job-state.js';
import type { ListFilter } from '../core/list-filter.js';
import type { ReportLane } from './report-lanes.js';

/**
 * What people ask of the table: lists, counts, errors, times. Only reads; each answer is made of index ranges, so that
 * it costs what it shows and not what the table holds. Counts are the exception: they walk one index from end to end.
 */
export interface JobReports {
  /** One page, newest first. */
  list(query: ListFilter): Promise<ListedJobs>;
  /** The ids of what a page would show. */
  idsOf(query: ListFilter): Promise<ListedIds>;
  /** Topic and status of those of the jobs that there are, in any order. */
  standing(ids: readonly string[]): Promise<StandingJob[]>;
  /** How many jobs stand in each status; topics without any are left out. */
  counts(topics: readonly string[] | null): Promise<TopicCounts[]>;
  /** Times of the newest completed jobs, at most `limit` of each lane. */
  runTimes(lanes: readonly ReportLane[]): Promise<TopicRunTimes[]>;
  /** The failed jobs of these topics, at most `jobsMax` together, shared among the topics. */
  failingLanes(topics: readonly string[] | null, jobsMax: number): Promise<ReportLane[]>;
  /** The most frequent errors among the newest failed jobs, at most `limit` of each lane. */
  errors(lanes: readonly ReportLane[], groupsMax: number): Promise<ErrorGroup[]>;
  /** What finished in the last minutes, oldest first, the running one included; of `ALL_TOPICS`, or of some. */
  timeseries(topics: readonly string[], minutes: number): Promise<RolledUpMinutes>;
  /** Topics for which a handler lives in some process. */
  servedTopics(): Promise<string[]>;
  /** Topics with pending jobs, due or not. From one topic to the next in an index, however many jobs each has. */
  waitingTopics(): Promise<string[]>;
}

/** A process that has not said for so long that it is alive counts as gone. */
export const WORKER_SEEN_MS = 60_000;
/** How long what it said is kept. */
export const WORKER_AGE_MS = 3_600_000;
/** How long rolled-up minutes are kept: a day and a bit, since reports reach a day back. */
export const ROLLUP_AGE_MS = 25 * 3_600_000;

/** What processes write down for the reports of all. */
export interface ReportRecords {
  /**
   * Keeps what finished in this process. The store's clock decides whether `minute` still runs: then `totals` replace
   * what stands there, else `since`, what came after the last record, opens a new minute.
   *
   * @returns the minute under which it now stands.
   */
  recordRollup(record: RollupRecord): Promise<Date>;
  /** This process is alive, and has handlers for these topics. */
  noteWorker(worker: string, topics: readonly string[]): Promise<void>;
  /** This process ends. */
  forgetWorker(worker: string): Promise<void>;
  /** Removes what no report shows any more. */
  pruneReports(): Promise<void>;
}

export interface StandingJob {
  readonly id: string;
  readonly topic: string;
  readonly status: JobStatus;
  /** Its time has come. */
  readonly isDue: boolean;
}

export interface TopicCounts extends StatusCounts {
  readonly topic: string;
}

export interface TopicRunTimes {
  readonly topic: string;
  readonly timesMs: readonly number[];
}

/** The topic of an entry that counts all topics together: no job can have it. */
export const ALL_TOPICS = '';

/** What finished of one topic, or of all. */
export interface RollupEntry {
  readonly topic: string;
  readonly completed: number;
  readonly failed: number;
  readonly started: number;
  /** Sum of the completed ones' execution times. */
  readonly runMs: number;
  /** Sum of the waiting times of those that started. */
  readonly waitMs: number;
  /** Of the execution times. */
  readonly histogram: Histogram;
}

export interface RollupRecord {
  readonly worker: string;
  readonly minute: Date | null;
  readonly totals: readonly RollupEntry[];
  readonly since: readonly RollupEntry[];
}

export interface RolledUpMinutes {
  /** The running minute of the database's clock. */
  readonly now: Date;
  /** One for each minute, process and topic, where anything happened. */
  readonly entries: readonly (Omit<RollupEntry, 'topic'> & { readonly minute: Date })[];
}

export interface ListedJobs {
  readonly items: Job[];
  /** After which the next page begins; `null` on the last one. Its job may be gone by now. */
  readonly lastId: string | null;
  readonly total: number;
  /** There may be more than `total`. */
  readonly totalCapped: boolean;
}

export interface ListedIds {
  readonly ids: readonly string[];
  /** There are more jobs than were searched, for their error or by their time. */
  readonly isSearchCut: boolean;
}
