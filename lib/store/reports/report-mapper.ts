import type { WorkerDetails, WorkerProcess } from '../../core/job-reports.js';
import { NO_JOBS } from './report-records.js';
import type { WorkerSharing } from './report-records.js';
import type { JobFilterStatus, JobStatus } from '../../core/job-state.js';
import { JOB_STATUSES } from '../../core/job-state.js';
import type { Histogram } from '../../core/run-times.js';
import type { SearchedContents, TopicSize } from '../lists/job-search.js';
import { time } from '../jobs/row-mapper.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import type {
  ErrorCount,
  LastError,
  QueueGaugeRecord,
  RecordedCounts,
  RolledUpMinutes,
  TopicAttempts,
  TopicCounts,
  TopicStatusCounts,
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

/** Groups rows of topic, status and count by topic. The statuses include `retrying`. */
export function toTopicCounts(rows: readonly SqlRow[]): TopicCounts[] {
  const topics = new Map<string, Record<JobFilterStatus, number> & { topic: string }>();
  for (const row of rows) {
    const topic = row.topic as string;
    const counts = topics.get(topic) ?? { topic, ...NO_JOBS };
    counts[row.status as JobFilterStatus] += Number(row.jobs);
    topics.set(topic, counts);
  }
  return [...topics.values()];
}

export function toStatusCounts(rows: readonly SqlRow[]): TopicStatusCounts[] {
  return toTopicCounts(rows).map(({ topic, pending, processing, completed, failed, cancelled }) => ({
    topic,
    pending,
    processing,
    completed,
    failed,
    cancelled,
  }));
}

export function toRecordedCounts(row: SqlRow): { now: Date; recorded: RecordedCounts | null } {
  const { counts, counted, took_ms: tookMs } = row;
  const recorded =
    counts === null
      ? null
      : { counts: JSON.parse(counts as string) as TopicCounts[], countedAt: time(counted), tookMs: Number(tookMs) };
  return { now: time(row.now), recorded };
}

export function toCountClaim([row]: readonly SqlRow[]): Date | null {
  return row ? time(row.now) : null;
}

/** Reads rows of (topic, kind, value): counts by status, `oldest` and `workers`. */
export function toGaugeRecord(rows: readonly SqlRow[]): QueueGaugeRecord {
  const named = (kind: string): readonly SqlRow[] => rows.filter((row) => row.kind === kind);
  const oldestWaitingMs = new Map<string, number>();
  for (const { topic, value } of named('oldest')) {
    oldestWaitingMs.set(topic as string, Math.max(Number(value), oldestWaitingMs.get(topic as string) ?? 0));
  }
  const counted = rows.filter(({ kind }) => JOB_STATUSES.includes(kind as JobStatus));
  return {
    counts: toStatusCounts(counted.map(({ topic, kind, value }) => ({ topic, status: kind, jobs: value }))),
    oldestWaitingMs,
    workers: Number(named('workers')[0]!.value),
  };
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
