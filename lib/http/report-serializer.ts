import type { JobGraph } from '../core/dependencies.js';
import type { GroupCallbackJob, JobGroup } from '../core/job-group.js';
import type { JobStats } from '../core/job.js';
import type {
  ErrorGroup,
  ErrorGroups,
  HandlerSummary,
  LiveDefinitions,
  TimeseriesPoint,
  TimeseriesReport,
  TopicStats,
  WatchedJob,
  WorkerProcess,
} from '../core/job-reports.js';
import type { DefinedLimits, TopicLimits } from '../core/topic-limits.js';
import type { TopicPage } from '../engine/reports/queue-stats.js';

const KINDS = { onSuccess: 'on_success', onFinish: 'on_finish', onFailure: 'on_failure' } as const;

export type WatchedJobDto = ReturnType<typeof toWatchedJobDto>;

/** Data of the event `job`. */
export function toWatchedJobDto({ id, status, updated, lastLine }: WatchedJob) {
  return { id, status, updated: updated?.toISOString() ?? null, last_line: lastLine };
}

/** A group in a response. */
export type JobGroupDto = ReturnType<typeof toGroupDto>;

export function toGroupDto({ created, finished, ...group }: JobGroup) {
  return { ...group, created: created.toISOString(), finished: finished?.toISOString() ?? null };
}

/** A group in a response, with the jobs that wait for it. */
export type FullGroupDto = ReturnType<typeof toFullGroupDto>;

export function toFullGroupDto(group: JobGroup, callbacks: readonly GroupCallbackJob[]) {
  const jobs = callbacks.map(({ kind, id, topic, status }) => ({ kind: KINDS[kind], id, topic, status }));
  return { ...toGroupDto(group), callbacks: jobs };
}

/** A graph in a response. */
export type JobGraphDto = ReturnType<typeof toGraphDto>;

/** @param isShown whether the caller may see jobs of a topic. */
export function toGraphDto({ nodes, links, isCut }: JobGraph, isShown: (topic: string | null) => boolean) {
  const shown = nodes.filter(({ topic }) => isShown(topic)).map(({ id, topic, status }) => ({ id, topic, status }));
  const ids = new Set(shown.map(({ id }) => id));
  return {
    nodes: shown,
    links: links
      .filter(({ parentId, childId }) => ids.has(parentId) && ids.has(childId))
      .map(({ parentId, childId, onParentFailure, isOpen }) => ({
        parent_id: parentId,
        child_id: childId,
        on_parent_failure: onParentFailure,
        open: isOpen,
      })),
    cut: isCut,
  };
}

/** The queue in numbers. */
export type StatsDto = ReturnType<typeof toStatsDto>;

export function toStatsDto(stats: JobStats) {
  const { pending, retrying, processing, completed, failed, cancelled, total, p50, p95, p99 } = stats;
  return {
    pending,
    retrying,
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
    counted_at: stats.countedAt.toISOString(),
  };
}

/** Each topic in numbers. */
export type TopicListDto = ReturnType<typeof toTopicListDto>;

/** @param isShown whether the caller may see a topic. */
export function toTopicListDto(
  { items, nextAfter, other }: TopicPage,
  isShown: (topic: string) => boolean = () => true,
) {
  return { items: items.map((topic) => toTopicDto(topic, isShown)), next_after: nextAfter, other };
}

function toTopicDto(stats: TopicStats, isShown: (topic: string) => boolean) {
  const { topic, pending, retrying, processing, completed, failed, cancelled, total } = stats;
  return {
    topic,
    pending,
    retrying,
    processing,
    completed,
    failed,
    cancelled,
    total,
    success_rate: stats.successRate,
    oldest_pending_ms: stats.oldestPendingMs,
    next_due_ms: stats.nextDueMs,
    recent: { completed: stats.recent.completed, attempts_failed: stats.recent.attemptsFailed },
    has_handler: stats.hasHandler,
    paused_since: stats.pausedSince?.toISOString() ?? null,
    counted_at: stats.countedAt.toISOString(),
    limits: toLimitsDto(stats.limits),
    limits_source: stats.limitsSource,
    code_limits: toLimitsDto(stats.codeLimits),
    retention: stats.retention,
    dead_letters: stats.deadLetters.filter(isShown),
    live_definitions: toLiveDefinitionsDto(stats.liveDefinitions),
    running: stats.running,
    waiting_keys: stats.waitingKeys,
    limited_by: stats.limitedBy,
  };
}

