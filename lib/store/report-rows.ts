import type { Histogram } from '../core/run-times.js';
import type { ErrorGroup } from '../core/job-reports.js';
import type { JobStatus } from '../core/job-state.js';
import { errorKeyOf } from './error-key.js';
import type { LaneSize } from './report-lanes.js';
import type { RolledUpMinutes, StandingJob, TopicCounts } from './report-store.js';
import type { SqlRow } from './sql-runner.js';

/* Rows of the report statements, which are the same in every dialect: times as milliseconds since 1970, JSON as text. */

/** One row for each topic and status becomes one for each topic. */
export function countsOf(rows: readonly SqlRow[]): TopicCounts[] {
  const topics = new Map<string, Record<JobStatus, number> & { topic: string }>();
  for (const row of rows) {
    const topic = row.topic as string;
    const counts = topics.get(topic) ?? { topic, pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 };
    counts[row.status as JobStatus] += Number(row.jobs);
    topics.set(topic, counts);
  }
  return [...topics.values()];
}

export function standingOf(row: SqlRow): StandingJob {
  const isDue = Number(row.is_due) === 1;
  return { id: row.id as string, topic: row.topic as string, status: row.status as JobStatus, isDue };
}

export function laneSizeOf(row: SqlRow): LaneSize {
  return { topic: row.topic as string, jobs: Number(row.jobs) };
}

export function errorGroupOf(row: SqlRow): ErrorGroup {
  const topic = row.topic as string;
  const message = (row.message ?? '') as string;
  return {
    topic,
    message,
    key: errorKeyOf(topic, message),
    count: Number(row.jobs),
    firstSeen: new Date(Number(row.first_seen)),
    lastSeen: new Date(Number(row.last_seen)),
    sampleId: row.sample_id as string,
  };
}

export function rolledUpOf(row: SqlRow): RolledUpMinutes['entries'][number] {
  return {
    minute: new Date(Number(row.minute)),
    completed: Number(row.completed),
    failed: Number(row.failed),
    started: Number(row.started),
    runMs: Number(row.run_ms),
    waitMs: Number(row.wait_ms),
    histogram: JSON.parse(row.histogram as string) as Histogram,
  };
}
