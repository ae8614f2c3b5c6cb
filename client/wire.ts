/**
 * Requests and responses of the HTTP API: JSON objects with snake_case names. Times are ISO 8601 text in UTC with
 * milliseconds, durations are milliseconds. The client returns the responses unchanged.
 */

export type { WorkerHandler, WorkerList, WorkerProcess } from './worker-list.js';

/** Status of a job. The last three are final. */
export type JobStatus = 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled';

/** What a filter selects by. `retrying`: pending jobs that have used a retry. */
export type JobFilterStatus = JobStatus | 'retrying';

/** One failed attempt of a job. */
export interface JobFailure {
  attempt: number;
  /** When the attempt started; `null` if unknown. */
  started: string | null;
  finished: string;
  message: string;
  /** Class of the error, from its stack; `null`: not known. */
  name: string | null;
  stack: string | null;
  /** The process that ran the attempt. */
  worker: string | null;
}

/** A finished step of a handler. */
export interface JobStep {
  name: string;
  finished: string;
}

/** An action of a caller on a job. */
export interface JobAction {
  /** `edit`: re-queued with another payload. */
  action: 'requeue' | 'edit' | 'promote' | 'cancel';
  /** Through the HTTP API, the command line, or a method of the application. */
  via: 'api' | 'cli' | 'application';
  /** The id of the caller, as the application identifies it; `null`: it has none. */
  by: string | null;
  time: string;
}

/** A job. `T` is the caller's type of its payload; the client does not check it. */
export interface Job<T = unknown> {
  /** UUID v7, created by the enqueuing process. Ids sort by creation time if the clocks of the machines agree. */
  id: string;
  /** Kind of work. */
  topic: string;
  /** Input of the handler. */
  payload: T;
  status: JobStatus;
  /** Earliest start; `null` while the job is `blocked`, and if it was cancelled while blocked. */
  run_at: string | null;
  /** When the lease of the running attempt expires; `null` unless `processing`. */
  locked_until: string | null;
  /** Process that runs the job; `null` unless `processing`. */
  locked_by: string | null;
  /** Number of claims so far: 1 during the first run. Never decreases. */
  attempt: number;
  /** Failed attempts since the job was enqueued or last requeued. */
  retries: number;
  /**
   * Retries that the job may use. When `retries` has reached this number, the next failed attempt fails the job for good.
   */
  max_retries: number;
  /** −1000 to 1000. Lower runs first. */
  priority: number;
  /** Time limit of one attempt, if it was set at enqueue; otherwise the handler's limit applies. */
  timeout_ms: number | null;
  /** Message of the latest failure. */
  last_error: string | null;
  /** Why the job failed for good; `null` unless `failed`. */
  failed_because: FailureReason | null;
  /** The last 20 failures, oldest first. */
  errors: JobFailure[];
  /** Return value of the handler. */
  result: unknown;
  /** Last value that the handler passed to `job.progress`. */
  progress: unknown;
  /** The finished steps of its handler, in their order. Their results are not sent. */
  steps: JobStep[];
  /** The last 20 times that a caller re-queued, promoted or cancelled it, oldest first. */
  actions: JobAction[];
  /** A topic has at most one unfinished job per key, or one that has not started: see `unique_until`. */
  unique_key: string | null;
  /** Jobs with one key share the limit `per_key` of their topic, and keys take turns. */
  concurrency_key: string | null;
  /** Words by which people find the job. */
  labels: string[];
  /** Data of the application about the job, set at enqueue. */
  metadata: Record<string, unknown> | null;
  /** The job is cancelled if it has not started by then; `null` for a job without expiry, and once it has started. */
  expires_at: string | null;
  /** Whether a cancel was requested. */
  cancel_requested: boolean;
  /** When the handler of the latest attempt was called; the time of its claim while it runs. */
  started: string | null;
  /** When the handler of the last attempt ended; when the end was recorded, if no handler ran. `null`: the job has not ended. */
  finished: string | null;
  created: string;
  updated: string;
  /** Why a pending job does not start; `null` for other jobs, and in the response of an enqueue. */
  waiting_because: WaitingReason | null;
  /** Present if the job waits for parents. */
  blocked?: true;
  /** Number of parents for which a blocked job waits. */
  waiting_on?: number;
  /** Present if an enqueue returned the existing job that holds the unique key. */
  deduplicated?: true;
  /** Present if a debounced enqueue replaced the payload of that job. */
  replaced?: true;
}

