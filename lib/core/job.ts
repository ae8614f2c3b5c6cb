/*
 * core/: the rules of the queue. In: values of the application. Out: checked values, or errors. It does no input or output, and
 * imports no package and no Node module, except croner in cron.ts.
 * Read job.ts (the data), job-state.ts (the transitions) and options.ts (the configuration) first.
 */
import type { JobDependencies } from './dependencies.js';
import type { Backoff, BackoffOptions } from './backoff.js';
import type { Duration } from './duration.js';
import type { Failure } from './error-text.js';
import type { JobActionEntry } from './job-action.js';
import type { JobLogLine } from './job-log.js';
import type { JobFilterStatus, JobStatus } from './job-state.js';
import type { TopicName } from './topic.js';
import type { DebounceOptions, UniqueUntil } from './unique-key.js';

/**
 * A job, one row of `_jobs`. Also the entity class: `@InjectRepository(Job)` injects its repository on the queue's own
 * DataSource. All times are the database's.
 */
export class Job<T = unknown, R = unknown> {
  /** UUID v7, created by the enqueuing process. Ids sort by creation time if the clocks of the machines agree. */
  id!: string;
  /** Kind of work. One handler serves one topic. */
  topic!: string;
  /** Input of the handler. JSON. */
  payload!: T;
  /** `pending`, `processing`, `completed`, `failed` or `cancelled`. */
  status!: JobStatus;
  /** Earliest start. In the year 9999 while the job waits for its parents, and if it was cancelled then; the HTTP API sends `null`. */
  runAt!: Date;
  /** When the lease of the running attempt expires; `null` unless `processing`. */
  lockedUntil!: Date | null;
  /** Process that runs the job; `null` unless `processing`. */
  lockedBy!: string | null;
  /** Number of claims so far: 1 during the first run. Never decreases. */
  attempt!: number;
  /** Failed attempts since the job was enqueued or last requeued, crashes included. */
  retries!: number;
  /**
   * Retries that the job may use. When `retries` has reached this number, the next failed attempt fails the job for good.
   */
  maxRetries!: number;
  /** The last attempt that a rescue ended: its worker stopped renewing the lease, and its handler may have run. `null`: there was none. */
  rescuedAttempt!: number | null;
  /** −1000 to 1000. Lower runs first. */
  priority!: number;
  /** Time limit of one attempt in milliseconds, if it was set at enqueue; otherwise the handler's limit applies. */
  timeoutMs!: number | null;
  /** Message of the latest failure. At most 8 KiB. */
  lastError!: string | null;
  /** The last 20 failures, oldest first. */
  errors!: JobFailure[];
  /** Return value of the handler, `null` before it completes. At most 64 KiB of JSON. */
  result!: R | null;
  /** Last value that the handler passed to `job.progress`. At most 64 KiB of JSON. */
  progress!: unknown;
  /** The steps of the handler that have finished, in their order: see `job.step`. At most 64 KiB of JSON. */
  steps!: readonly JobStep[];
  /** The last 20 times that the job was re-queued, promoted or cancelled by a call, oldest first. */
  actions!: readonly JobActionEntry[];
  /** A topic has at most one unfinished job per key, or one that has not started: see `uniqueUntil`. */
  uniqueKey!: string | null;
  /** Jobs with one key share the limit `perKey` of their topic, and keys take turns. Set at enqueue. */
  concurrencyKey!: string | null;
  /** Words by which the application finds the job again: see the filter `label`. Set at enqueue. */
  labels!: readonly string[];
  /** Data of the application about the job, set at enqueue. At most 64 KiB of JSON. */
  metadata!: Record<string, unknown> | null;
  /** The job is cancelled if it has not started by then. `null`: it has no expiry, or has started. A re-queue removes it. */
  expiresAt!: Date | null;
  /** Whether a cancel was requested. */
  cancelRequested!: boolean;
  /** When the handler of the latest attempt was called, by the database's clock; the time of its claim while it runs. */
  started!: Date | null;
  /** When the handler of the last attempt ended; when the end was recorded, if no handler ran. `null`: the job has not ended. */
  finished!: Date | null;
  /** When the job was enqueued. */
  created!: Date;
  /** When the row last changed. Lease renewals do not count. */
  updated!: Date;
  /** `true` if `enqueue` stored no new job and returned the job that holds the unique key. */
  deduplicated = false;
  /** `true` if a debounced `enqueue` replaced the payload of that job. */
  declare replaced?: boolean;
  /** `true` if an enqueue with an idempotency key returned the job of an earlier, equal request. */
  declare replayed?: boolean;
  /** Only in `http.redact`, for `GET /:id/logs`: the lines to send. A returned job without them sends none. */
  declare logs?: JobLogLine[];
}

