import type { Backoff, BackoffOptions } from './backoff.js';
import type { Duration } from './duration.js';
import type { Failure } from './error-text.js';
import type { JobStatus } from './job-state.js';
import type { TopicName } from './topic.js';

/**
 * A job as it stands in `_jobs`. Also the entity class: `@InjectRepository(Job)` gives its repository on the queue's
 * own DataSource. All times are the database's.
 */
export class Job<T = unknown> {
  /** UUID v7, made by the process that enqueued it: in the order of creation, as far as clocks of machines agree. */
  id!: string;
  /** What kind of work it is; a handler takes one topic. */
  topic!: string;
  /** What the handler is given. JSON. */
  payload!: T;
  /** Where it stands: `pending`, `processing`, `completed`, `failed` or `cancelled`. */
  status!: JobStatus;
  /** Not run before this moment. */
  runAt!: Date;
  /** Until when the running attempt owns the job; `null` unless `processing`. */
  lockedUntil!: Date | null;
  /** The process that runs it; `null` unless `processing`. */
  lockedBy!: string | null;
  /** How often it was claimed; rises with each claim and never falls. */
  attempt!: number;
  /** Failed attempts since it was enqueued or last re-queued, crashes included. */
  retries!: number;
  /** It is `failed` for good when an attempt fails while `retries` has reached this. */
  maxRetries!: number;
  /** Lower runs first; −1000 to 1000. */
  priority!: number;
  /** Limit of one attempt in milliseconds when it was set at enqueue; else the handler's own holds. */
  timeoutMs!: number | null;
  /** Message of the latest failure, at most 8 KiB. */
  lastError!: string | null;
  /** The last 20 failures, oldest first. */
  errors!: JobFailure[];
  /** What the handler returned, at most 64 KiB of JSON. */
  result!: unknown;
  /** What the handler last gave to `job.progress`, at most 64 KiB of JSON. */
  progress!: unknown;
  /** At most one unfinished job per topic and key. */
  uniqueKey!: string | null;
  /** The caller's own notes, at most 64 KiB of JSON. */
  metadata!: Record<string, unknown> | null;
  /** Somebody asked to cancel it, be it while it waited or while it ran. */
  cancelRequested!: boolean;
  /** When the latest attempt began. */
  started!: Date | null;
  /** When it became completed, failed or cancelled. */
  finished!: Date | null;
  /** When it was enqueued. */
  created!: Date;
  /** When anything of it last changed, renewals of its lease aside. */
  updated!: Date;
  /** `true` on what `enqueue` returns when an unfinished job already held the unique key: this is that job. */
  declare deduplicated?: boolean;
  /** `true` on what an enqueue with an idempotency key returns when that request had come before: this is its job. */
  declare replayed?: boolean;
}

/** A name for one request, by which a repetition of it is known for 24 hours. */
export interface Idempotency {
  readonly key: string;
  /** Tells another request under the same key from a repetition. */
  readonly bodyHash: string;
}

/** One failed attempt. Times are ISO 8601 text in UTC. */
export interface JobFailure extends Failure {
  /** Which attempt it was, 1 for the first. */
  readonly attempt: number;
  /** When that began. */
  readonly started: string | null;
  /** When it failed, or was found to have lost its lease. */
  readonly finished: string;
  /** The process that ran it. */
  readonly worker: string | null;
}

/** What a caller may say about one job beside its topic and payload. */
export interface EnqueueOptions {
  /** Not before this moment. Not together with `delay`. */
  runAt?: Date | undefined;
  /** Not before this long from now, by the database's clock. Not together with `runAt`. */
  delay?: Duration | undefined;
  /** Retries after the first attempt, 0 to 1000. Default: the topic's, else the module's. */
  maxRetries?: number | undefined;
  /** Lower runs first; −1000 to 1000. Default: the topic's, else 0. */
  priority?: number | undefined;
  /** Limit of one attempt. Default: the handler's, else the module's. */
  timeout?: Duration | undefined;
  /** How long retries wait. Default: the handler's, else the module's. */
  backoff?: BackoffOptions | undefined;
  /** One unfinished job per topic and key; a second call returns the first's row. 1 to 255 characters. */
  uniqueKey?: string | undefined;
  /** Notes of the caller's own, at most 64 KiB of JSON; handlers see them. */
  metadata?: Record<string, unknown> | undefined;
}

