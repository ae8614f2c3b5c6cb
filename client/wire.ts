/**
 * What travels between the HTTP API and its callers: JSON objects with snake_case names, times as ISO 8601 text in UTC
 * with milliseconds, durations in milliseconds. The client hands them out as they came.
 */

/** Where a job stands; the last three are final. */
export type JobStatus = 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled';

/** One failed attempt of a job. */
export interface JobFailure {
  attempt: number;
  /** `null` when it is not known when the attempt began. */
  started: string | null;
  finished: string;
  message: string;
  stack: string | null;
  /** The process that ran the attempt. */
  worker: string | null;
}

/** A job as it stands in the queue. `T` is the type of its payload, as the caller knows it; nothing checks it. */
export interface Job<T = unknown> {
  /** UUID v7, made by the process that enqueued it: in the order of creation, as far as clocks of machines agree. */
  id: string;
  /** What kind of work it is. */
  topic: string;
  /** What the handler is given. */
  payload: T;
  status: JobStatus;
  /** Not run before this moment. */
  run_at: string;
  /** Until when the running attempt owns the job; `null` unless `processing`. */
  locked_until: string | null;
  /** The process that runs it; `null` unless `processing`. */
  locked_by: string | null;
  /** How often it was claimed: 1 while it runs for the first time; never falls. */
  attempt: number;
  /** Failed attempts since it was enqueued or last re-queued. */
  retries: number;
  /** It is `failed` for good when an attempt fails while `retries` has reached this. */
  max_retries: number;
  /** Lower runs first; −1000 to 1000. */
  priority: number;
  /** Limit of one attempt when it was set at enqueue; else the handler's own holds. */
  timeout_ms: number | null;
  /** Message of the latest failure. */
  last_error: string | null;
  /** The last 20 failures, oldest first. */
  errors: JobFailure[];
  /** What the handler returned. */
  result: unknown;
  /** What the handler last said of its progress. */
  progress: unknown;
  /** At most one unfinished job per topic and key. */
  unique_key: string | null;
  /** Notes of whoever enqueued it. */
  metadata: Record<string, unknown> | null;
  /** Somebody asked to cancel it, be it while it waited or while it ran. */
  cancel_requested: boolean;
  /** When the latest attempt began. */
  started: string | null;
  /** When it became completed, failed or cancelled. */
  finished: string | null;
  created: string;
  updated: string;
  /** Only on the answer to an enqueue that found the unique key taken: this is the job that holds it. */
  deduplicated?: true;
}

/** What `POST /enqueue` takes. Durations are milliseconds, or text such as `'30s'`, `'10m'`, `'1d'`. */
export interface EnqueueRequest<T = unknown> {
  topic: string;
  payload: T;
  /** Not before this moment. Not together with `delay`. */
  run_at?: string;
  /** Not before this long from now. Not together with `run_at`. */
  delay?: number | string;
  /** Retries after the first attempt. */
  max_retries?: number;
  priority?: number;
  /** Limit of one attempt. */
  timeout?: number | string;
  unique_key?: string;
  metadata?: Record<string, unknown>;
}

/** What `POST /enqueue-many` takes: at most 1,000 jobs, all stored or none. */
export interface EnqueueManyRequest {
  jobs: EnqueueRequest[];
}

/** What `POST /enqueue-many` answers: the jobs in the order of the request. */
export interface EnqueuedJobs {
  items: Job[];
}

/** What `POST /:id/requeue` takes; what is left out stays as it is, but the job is due at once. */
export interface RequeueRequest {
  payload?: unknown;
  run_at?: string;
  max_retries?: number;
}

/** One page of a list, newest first. */
export interface JobPage<T = unknown> {
  items: Job<T>[];
  /** How many jobs match; a lower bound when `total_capped`. */
  total: number;
  /** More jobs match than were counted, or may match, since not all were searched. */
  total_capped: boolean;
  limit: number;
  offset: number;
  /** Asks for the next page, with the same filter; `null` on the last one. */
  next_cursor: string | null;
}

/** The queue in numbers, at most 2 s old. */
export interface JobStats {
  pending: number;
  processing: number;
  completed: number;
  failed: number;
  cancelled: number;
  total: number;
  /** completed ÷ (completed + failed), 0 when nothing finished. */
  success_rate: number;
  /** Mean execution time of completed jobs, in ms. */
  avg_execution_time: number;
  /** Percentiles of the execution time, in ms. */
  p50: number;
  p95: number;
  p99: number;
  /** How long the oldest due job has been waiting; `null` when none is. */
  oldest_pending_ms: number | null;
}

