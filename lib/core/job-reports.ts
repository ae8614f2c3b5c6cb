import type { JobStatus } from './job-state.js';

/** How many jobs of one topic stand in each status. */
export type StatusCounts = Readonly<Record<JobStatus, number>>;

/** The jobs of one topic at a glance. */
export interface TopicStats extends StatusCounts {
  readonly topic: string;
  readonly total: number;
  /** completed ÷ (completed + failed); 0 when nothing finished. */
  readonly successRate: number;
  /** How long its oldest due job has been waiting, in milliseconds; `null` when none is due. */
  readonly oldestPendingMs: number | null;
  /** Whether a process that runs has a handler for it. */
  readonly hasHandler: boolean;
  /** Since when no job of it is claimed; `null` when it is not paused. */
  readonly pausedSince: Date | null;
}

/**
 * What finished within one minute. Times are means and percentiles of the last attempts of its jobs, in milliseconds; `p95` is
 * right to within 6 %, and about 1 where it is less.
 */
export interface TimeseriesPoint {
  /** When the minute began. */
  readonly minute: Date;
  readonly completed: number;
  /** Failed for good. */
  readonly failed: number;
  readonly avgExecutionTime: number;
  readonly p95: number;
  /** Mean time that jobs were due before they started. */
  readonly avgWaitTime: number;
}

/** Failed jobs that failed alike: the same topic and the same message. */
export interface ErrorGroup {
  readonly topic: string;
  readonly message: string;
  /** Names the group: a list or a bulk request finds its jobs by it, as `errorKey`. */
  readonly key: string;
  readonly count: number;
  readonly firstSeen: Date;
  readonly lastSeen: Date;
  /** The newest of them. */
  readonly sampleId: string;
}

/** The most frequent errors among the newest failed jobs. */
export interface ErrorGroups {
  readonly items: readonly ErrorGroup[];
  /** How many failed jobs were looked at, and how many would be at most. */
  readonly window: { readonly jobs: number; readonly jobsMax: number };
}