/** How many definitions live processes declare. */
interface LiveDefinitionsDto {
  limits?: number;
  retention?: number;
  dead_letters?: number;
}

function toLiveDefinitionsDto({ deadLetters, ...others }: LiveDefinitions): LiveDefinitionsDto {
  return { ...others, ...(deadLetters !== undefined && { dead_letters: deadLetters }) };
}

/** Limits of a topic. `per` is milliseconds. */
interface LimitsDto {
  concurrency?: number;
  per_key?: number;
  rate?: { limit: number; per: number; per_key: boolean; spread?: boolean };
}

function toLimitsDto(limits: TopicLimits | null): LimitsDto | null {
  if (limits === null) {
    return null;
  }
  const { concurrency, perKey, rate } = limits;
  return {
    ...(concurrency !== undefined && { concurrency }),
    ...(perKey !== undefined && { per_key: perKey }),
    ...(rate && {
      rate: { limit: rate.limit, per: rate.per, per_key: rate.perKey, ...(rate.spread && { spread: rate.spread }) },
    }),
  };
}

/** The definitions of a topic's limits. */
export type DefinedLimitsDto = ReturnType<typeof toDefinedLimitsDto>;

export function toDefinedLimitsDto(topic: string, defined: DefinedLimits | undefined) {
  return {
    topic,
    limits: toLimitsDto(defined?.limits ?? null),
    limits_source: defined?.source ?? null,
    code_limits: toLimitsDto(defined?.codeLimits ?? null),
  };
}

/** Every minute of a window. */
export type TimeseriesDto = ReturnType<typeof toTimeseriesDto>;

export function toTimeseriesDto({ points, window }: TimeseriesReport) {
  const items = points.map(({ minute, ...values }) => ({ minute: minute.toISOString(), ...toMinuteDto(values) }));
  return { minutes: points.length, items, window: { ...toMinuteDto(window), p50: window.p50, p99: window.p99 } };
}

function toMinuteDto(values: Omit<TimeseriesPoint, 'minute'>) {
  return {
    completed: values.completed,
    failed: values.failed,
    attempts_failed: values.attemptsFailed,
    avg_execution_time: values.avgExecutionTime,
    p95: values.p95,
    avg_wait_time: values.avgWaitTime,
  };
}

/** The processes that run jobs. */
export type WorkerListDto = ReturnType<typeof toWorkerListDto>;

/** @param isShown whether the response may name a topic. */
export function toWorkerListDto(workers: readonly WorkerProcess[], isShown: (topic: string) => boolean) {
  const items = workers.map((each) => ({
    worker: each.worker,
    host: each.host,
    pid: each.pid,
    version: each.version,
    schema_version: each.schemaVersion,
    topics: each.topics.filter(isShown),
    running: each.running,
    concurrency: each.concurrency,
    is_draining: each.isDraining,
    is_notified: each.isNotified,
    last_seen: each.lastSeen.toISOString(),
    is_alive: each.isAlive,
    handlers: each.handlers.filter(({ topic }) => isShown(topic)).map(toHandlerDto),
  }));
  return { items };
}

function toHandlerDto({
  topic,
  concurrency,
  timeoutMs,
  maxRetries,
  backoff,
  batchSize,
  transactional,
}: HandlerSummary) {
  return {
    topic,
    concurrency,
    timeout_ms: timeoutMs,
    max_retries: maxRetries,
    backoff: backoff && {
      type: backoff.type,
      delay_ms: backoff.delayMs,
      max_delay_ms: backoff.maxDelayMs,
      jitter: backoff.jitter,
    },
    batch_size: batchSize,
    transactional,
  };
}

/** Jobs with an error, grouped. */
export type ErrorGroupsDto = ReturnType<typeof toErrorGroupsDto>;

/** @param shown the groups as the caller may see them. */
export function toErrorGroupsDto({ groupsTotal, window }: ErrorGroups, shown: readonly ErrorGroup[]) {
  const items = shown.map((group) => ({
    topic: group.topic,
    message: group.message,
    pattern: group.pattern,
    name: group.name,
    key: group.key,
    count: group.count,
    retrying: group.retrying,
    first_seen: group.firstSeen.toISOString(),
    last_seen: group.lastSeen.toISOString(),
    last_hour: [...group.lastHour],
    sample_id: group.sampleId,
  }));
  const { jobs, retrying, jobsMax } = window;
  return { items, groups_total: groupsTotal, window: { jobs, retrying, jobs_max: jobsMax } };
}