/** Why a job failed for good. */
export interface FailureReason {
  /**
   * - `no_retries_left`: its last attempt failed, and all retries were used.
   * - `lease_lost`: the same, and its last attempt never ended: the process stopped renewing the lease.
   * - `unrecoverable`: the error allows no retry.
   */
  code: 'no_retries_left' | 'lease_lost' | 'unrecoverable';
  /** One sentence, such as "no retries left: 2 of 2 used". */
  text: string;
}

/** Why a pending job does not start. */
export interface WaitingReason {
  code: 'not_due' | 'paused' | 'concurrency' | 'key' | 'rate' | 'blocked' | 'no_handler' | 'no_free_slot';
  /** One sentence, such as "3 of 3 jobs of this topic are running". */
  text: string;
}

/** Body of `POST /enqueue`. Durations are milliseconds, or text such as `'30s'`, `'10m'`, `'1d'`. */
export interface EnqueueRequest<T = unknown> {
  topic: string;
  payload: T;
  /** Earliest start. Cannot be combined with `delay`. */
  run_at?: string;
  /** Time until the earliest start. Cannot be combined with `run_at`. */
  delay?: number | string;
  /** Cancels the job if it has not started this long after the enqueue. Cannot be combined with `expires_at`. */
  expires_in?: number | string;
  /** Cancels the job if it has not started by then. Cannot be combined with `expires_in`. */
  expires_at?: string;
  /** Retries after the first attempt. */
  max_retries?: number;
  priority?: number;
  /** Time limit of one attempt. */
  timeout?: number | string;
  unique_key?: string;
  /** When the job frees `unique_key`. Default `'finished'`. */
  unique_until?: 'finished' | 'started';
  /** `unique_key` stays taken at least this long after the job was stored. 1 s to 30 d. */
  unique_for?: number | string;
  /** A request before the start replaces the payload and delays the job. `max` counts from the first request. */
  debounce?: number | string | { wait: number | string; max?: number | string };
  /** Jobs with one key share the limit `per_key` of their topic, and keys take turns. 1 to 255 characters. */
  concurrency_key?: string;
  /** Words by which people find the job: at most 10, each of 1 to 64 letters, digits and `_ . : / -`. */
  labels?: string[];
  metadata?: Record<string, unknown>;
}

/** Response of `POST /enqueue-many`: the jobs in the order of the request. */
export interface EnqueuedJobs {
  items: Job[];
}

/** Body of `POST /:id/requeue`. Absent members stay unchanged, but the job is due at once. */
export interface RequeueRequest {
  payload?: unknown;
  run_at?: string;
  max_retries?: number;
  /** Also re-queues the jobs that were cancelled because this one failed. */
  dependants?: boolean;
}

/** One page of a list, newest first. */
export interface JobPage<T = unknown> {
  items: Job<T>[];
  /** Number of matching jobs; a lower bound if `total_capped`. */
  total: number;
  /** Whether `total` is a lower bound. */
  total_capped: boolean;
  limit: number;
  offset: number;
  /** Pass it as `cursor`, with the same filter, to get the next page; `null` on the last page. */
  next_cursor: string | null;
  /** What `q` has searched; `null` without `q`. */
  search: JobSearch | null;
}

/** Which jobs a search has read. Ids and topics are always searched in all jobs. */
export interface JobSearch {
  /** How many jobs were searched by payload, metadata and unique key: the newest that match the other conditions. */
  window: number;
  /** When the oldest of them was created, or with `order=finished` when the first of them ended; `null` if there are none. */
  oldest: string | null;
  /** Whether these, and the jobs that were searched by error, are all jobs that match the other conditions. */
  complete: boolean;
}