/** Identifies one enqueue request for 24 hours, so that a repeated request creates no second job. */
export interface Idempotency {
  readonly key: string;
  /** Hash of the request. The same key with another hash is rejected. */
  readonly bodyHash: string;
}

/** One failed attempt. Times are ISO 8601 text in UTC. */
export interface JobFailure extends Failure {
  /** Number of the attempt, 1 for the first. */
  readonly attempt: number;
  /** When the attempt started; `null` if unknown. */
  readonly started: string | null;
  /** When the queue recorded the failure, or found the lease expired. */
  readonly finished: string;
  /** Process that ran the attempt. */
  readonly worker: string | null;
}

/** A finished step of a handler. */
export interface JobStep {
  readonly name: string;
  /** What the step returned; absent: `undefined`. */
  readonly result?: unknown;
  /** When it was recorded: ISO 8601 text in UTC, by the database's clock. */
  readonly finished: string;
}

/** Options of `enqueue`. */
export interface EnqueueOptions {
  /** Earliest start. Default: now. Cannot be combined with `delay`. */
  runAt?: Date | undefined;
  /** Time until the earliest start, measured by the database's clock. Default 0. Cannot be combined with `runAt`. */
  delay?: Duration | undefined;
  /**
   * Cancels the job if it has not started this long after the enqueue, by the database's clock. At least 1 ms. Default: that of the
   * topic, otherwise none. Cannot be combined with `expiresAt`.
   */
  expiresIn?: Duration | undefined;
  /** Cancels the job if it has not started by then, by the database's clock. Cannot be combined with `expiresIn`. */
  expiresAt?: Date | undefined;
  /** Retries after the first attempt, 0 to 1000. Default: that of the topic, then of the module. */
  maxRetries?: number | undefined;
  /** −1000 to 1000. Lower runs first. Default: that of the topic, then 0. */
  priority?: number | undefined;
  /** Time limit of one attempt. Default: that of the handler, then of the module. */
  timeout?: Duration | undefined;
  /** How long retries wait. Default: that of the handler, then of the module. */
  backoff?: BackoffOptions | undefined;
  /** Allows one unfinished job per topic and key; a second call returns the first job. 1 to 255 characters. */
  uniqueKey?: string | undefined;
  /**
   * When the job frees `uniqueKey`. `'started'`: at its first start. A call during the run then stores a new job, which may start
   * before the run has ended. Default `'finished'`.
   */
  uniqueUntil?: UniqueUntil | undefined;
  /**
   * Throttles: `uniqueKey` stays taken at least this long after the job was stored, even when the job has ended. 1 s to 30 d. Needs
   * `uniqueKey`. Cannot be combined with `debounce`.
   */
  uniqueFor?: Duration | undefined;
  /**
   * Starts the job this long after the latest call with this `uniqueKey`. A debounced call before the start replaces the payload and
   * delays the job again, but not beyond the `max` of the first call. A job stored without `debounce` is never replaced.
   * Implies `uniqueUntil: 'started'`. Needs `uniqueKey`. Cannot be combined with `runAt`, `delay` or `uniqueFor`.
   */
  debounce?: DebounceOptions | undefined;
  /**
   * Jobs with one key share the limit `perKey` of their topic, and keys take turns. 1 to 255 characters. Default: the result of
   * `concurrencyKey` of the typed topic, otherwise none.
   */
  concurrencyKey?: string | undefined;
  /**
   * Words by which people find the job, such as `team:billing`. At most 10 together with those of the typed topic, each of 1 to 64 letters,
   * digits and `_ . : / -`. Default: those of the typed topic.
   */
  labels?: readonly string[] | undefined;
  /** Data of the application about the job, for handlers and listeners. At most 64 KiB of JSON. */
  metadata?: Record<string, unknown> | undefined;
}