/** One topic in numbers. */
export interface TopicStats extends Omit<JobStats, 'p50' | 'p95' | 'p99' | 'avg_execution_time'> {
  topic: string;
  /** Whether some process runs this topic. */
  has_handler: boolean;
  /** Since when no job of it is started; `null` when it is not paused. */
  paused_since: string | null;
}

/** What `GET /topics` answers: the topics by name. */
export interface TopicList {
  items: TopicStats[];
}

/** One minute of work. Times in ms. */
export interface TimeseriesPoint {
  /** When the minute began. */
  minute: string;
  completed: number;
  failed: number;
  /** Mean execution time. */
  avg_execution_time: number;
  /** 95th percentile of the execution time. */
  p95: number;
  /** Mean time that jobs were due before they ran. */
  avg_wait_time: number;
}

/** What `GET /timeseries` answers: every minute of the window, oldest first, the running minute last. */
export interface Timeseries {
  /** Length of the window. */
  minutes: number;
  items: TimeseriesPoint[];
}

/** Failed jobs of one topic with one message. */
export interface ErrorGroup {
  topic: string;
  message: string;
  /** Names the group: as `error_key` it finds its jobs. */
  key: string;
  count: number;
  first_seen: string;
  last_seen: string;
  /** One of these jobs. */
  sample_id: string;
}

/** What `GET /errors` answers: at most 100 groups, most frequent first. */
export interface ErrorGroups {
  items: ErrorGroup[];
  /** The newest `jobs` failed jobs were looked at, never more than `jobs_max`. */
  window: { jobs: number; jobs_max: number };
}

/** What `GET /capabilities` answers: what this caller may do. */
export interface Capabilities {
  admin: boolean;
  authenticated: boolean;
  /** May enqueue. */
  enqueue: boolean;
  /** May read: jobs, numbers, errors and the stream. */
  read: boolean;
  /** May re-queue, promote, cancel and delete jobs; then `read` is true as well. */
  manage: boolean;
  /** The topics that HTTP callers reach; `null` means all. */
  topics: string[] | null;
  database: 'postgres' | 'sqlite';
  /** Version of the package that answers. */
  version: string;
  /** Most jobs on a page, most jobs of a bulk request, most bytes of a payload's JSON text. */
  limits: { page: 200; bulk: 10000; payload_bytes: number };
}

/** Which jobs a bulk request means. */
export interface BulkFilter {
  topic?: string | string[];
  status?: JobStatus | JobStatus[];
  /** Of pending jobs only: those that are due, or those that wait for their time. */
  due?: boolean;
  q?: string;
  error_key?: string;
  created_from?: string;
  created_to?: string;
}

/** What `POST /bulk` takes: jobs by id or by filter, at most 10,000 a call. */
export interface BulkRequest {
  action: 'requeue' | 'promote' | 'cancel' | 'delete';
  ids?: string[];
  filter?: BulkFilter;
  /** Only count: nothing is changed. */
  dry_run?: boolean;
}

/** Why some jobs were skipped. */
export interface SkippedReason {
  reason: string;
  count: number;
  /** The first 10. */
  ids: string[];
}

/** What `POST /bulk` answers. Of a dry run `changed` is 0, and at most `matched - skipped` jobs would change. */
export interface BulkResult {
  matched: number;
  changed: number;
  skipped: number;
  /** More jobs can be moved than one call takes, or may be: call again, while `changed` is not 0. */
  more: boolean;
  skipped_reasons: SkippedReason[];
}

/** The body of every answer that is no success. */
export interface ApiErrorBody {
  /** The HTTP status. */
  status: number;
  /** Stable, for programs; messages may be reworded. */
  code: string;
  message: string;
  /** By the name of a field, what is wrong with it. */
  data: Record<string, string>;
}

/** Data of the event `changed`: something happened to jobs of these topics. */
export interface StreamChanged {
  topics: string[];
}

/** An event of `GET /stream`. */
export type StreamEvent = { type: 'stats'; data: JobStats } | { type: 'changed'; data: StreamChanged };