/** Statistics of the queue, at most 2 s old while the table has fewer than 100,000 jobs. */
export interface JobStats {
  pending: number;
  /** Pending jobs that have used a retry: a part of `pending`. */
  retrying: number;
  processing: number;
  completed: number;
  failed: number;
  cancelled: number;
  total: number;
  /** completed ÷ (completed + failed); 0 if no job has finished. */
  success_rate: number;
  /** Mean execution time of completed jobs, in ms. */
  avg_execution_time: number;
  /** Percentiles of the execution time, in ms. */
  p50: number;
  p95: number;
  p99: number;
  /** How long the oldest due job has been waiting; `null` if no job is due. */
  oldest_pending_ms: number | null;
  /** The time of the oldest count: at most 2 s ago while the table has fewer than 100,000 jobs. Each job is counted once. */
  counted_at: string;
}

/** Statistics of one topic. */
export interface TopicStats extends Omit<JobStats, 'p50' | 'p95' | 'p99' | 'avg_execution_time'> {
  topic: string;
  /** When the next pending job becomes due, in ms; 0 if one is due, `null` if none is pending. */
  next_due_ms: number | null;
  /** Attempts that ended in the current minute and the four before it. */
  recent: { completed: number; attempts_failed: number };
  /** Whether a live process has a handler for the topic. */
  has_handler: boolean;
  /** When the topic was paused; `null` if it is not paused. */
  paused_since: string | null;
  /** The limits that apply. */
  limits: Limits | null;
  limits_source: 'code' | 'operator' | null;
  /** The limits in the code, which apply when an operator's setting is removed. */
  code_limits: Limits | null;
  /** Ages at which its finished jobs are deleted, in milliseconds; `false` keeps them. `null`, or absent: that of the module. */
  retention: { completed?: number | false; cancelled?: number | false; failed?: number | false } | null;
  /** The topics that receive its dead letters. */
  dead_letters: string[];
  /**
   * How many different definitions live processes declare in their code, for each kind that the topic has. More than one: several versions of
   * the application run, and the definition that was first seen last applies. 0: no live process declares it.
   */
  live_definitions: { limits?: number; retention?: number; dead_letters?: number };
  /** Running jobs, as the limits count them. */
  running: number;
  /** Concurrency keys with due jobs, at most 1,000 in all topics together. */
  waiting_keys: number;
  /** The limit that prevents a due job from starting. */
  limited_by: 'concurrency' | 'key' | 'rate' | null;
}

/** Limits of a topic. They count the jobs of all processes. `per` is milliseconds. */
export interface Limits {
  concurrency?: number;
  per_key?: number;
  /** With `spread` the starts are spread evenly over the window. */
  rate?: { limit: number; per: number; per_key: boolean; spread?: boolean };
}

/** Limits in a request. `per` is milliseconds, or text such as `'1m'`. */
export interface LimitsRequest {
  concurrency?: number;
  per_key?: number;
  /** `spread` spreads the starts evenly over the window. */
  rate?: { limit: number; per: number | string; per_key?: boolean; spread?: boolean };
}

/** Response of `PUT /topics/limits`. */
export type TopicLimits = Pick<TopicStats, 'topic' | 'limits' | 'limits_source' | 'code_limits'>;

/** Response of `GET /topics`, sorted by name. */
export interface TopicList {
  items: TopicStats[];
  /** The `after` of the next page; `null` on the last one. */
  next_after: string | null;
  /** The sum of the topics that no page lists, when more than 1,000 have jobs; else `null`. */
  other: OtherTopics | null;
}

/** The sum of topics that have no counts of their own. */
export interface OtherTopics extends Pick<JobStats, JobStatus | 'retrying'> {
  /** How many topics these are. */
  topics: number;
}

