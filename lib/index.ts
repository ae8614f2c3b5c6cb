export { jobsMigrations } from '../migrations/index.js';
export type { BackoffFunction, BackoffOptions } from './core/backoff.js';
export type { BulkAction, BulkResult, BulkRequest, SkippedJobs } from './core/bulk.js';
export type { Clock, ScheduledWake } from './core/clock.js';
export type { Duration } from './core/duration.js';
export {
  DatabaseRefusedError,
  IdempotencyConflictError,
  IdleTimeoutError,
  InvalidOptionsError,
  InvalidPayloadError,
  JobAbortedError,
  JobNotFoundError,
  JobsError,
  JobStateError,
  LeaseLostError,
  PayloadTooLargeError,
  QueueUnavailableError,
  SnoozeError,
  UnknownDataSourceError,
  UnrecoverableError,
} from './core/errors.js';
export type { AbortReason, JobsErrorCode, UnfinishedTopic } from './core/errors.js';
export type { JobEvent, JobEventType } from './core/job-events.js';
export type { Failure } from './core/error-text.js';
export type {
  AccessFunction,
  AccessRule,
  AdminGuard,
  AdminGuardLike,
  AuthenticateFunction,
  HttpOptions,
  HttpUser,
  RedactFunction,
  UiOptions,
} from './core/http-options.js';
export { Job } from './core/job.js';
export type { EnqueueOptions, Idempotency, JobFailure, JobFilter, JobPage, JobStats, NewJob } from './core/job.js';
export type { JobHandlerFunction } from './core/job-handler.js';
export type { ErrorGroup, ErrorGroups, StatusCounts, TimeseriesPoint, TopicStats } from './core/job-reports.js';
export type { JobHandlerOptions, RequeueOptions } from './core/job-options.js';
export { defineJob } from './core/job-topic.js';
export type {
  AnyNewJob,
  JobTopic,
  JobTopicOptions,
  NewTypedJob,
  PayloadOf,
  StandardSchema,
  TopicLike,
} from './core/job-topic.js';
export type { JobStatus } from './core/job-state.js';
export type { JobsLogger } from './core/logger.js';
export type { JobsOptions, JobsSettings } from './core/options.js';
export type { TopicName } from './core/topic.js';
export { createJobStore, JobsEngine } from './engine/jobs-engine.js';
export type { JobsEngineOptions } from './engine/jobs-engine.js';
export { JobsModule } from './jobs.module.js';
export type { JobsModuleOptions } from './jobs.module.js';
export type { JobsModuleAsyncOptions, JobsOptionsFactory } from './nest/async-options.js';
export { JobHandler } from './nest/decorators/job-handler.decorator.js';
export { CurrentJob } from './nest/decorators/current-job.decorator.js';
export { Payload } from './nest/decorators/payload.decorator.js';
export { isJobContext } from './nest/job-context.js';
export type { JobContext } from './nest/job-context.js';
export { JobsService } from './nest/jobs.service.js';
export type { BulkActions } from './engine/admin/bulk-actions.js';
export type { ChangeFeed, ChangeListener } from './engine/admin/change-feed.js';
export type { ErrorStats } from './engine/admin/error-stats.js';
export type { WhenIdleOptions } from './engine/admin/idle-watch.js';
export type { JobAdmin } from './engine/admin/job-admin.js';
export type { QueueStats } from './engine/admin/queue-stats.js';
export type { TopicAdmin } from './engine/admin/topic-admin.js';
export type { CreatedStore } from './store/create-store.js';
export type { JobStore, StoreTransaction } from './store/job-store.js';
