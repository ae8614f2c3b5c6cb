// The public names of `nestjs-jobs/client`, one by one.
export type { Parse } from './answer.js';
export { JobsApiError } from './api-error.js';
export type { JobsApiErrorParts } from './api-error.js';
export type {
  BulkOptions,
  CallOptions,
  Duration,
  EnqueueOptions,
  JobConditions,
  JobFilter,
  JobOptions,
  Moment,
  NewJob,
  RequeueOptions,
  TimeseriesOptions,
  TopicOptions,
} from './call-options.js';
export type { StreamOptions } from './event-stream.js';
export type { Token } from './http-exchange.js';
export type { JobsApi } from './jobs-api.js';
export { JobsClient } from './jobs-client.js';
export type { JobsClientOptions } from './jobs-client.js';
export { JobsService } from './jobs-service.js';
export type { Sender, SendOptions } from './jobs-service.js';
export type { EitherCase } from './snake-case.js';
export type {
  ApiErrorBody,
  BulkResult,
  BulkFilter,
  BulkRequest,
  Capabilities,
  EnqueuedJobs,
  EnqueueManyRequest,
  EnqueueRequest,
  ErrorGroup,
  ErrorGroups,
  Job,
  JobFailure,
  JobPage,
  JobStats,
  JobStatus,
  RequeueRequest,
  SkippedReason,
  StreamChanged,
  StreamEvent,
  Timeseries,
  TimeseriesPoint,
  TopicList,
  TopicStats,
} from './wire.js';
