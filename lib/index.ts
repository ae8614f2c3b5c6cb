// Public names of `nestjs-jobs`, grouped by use.

// Module
export { JobsModule } from './jobs.module.js';
export type { JobsModuleOptions } from './jobs.module.js';
export type { JobsModuleAsyncOptions, JobsOptionsFactory } from './nest/async-options.js';
export type { BackoffOptions } from './core/backoff.js';
export type { PayloadCodec, PayloadOwner } from './core/codec-option.js';
export type { ContextOptions } from './core/context-option.js';
export type { Duration } from './core/duration.js';
export type { DebounceOptions, UniqueUntil } from './core/unique-key.js';
export { encryptPayloads } from './engine/codec/encrypt-payloads.js';
export type { EncryptionOptions } from './engine/codec/encrypt-payloads.js';
export type { DatabaseOption, JobsOptions, JobsSettings } from './core/options.js';
export type { RetentionOption, TopicRetention } from './core/retention.js';
export type { TelemetryOptions } from './core/telemetry-option.js';
export { jobsMigrations } from '../migrations/index.js';

// Enqueuing and managing jobs
export { JobsService } from './nest/jobs.service.js';
export { Job } from './core/job.js';
export type {
  EnqueueOptions,
  Idempotency,
  JobFailure,
  JobFilter,
  JobPage,
  JobSearch,
  JobStats,
  JobStep,
  NewJob,
} from './core/job.js';
export type { Actor, JobActionEntry } from './core/job-action.js';
export type { RequeueOptions } from './core/job-options.js';
export type { JobFilterStatus, JobStatus } from './core/job-state.js';
export type { BulkAction, BulkRequest, BulkResult, SkippedJobs, TopicChanges } from './core/bulk.js';
export type { BulkActions } from './engine/changes/bulk-actions.js';
export type { JobLogLevel, JobLogLine, JobLogOptions } from './core/job-log.js';
export type { JobAdmin } from './engine/changes/job-admin.js';
export type { TopicAdmin } from './engine/changes/topic-admin.js';

// Handlers
export { JobHandler } from './nest/decorators/job-handler.decorator.js';
export { CurrentJob } from './nest/decorators/current-job.decorator.js';
export { Payload } from './nest/decorators/payload.decorator.js';
export { isJobContext } from './nest/decorators/current-job.decorator.js';
export type { BatchedJob, JobBatch, JobContext } from './nest/decorators/current-job.decorator.js';
export type { BackoffFunction } from './core/backoff.js';
export type { BatchHandlerFunction, JobHandlerFunction } from './core/job-handler.js';
export type { BatchOptions, JobHandlerOptions, TopicJobOptions } from './core/job-options.js';
export type { DecoratedHandlerOptions } from './nest/decorators/job-handler.decorator.js';

// Dead letters
export { OnJobFailed } from './nest/decorators/on-job-failed.decorator.js';
export type { DeadLetter } from './core/dead-letter.js';

// Typed topics
export { defineJob } from './core/job-topic.js';
export { InjectJobs, JobQueue, provideJobs } from './nest/job-queue.js';
export type {
  AnyNewJob,
  ConcurrencyKeyFunction,
  JobTopic,
  JobTopicOptions,
  NewTypedJob,
  PayloadOf,
  ResultOf,
  StandardSchema,
  TopicLike,
} from './core/job-topic.js';
export type { TopicName } from './core/topic.js';

// Schedules
export { JobSchedule } from './nest/decorators/job-schedule.decorator.js';
export type { SchedulePattern } from './core/cron.js';
export type { MissedPolicy, Schedule, ScheduleOptions, ScheduleTick } from './core/schedule.js';
export type { PreviewOptions, ScheduleAdmin } from './engine/schedules/schedule-admin.js';

// Limits
export type { DefinedLimits, Limits, RateLimit, TopicLimits } from './core/topic-limits.js';
export type { LimitsAdmin } from './engine/limits/limits-admin.js';

// Dependencies and groups
export type { JobDependencies, OnParentFailure, ParentJob } from './core/dependencies.js';
export type { GroupCallbackJob, GroupOptions, JobGroup } from './core/job-group.js';
export type { GroupAdmin } from './engine/changes/group-admin.js';

// Errors
export {
  DatabaseRefusedError,
  GroupNotFoundError,
  IdempotencyConflictError,
  IdleTimeoutError,
  InvalidOptionsError,
  InvalidPayloadError,
  JobAbortedError,
  JobNotFoundError,
  JobsError,
  JobStateError,
  LeaseLostError,
  MissingKeyError,
  PayloadTooLargeError,
  QueueUnavailableError,
  ScheduleNotFoundError,
  ScheduleStateError,
  SnoozeError,
  UnknownDataSourceError,
  UnrecoverableError,
} from './core/errors.js';
export { JobFailedError, WaitTimeoutError } from './core/wait-errors.js';
export type { AbortReason, JobsErrorCode, PayloadIssue, UnfinishedTopic } from './core/errors.js';
export type { Failure } from './core/error-text.js';

// Events and statistics
export { OnJobEvent } from './nest/decorators/on-job-event.decorator.js';
export type { JobEvent, JobEventType } from './core/job-events.js';
export type { ErrorGroupPage } from './core/error-groups.js';
export type {
  ErrorGroup,
  ErrorGroups,
  HandlerSummary,
  OtherTopics,
  StatusCounts,
  TimeseriesPoint,
  TimeseriesReport,
  TimeseriesWindow,
  TopicStats,
  WaitingReason,
  WatchedJob,
  WorkerDetails,
  WorkerProcess,
} from './core/job-reports.js';
export type { TopicPage, TopicRange } from './engine/reports/queue-stats.js';
export type { ChangeFeed, ChangeListener } from './engine/changes/change-feed.js';
export type { JobListener } from './engine/changes/job-watch.js';
export type { ErrorStats } from './engine/reports/error-stats.js';
export type { WaitForOptions } from './engine/changes/job-waiter.js';
export type { RunDueCounts, RunDueOptions } from './engine/one-shot.js';
export type { WhenIdleOptions } from './engine/changes/idle-watch.js';
export type { QueueGauges, QueueGaugeValues, TopicGauges } from './engine/reports/queue-gauges.js';
export type { QueueStats } from './engine/reports/queue-stats.js';

// Health
export { JobsHealthIndicator } from './nest/jobs-health.indicator.js';
export type { HealthOptions, QueueHealth, QueueHealthReport } from './engine/reports/queue-health.js';

// HTTP API and admin UI
export { JobsErrorFilter } from './http/jobs-api-error.filter.js';
export type {
  AccessAction,
  AccessFunction,
  AccessQuestion,
  AccessRule,
  AdminGuard,
  AdminGuardLike,
  AuthenticateFunction,
  EnqueueField,
  HttpOptions,
  HttpUser,
  RedactFunction,
} from './core/http-options.js';
export type { UiColor, UiEnvironment, UiLink, UiOptions } from './core/ui-options.js';

// The engine without Nest
export { JobsEngine } from './engine/jobs-engine.js';
export { createJobStore } from './typeorm/create-job-store.js';
export { createDatabaseStore } from './store/create-store.js';
export type { JobsEngineOptions } from './engine/jobs-engine.js';
export type { Clock, ScheduledWake } from './core/clock.js';
export type { JobsLogger } from './core/logger.js';
export type { CreatedStore } from './typeorm/create-job-store.js';
export type { JobStore } from './store/job-store.js';
export type { StoreTransaction } from './store/transactions/application-transactions.js';
export type { JobsTransaction, RunInTransaction } from './core/jobs-transaction.js';