/** A job to be, as `enqueueMany` takes it. */
export interface NewJob<T = unknown> extends EnqueueOptions {
  /** What kind of work it is, 1 to 255 characters. */
  topic: string;
  /** What the handler is given. JSON, at most `payloadMaxBytes` of it. */
  payload: T;
}

/** The part of a claim by which a worker proves that it still owns the job. Opaque outside the store. */
export interface ClaimToken {
  readonly id: string;
  readonly attempt: number;
  /** Where the store left the row, for a look there before one by id. Proves nothing: another row may be there by now. */
  readonly rowRef?: string | undefined;
}

/** A job that this process has claimed and must run, give back, or lose. */
export interface Claim extends ClaimToken {
  readonly topic: string;
  readonly payload: unknown;
  readonly retries: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly metadata: Record<string, unknown> | null;
  readonly runAt: Date;
  readonly created: Date;
  /** Characters of the payload's text, for bounding batches. */
  readonly payloadLength: number;
  /** How long it was due before it was claimed, by the database's clock. */
  readonly waitedMs: number;
}

/** Whether a failure of this attempt, or the end of its lease, is final. */
export function isLastAttempt({ retries, maxRetries }: Pick<Claim, 'retries' | 'maxRetries'>): boolean {
  return retries >= maxRetries;
}

/** How an attempt ended. The store turns it into the next state of the row. */
export type Outcome =
  | { readonly kind: 'completed'; readonly result: string | null }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly failure: Failure }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'snooze'; readonly delayMs: number }
  /** With `null` it keeps its place in the lane. */
  | { readonly kind: 'release'; readonly delayMs: number | null }
  | { readonly kind: 'cancelled' };

/** Which jobs a list shows. All conditions hold together. */
export interface JobFilter {
  /** Of one of these topics. Default: all. */
  topic?: TopicName | readonly TopicName[] | undefined;
  /** In one of these statuses. Default: all. */
  status?: JobStatus | readonly JobStatus[] | undefined;
  /**
   * Of the pending jobs only, those that are due, by the database's clock (`true`), or those that wait for their time or for
   * that of a retry (`false`); of more than 10,000 those that would run first. `status` is left out then, or `'pending'`.
   */
  due?: boolean | undefined;
  /**
   * An exact id, the beginning of a topic, or a part of an error: at most 10,000 failed jobs are searched for it, the newest of
   * each topic.
   */
  q?: string | undefined;
  /** Only failed jobs with exactly this error, the `key` of an error group, among the same 10,000. Not together with `q`. */
  errorKey?: string | undefined;
  /** Created at this moment or later. */
  createdFrom?: Date | undefined;
  /** Created before this moment. */
  createdTo?: Date | undefined;
  /** Jobs on a page, 1 to 200. Default 20. */
  limit?: number | undefined;
  /** Jobs to skip, 0 to 10,000,000. Default 0. Not together with `cursor`. */
  offset?: number | undefined;
  /** `nextCursor` of the page before, of the same filter. */
  cursor?: string | undefined;
}

/** One page of a list, newest job first. */
export interface JobPage {
  /** Newest first; as many as `limit`, fewer on the last page. */
  items: Job[];
  /** How many jobs the filter matches; a lower bound when `totalCapped`. */
  total: number;
  /** More than 10,000 jobs match, or there are jobs that were not searched, for their error or by their time. */
  totalCapped: boolean;
  /** Jobs on a page, as asked or 20. */
  limit: number;
  /** Jobs that were skipped; 0 with a cursor. */
  offset: number;
  /** Asks for the next page; `null` on the last one. */
  nextCursor: string | null;
}

/** Counts and times of the jobs in the table. */
export interface JobStats {
  /** Jobs that wait, due or not. */
  pending: number;
  /** Jobs that a process has claimed. */
  processing: number;
  /** Finished jobs that are still kept, by how they ended. */
  completed: number;
  failed: number;
  cancelled: number;
  /** All of these together. */
  total: number;
  /** completed ÷ (completed + failed); 0 when nothing finished. */
  successRate: number;
  /**
   * Mean time of the last attempt of completed jobs, in milliseconds: of the newest 10,000, shared among the topics and
   * weighted by how many jobs each has completed.
   */
  avgExecutionTime: number;
  /** Percentiles of the same, in milliseconds. */
  p50: number;
  p95: number;
  p99: number;
  /** How long the oldest due job has been waiting, in milliseconds; `null` when none is due. */
  oldestPendingMs: number | null;
}
