import type { WatchedJob } from '../../core/job-reports.js';
import type { JobLogLine, LogPosition, LogText } from '../../core/job-log.js';
import type { ClaimToken } from '../../core/job.js';
import type { SweptPage } from '../jobs/job-records.js';

/** A line that is not stored yet. */
export interface LogEntry extends LogText {
  /** Its number in the attempt: 1 for the first line. */
  readonly line: number;
  /** How long ago it was written. */
  readonly ageMs: number;
}

/** New lines of one attempt, in their order. At least one. */
export interface LogSet {
  readonly token: ClaimToken;
  readonly lines: readonly LogEntry[];
}

/** The lines that handlers write with `job.log`. */
export interface LogStore {
  /**
   * Adds lines, and deletes all but the newest `maxLines` of each of these jobs. A line that is there already is skipped, so that a
   * write whose response was lost can be repeated. The lease does not matter: lines of a lost attempt show what it did.
   */
  write(sets: readonly LogSet[], maxLines: number): Promise<void>;
  /** Returns the lines of a job that exists, oldest first, from the one after `after` on. */
  read(id: string, after: LogPosition, limit: number): Promise<JobLogLine[]>;
  /** Returns the state and the newest line of those of the jobs that exist, in any order. */
  watched(ids: readonly string[]): Promise<WatchedJob[]>;
  /** Deletes the lines of jobs that do not exist any more, among the next `limit` jobs with lines, 1,000 by default. Counts these jobs. */
  prune(after: string | null, limit?: number): Promise<SweptPage>;
  /** Deletes all lines of jobs. */
  delete(ids: readonly string[]): Promise<void>;
}
