// Public names of `nestjs-jobs/client`.

// Clients
export { JobsClient } from './jobs-client.js';
export type { JobsClientOptions } from './jobs-client.js';
export { PocketBaseJobs, PocketBaseJobs as JobsService } from './pocketbase-jobs.js';
export type { Sender, SendOptions } from './pocketbase-jobs.js';
export type { JobsApi } from './jobs-api.js';
export type { Parse, Token } from './transport.js';

// Errors
export { JobsApiError } from './jobs-api-error.js';
export type { JobsApiErrorParts } from './jobs-api-error.js';
export { JobFailedError, WaitTimeoutError } from './job-wait.js';

// Options of calls
export type {
  BulkOptions,
  ExportFilter,
  CallOptions,
  Duration,
  EitherCase,
  EnqueueOptions,
  JobConditions,
  JobDependencies,
  JobFilter,
  JobOptions,
  LogOptions,
  Moment,
  NewJob,
  RequeueOptions,
  ErrorsOptions,
  TimeseriesOptions,
  TopicOptions,
  TopicsOptions,
} from './call-options.js';
export type { GroupCallback, GroupFilter, GroupOptions, GroupsApi } from './groups-api.js';
export type { ScheduleOptions, SchedulePattern, SchedulesApi } from './schedules-api.js';
export type { StreamOptions, WatchOptions } from './job-stream.js';
export type { WaitForOptions } from './job-wait.js';

// Requests and responses
export type {
  EnqueuedGroup,
  EnqueueManyRequest,
  GroupRequest,
  JobGraph,
  JobGroup,
  JobGroupList,
  JobGroupWithCallbacks,
  NewJobRequest,
} from './group-wire.js';
export type { BulkFilter, BulkRequest, BulkResult, SkippedReason, TopicChanges } from './bulk-wire.js';
export type { JobLog, JobLogLevel, JobLogLine, StreamJob } from './log-wire.js';
export type { ErrorGroup, ErrorGroups, Timeseries, TimeseriesPoint } from './report-wire.js';
export type {
  ApiErrorBody,
  Capabilities,
  EnqueuedJobs,
  EnqueueRequest,
  Job,
  JobAction,
  JobFailure,
  JobStep,
  JobPage,
  JobSearch,
  JobStats,
  JobFilterStatus,
  JobStatus,
  Limits,
  LimitsRequest,
  OtherTopics,
  RequeueRequest,
  Schedule,
  ScheduleList,
  ScheduleRequest,
  ScheduleTicks,
  StreamChanged,
  StreamEvent,
  TopicLimits,
  TopicList,
  TopicStats,
  FailureReason,
  WaitingReason,
  WorkerList,
  WorkerHandler,
  WorkerProcess,
} from './wire.js';