/** A job for `enqueueMany`. */
export interface NewJob<T = unknown> extends EnqueueOptions, JobDependencies {
  /** Kind of work, 1 to 255 characters. */
  topic: string;
  /** Input of the handler. JSON of at most `payloadMaxBytes`. */
  payload: T;
}

/** Identifies the attempt that owns a job. Every write by a worker matches it. */
export interface ClaimToken {
  readonly id: string;
  readonly attempt: number;
  /** Physical position of the row, to find it faster than by id. A hint only: another row can be there. */
  readonly rowRef?: string | undefined;
  /** Other jobs or a group wait for the job, as far as the claim knows. */
  readonly isWatched?: boolean | undefined;
}

/** A job that this process has claimed. */
export interface Claim extends ClaimToken {
  readonly topic: string;
  readonly payload: unknown;
  readonly retries: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly metadata: Record<string, unknown> | null;
  /** When the job expires unless it has started, in milliseconds since 1970. It may start only after the row is marked. */
  readonly expiresMs?: number | null;
  readonly runAt: Date;
  readonly created: Date;
  /** Length of the payload's text in characters, to bound batches. */
  readonly payloadLength: number;
  /** How long the job was due before it was claimed, by the database's clock. */
  readonly waitedMs: number;
}

/** Returns whether the row must be marked before the handler starts: see docs/adr/0019-unstarted-last-attempts.md. */
export function needsStartMark(claim: Pick<Claim, 'retries' | 'maxRetries' | 'expiresMs'>): boolean {
  return typeof claim.expiresMs === 'number' || isLastAttempt(claim);
}

/** Returns whether the job fails for good if this attempt fails. */
export function isLastAttempt({ retries, maxRetries }: Pick<Claim, 'retries' | 'maxRetries'>): boolean {
  return retries >= maxRetries;
}

/** How an attempt ended. The store derives the row's next state from it. */
export type Outcome =
  | { readonly kind: 'completed'; readonly result: string | null }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly failure: Failure }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'snooze'; readonly delayMs: number }
  /** With `null` the job keeps its `runAt`. */
  | { readonly kind: 'release'; readonly delayMs: number | null }
  | { readonly kind: 'cancelled' };

/** The order of a list: by creation, or by end. */
export type ListOrder = 'created' | 'finished';

