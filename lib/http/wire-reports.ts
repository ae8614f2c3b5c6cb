import type { JobStats } from '../core/job.js';
import type { ErrorGroup, ErrorGroups, TimeseriesPoint, TopicStats } from '../core/job-reports.js';

/** Counts and times as they leave. */
export function wireStats(stats: JobStats): object {
  const { pending, processing, completed, failed, cancelled, total, p50, p95, p99 } = stats;
  return {
    pending,
    processing,
    completed,
    failed,
    cancelled,
    total,
    success_rate: stats.successRate,
    avg_execution_time: stats.avgExecutionTime,
    p50,
    p95,
    p99,
    oldest_pending_ms: stats.oldestPendingMs,
  };
}

export function wireTopic({ successRate, oldestPendingMs, hasHandler, ...counts }: TopicStats): object {
  const { topic, pending, processing, completed, failed, cancelled, total } = counts;
  return {
    topic,
    pending,
    processing,
    completed,
    failed,
    cancelled,
    total,
    success_rate: successRate,
    oldest_pending_ms: oldestPendingMs,
    has_handler: hasHandler,
  };
}

export function wirePoint({ minute, completed, failed, avgExecutionTime, p95, avgWaitTime }: TimeseriesPoint): object {
  return {
    minute: minute.toISOString(),
    completed,
    failed,
    avg_execution_time: avgExecutionTime,
    p95,
    avg_wait_time: avgWaitTime,
  };
}

export function wireErrors(items: readonly ErrorGroup[], { jobs, jobsMax }: ErrorGroups['window']): object {
  return {
    items: items.map(({ topic, message, count, firstSeen, lastSeen, sampleId }) => ({
      topic,
      message,
      count,
      first_seen: firstSeen.toISOString(),
      last_seen: lastSeen.toISOString(),
      sample_id: sampleId,
    })),
    window: { jobs, jobs_max: jobsMax },
  };
}
