import type { JobStats } from '../core/job.js';
import type { ErrorGroup, ErrorGroups, TimeseriesPoint, TopicStats } from '../core/job-reports.js';

/** The queue in numbers. */
export type StatsDto = ReturnType<typeof toStatsDto>;

export function toStatsDto(stats: JobStats) {
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

/** Each topic in numbers. */
export type TopicListDto = ReturnType<typeof toTopicListDto>;

export function toTopicListDto(topics: readonly TopicStats[]) {
  const items = topics.map(({ successRate, oldestPendingMs, hasHandler, pausedSince, ...counts }) => ({
    ...counts,
    success_rate: successRate,
    oldest_pending_ms: oldestPendingMs,
    has_handler: hasHandler,
    paused_since: pausedSince?.toISOString() ?? null,
  }));
  return { items };
}

/** Every minute of a window. */
export type TimeseriesDto = ReturnType<typeof toTimeseriesDto>;

export function toTimeseriesDto(points: readonly TimeseriesPoint[]) {
  const items = points.map(({ minute, completed, failed, avgExecutionTime, p95, avgWaitTime }) => ({
    minute: minute.toISOString(),
    completed,
    failed,
    avg_execution_time: avgExecutionTime,
    p95,
    avg_wait_time: avgWaitTime,
  }));
  return { minutes: points.length, items };
}

/** Failed jobs, grouped. */
export type ErrorGroupsDto = ReturnType<typeof toErrorGroupsDto>;

export function toErrorGroupsDto(groups: readonly ErrorGroup[], { jobs, jobsMax }: ErrorGroups['window']) {
  const items = groups.map(({ topic, message, key, count, firstSeen, lastSeen, sampleId }) => ({
    topic,
    message,
    key,
    count,
    first_seen: firstSeen.toISOString(),
    last_seen: lastSeen.toISOString(),
    sample_id: sampleId,
  }));
  return { items, window: { jobs, jobs_max: jobsMax } };
}