/** A schedule: it adds one job for each tick of its pattern. */
export interface Schedule {
  name: string;
  /** Cron text, or an interval in ms with its anchor. */
  pattern: string | { every: number; anchor: string };
  /** IANA time zone of a cron pattern. */
  tz: string;
  /** Topic of its jobs. */
  topic: string;
  /** Payload of its jobs. */
  payload: unknown;
  /** What happens to ticks that are more than 60 s late. */
  missed: { policy: 'skip' | 'last' | 'all'; within_ms: number; max: number };
  /** `skip`: a tick adds no job while the previous job is unfinished. */
  overlap: 'allow' | 'skip';
  jitter_ms: number;
  start_at: string | null;
  end_at: string | null;
  /** `null`: the default of the topic. */
  max_retries: number | null;
  priority: number | null;
  timeout_ms: number | null;
  /** Labels of its jobs, beside those of the topic. */
  labels: string[];
  metadata: Record<string, unknown> | null;
  /** `code`: declared by the application's code; `api`: created over HTTP or by the service. */
  source: 'code' | 'api';
  /** Increases with each change, pause and resume. */
  revision: number;
  /** The next tick; `null` if the pattern has none. */
  next_tick: string | null;
  /** The last tick that fired. */
  last_tick: string | null;
  /** Job of the last tick that fired. */
  last_job_id: string | null;
  /** When the schedule was paused; `null` if it is not paused. */
  paused_since: string | null;
  /** Whether a live process declares it; always `true` for `api`. */
  is_declared: boolean;
  /** How many different definitions live processes declare in their code. The one that was first seen last applies. */
  live_definitions: number;
  created: string;
  updated: string;
}

/** Response of `GET /schedules`, sorted by name. */
export interface ScheduleList {
  items: Schedule[];
}

/** Response of `GET /schedules/:name/next`: the next ticks. */
export interface ScheduleTicks {
  items: string[];
}

/** Body of `PUT /schedules/:name`. */
export interface ScheduleRequest {
  /** Cron with 5 fields, or 6 with seconds first; or an interval of at least 1 s. */
  pattern: string | { every: number | string; anchor?: string };
  topic: string;
  payload?: unknown;
  tz?: string;
  missed?: 'skip' | 'last' | 'all' | { policy: 'skip' | 'last' | 'all'; within?: number | string; max?: number };
  overlap?: 'allow' | 'skip';
  jitter?: number | string;
  start_at?: string;
  end_at?: string;
  max_retries?: number;
  priority?: number;
  timeout?: number | string;
  /** Labels of its jobs, beside those of the topic. */
  labels?: string[];
  metadata?: Record<string, unknown>;
}

/** Response of `GET /capabilities`: what this caller may do. */
export interface Capabilities {
  admin: boolean;
  authenticated: boolean;
  /** May enqueue jobs of some topic. */
  enqueue: boolean;
  /** May read jobs, statistics, errors and the stream of some topic. */
  read: boolean;
  /** May requeue, promote, cancel and delete jobs of some topic. Then `read` is true, too. */
  manage: boolean;
  /** The topics with which the caller may do one of these; `null` means all, or more than 1,000. */
  topics: string[] | null;
  database: 'postgres' | 'sqlite';
  /** Version of the server's package. */
  version: string;
  /** Largest page, largest bulk request, and largest JSON text of a payload in bytes. */
  limits: { page: 200; bulk: 10000; payload_bytes: number };
  /** Whether `q` searches payloads, metadata and unique keys. */
  search_payloads: boolean;
}

/** Body of every error response. */
export interface ApiErrorBody {
  /** The HTTP status. */
  status: number;
  /** Stable, machine-readable. Messages may change between releases. */
  code: string;
  message: string;
  /** What is wrong with each invalid field, by name. */
  data: Record<string, string>;
}

/** Data of the event `changed`: the topics of the changed jobs. */
export interface StreamChanged {
  topics: string[];
}

/** An event of `GET /stream`. */
export type StreamEvent = { type: 'stats'; data: JobStats } | { type: 'changed'; data: StreamChanged };