/** Filter of a list. A job must match all conditions. */
export interface JobFilter {
  /** One topic or several. Default: all. */
  topic?: TopicName | readonly TopicName[] | undefined;
  /** One status or several. `'retrying'`: pending jobs that have used a retry. Default: all. */
  status?: JobFilterStatus | readonly JobFilterStatus[] | undefined;
  /**
   * `true`: pending jobs that are due. `false`: pending jobs that wait for their time or a retry. Finds at most 10,000 jobs,
   * those that run first. Cannot be combined with a `status` other than `'pending'` and `'retrying'`.
   */
  due?: boolean | undefined;
  /**
   * A whole id or unique key, or a part of a topic, an error, a payload or metadata. The case of ASCII letters is ignored. `name:value`
   * also finds a member `name` of payload or metadata with that value, `a.b:value` a member of a member, and `unique:key` a unique
   * key. Put a value with spaces in quotes. The search reads the payloads of the newest 10,000 jobs that match the other conditions.
   * It reads the errors of at most 10,000 failed jobs and 10,000 that wait for a retry, the newest of each topic.
   */
  q?: string | undefined;
  /** Whether `q` also searches payloads, metadata and unique keys. Default `true`. */
  searchPayloads?: boolean | undefined;
  /**
   * Failed jobs of an error group: the `key` of an {@link ErrorGroup}. Searches the same jobs as `q`, and cannot be combined with it.
   */
  errorKey?: string | undefined;
  /** Jobs with this concurrency key: the newest 10,000. Cannot be combined with `q`, `errorKey` or `due`. */
  concurrencyKey?: string | undefined;
  /** Members of this group: the newest 10,000. Cannot be combined with `q`, `errorKey`, `concurrencyKey` or `due`. */
  groupId?: string | undefined;
  /** Jobs with this label, or with all of several: the newest 10,000. Cannot be combined with the filters above, from `due` on. */
  label?: string | readonly string[] | undefined;
  /** Created at this moment or later. */
  createdFrom?: Date | undefined;
  /** Created before this moment. */
  createdTo?: Date | undefined;
  /** Failed or was cancelled at this moment or later. Selects failed and cancelled jobs, in the order of their end. */
  finishedFrom?: Date | undefined;
  /** Failed or was cancelled before this moment. */
  finishedTo?: Date | undefined;
  /**
   * `'created'`: newest first. `'finished'`: failed and cancelled jobs, the last one that ended first. Completed jobs cannot be listed by
   * their end: the index would make each completion slower. Default `'created'`, or `'finished'` with `finishedFrom` or `finishedTo`.
   */
  order?: ListOrder | undefined;
  /** Page size, 1 to 200. Default 20. */
  limit?: number | undefined;
  /** Number of jobs to skip, 0 to 10,000,000. Default 0. Cannot be combined with `cursor`. */
  offset?: number | undefined;
  /** The `nextCursor` of the previous page, with the same filter. */
  cursor?: string | undefined;
}

/** One page of a list. */
export interface JobPage {
  /** At most `limit` jobs, in the order of the filter. */
  items: Job[];
  /** Number of matching jobs; a lower bound if `totalCapped`. */
  total: number;
  /** Whether `total` is a lower bound, because more than 10,000 jobs match or some jobs were not searched. */
  totalCapped: boolean;
  /** Page size. */
  limit: number;
  /** Number of skipped jobs; 0 with a cursor. */
  offset: number;
  /** Pass it as `cursor` to get the next page; `null` on the last page. */
  nextCursor: string | null;
  /** What `q` has searched; `null` without `q`. */
  search: JobSearch | null;
}

/** Which jobs a search has read. Ids, topics and the unique keys of unfinished jobs are always searched in all jobs. */
export interface JobSearch {
  /** How many jobs were searched by payload, metadata and unique key: the newest that match the other conditions. */
  window: number;
  /** When the oldest of them was created or, in the order of the end, when the first of them ended; `null` if there are none. */
  oldest: Date | null;
  /** Whether these, and the jobs that were searched by error, are all jobs that match the other conditions. */
  complete: boolean;
}

/** Statistics of the jobs in the table. */
export interface JobStats {
  /** Waiting jobs, due or not. */
  pending: number;
  /** Pending jobs that have used a retry: a part of `pending`. */
  retrying: number;
  /** Claimed jobs. */
  processing: number;
  /** Completed jobs that are not pruned yet; `failed` and `cancelled` likewise. */
  completed: number;
  failed: number;
  cancelled: number;
  /** Sum of the five counts. */
  total: number;
  /** completed ÷ (completed + failed); 0 if no job has finished. */
  successRate: number;
  /** Mean duration of the last attempt of completed jobs, in milliseconds. Estimated from the newest 10,000 jobs. */
  avgExecutionTime: number;
  /** Percentiles of the same times, in milliseconds. */
  p50: number;
  p95: number;
  p99: number;
  /** How long the oldest due job has been waiting, in milliseconds; `null` if no job is due. */
  oldestPendingMs: number | null;
  /**
   * The database's time at which the counts were taken. They are at most 2 s old while the table has fewer than 100,000 jobs; those
   * of a larger table may be older.
   */
  countedAt: Date;
}
