import type { OtherTopics, WorkerDetails, WorkerProcess } from '../../core/job-reports.js';
import type { JobStatus } from '../../core/job-state.js';
import { FILTER_STATUSES } from '../../core/job-state.js';
import type { Histogram } from '../../core/run-times.js';
import type { SearchedContents, TopicSize } from '../lists/job-search.js';
import { time } from '../jobs/row-mapper.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import type {
  ErrorCount,
  JobCounts,
  LastError,
  NO_JOBS,
  RecordedCounts,
  RolledUpMinutes,
  TopicAttempts,
  TopicCounts,
  WorkerSharing,
} from './report-records.js';
import type { JobSummary, SweptPage } from '../jobs/job-records.js';

/* Converts rows to reports. */

/** @param removed how many rows of each kind were deleted, up to `limit`. A full set is followed by another page. */
export function toSweptReports(removed: readonly number[], limit: number): SweptPage {
  return {
    removed: removed.reduce((sum, count) => sum + count, 0),
    next: removed.some((count) => count >= limit) ? '' : null,
  };
}

/** Reads rows of topic, number of topics and jobs by status. A row without a topic is the sum of others. */
export function toJobCounts(rows: readonly SqlRow[]): JobCounts {
  const topics: TopicCounts[] = [];
  let other: OtherTopics | null = null;
  for (const row of rows) {
    const counts = Object.fromEntries(FILTER_STATUSES.map((status) => [status, Number(row[status])])) as typeof NO_JOBS;
    if (row.topic === null) {
      other = { topics: Number(row.topics), ...counts };
    } else {
      topics.push({ topic: row.topic as string, ...counts });
    }
  }
  return { topics, other };
}

export function toRecordedCounts(row: SqlRow): { now: Date; recorded: RecordedCounts | null } {
  const { counts, counted, took_ms: tookMs } = row;
  const stored = counts === null ? [] : (JSON.parse(counts as string) as JobCounts | []);
  // A process of an older version has written a list.
  const recorded = Array.isArray(stored) ? null : { ...stored, countedAt: time(counted), tookMs: Number(tookMs) };
  return { now: time(row.now), recorded };
}

/** The text of a record. */
export function toCountsJson({ topics, other }: JobCounts): string {
  return JSON.stringify({ topics, other });
}

export function toCountClaim([row]: readonly SqlRow[]): Date | null {
  return row ? time(row.now) : null;
}

/** The text as it appears in a string of JSON, its ASCII letters in lower case. */
export function toJsonText(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export function toSearchedContents({ found, bytes }: SqlRow): SearchedContents {
  const jobs = JSON.parse(found as string) as [id: string, topic: string][];
  return { found: jobs.map(([id, topic]) => ({ id, topic })), bytes: Number(bytes) };
}

export function toJobSummary(row: SqlRow): JobSummary {
  return {
    id: row.id as string,
    topic: row.topic as string,
    status: row.status as JobStatus,
    isDue: Number(row.is_due) === 1,
    ...(row.is_newer ? { isNewer: true as const } : {}),
  };
}

export function toTopicSize(row: SqlRow): TopicSize {
  return { topic: row.topic as string, jobs: Number(row.jobs) };
}

export function toErrorCount(row: SqlRow): ErrorCount {
  return {
    topic: row.topic as string,
    message: row.message as string,
    slot: Number(row.slot),
    failed: Number(row.failed),
    retrying: Number(row.retrying),
    firstSeen: new Date(Number(row.first_seen)),
    lastSeen: new Date(Number(row.last_seen)),
    sampleId: row.sample_id as string,
  };
}

export function toLastError(row: SqlRow): LastError {
  return { id: row.id as string, message: row.message as string, stack: row.stack as string | null };
}

export function toTopicAttempts(row: SqlRow): TopicAttempts {
  return {
    topic: row.topic as string,
    completed: Number(row.completed),
    attemptsFailed: Number(row.attempts_failed),
  };
}

export function toRolledUpEntry(row: SqlRow): RolledUpMinutes['entries'][number] {
  return {
    minute: new Date(Number(row.minute)),
    completed: Number(row.completed),
    failed: Number(row.failed),
    attemptsFailed: Number(row.attempts_failed),
    started: Number(row.started),
    runMs: Number(row.run_ms),
    waitMs: Number(row.wait_ms),
    histogram: JSON.parse(row.histogram as string) as Histogram,
  };
}

export function toWorkerProcess(row: SqlRow): WorkerProcess {
  const { sharing: _, ...details } = JSON.parse(row.details as string) as WorkerDetails & { sharing?: WorkerSharing };
  return {
    ...details,
    // A process of an older version reports none.
    handlers: (details as Partial<WorkerDetails>).handlers ?? [],
    worker: row.worker as string,
    topics: (JSON.parse(row.topics as string) as string[]).sort(),
    lastSeen: time(row.seen),
    isAlive: Boolean(row.is_alive),
  };
}
