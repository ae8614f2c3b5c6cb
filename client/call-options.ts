import type { EitherCase } from './snake-case.js';
import type { JobStatus } from './wire.js';

/** Milliseconds, or text such as `'250ms'`, `'30s'`, `'10m'`, `'1h'`, `'7d'`. */
export type Duration = number | string;

/** A moment: a `Date`, or ISO 8601 text with a zone. */
export type Moment = Date | string;

/** What every call takes. */
export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. What the server has begun by then may still happen. */
  signal?: AbortSignal | undefined;
}

/** What can be said about a new job beside its topic and payload. */
export interface JobOptions {
  /** Not before this moment. Not together with `delay`. */
  runAt?: Moment | undefined;
  /** Not before this long from now, by the database's clock. Not together with `runAt`. */
  delay?: Duration | undefined;
  /** Retries after the first attempt. Default: the topic's, else the queue's. */
  maxRetries?: number | undefined;
  /** Lower runs first; −1000 to 1000. Default 0. */
  priority?: number | undefined;
  /** Limit of one attempt. Default: the handler's, else the queue's. */
  timeout?: Duration | undefined;
  /** One unfinished job per topic and key; a second call gives the first's job, with `deduplicated: true`. */
  uniqueKey?: string | undefined;
  /** Notes of the caller's own; handlers see them. */
  metadata?: Record<string, unknown> | undefined;
}

/** Options of `enqueue`. */
export type EnqueueOptions = EitherCase<JobOptions> &
  CallOptions & {
    /**
     * Calls with one key, topic, payload and options give one job, for 24 hours; with other ones the call is refused
     * (422). Default of the {@link JobsClient}: a new one for each call, so that its own repetitions are safe.
     */
    idempotencyKey?: string | undefined;
  };

/** A job to be, as `enqueueMany` takes it. */
export type NewJob<T = unknown> = EitherCase<JobOptions> & { topic: string; payload: T };

/** Options of `requeue`: what is left out stays as it is, but the job is due at once. */
export type RequeueOptions = EitherCase<{
  payload?: unknown;
  /** Not before this moment. Default: now. */
  runAt?: Moment | undefined;
  maxRetries?: number | undefined;
}> &
  CallOptions;

/** Which jobs. What is left out does not matter. */
export interface JobConditions {
  topic?: string | readonly string[] | undefined;
  status?: JobStatus | readonly JobStatus[] | undefined;
  /**
   * Of pending jobs only: those that are due (`true`), or those that wait for their time or a retry (`false`); of more than 10,000
   * those that would run first. `status` is left out then, or `'pending'`.
   */
  due?: boolean | undefined;
  /** An exact id, the beginning of a topic, or a part of the error of a failed job. */
  q?: string | undefined;
  /** Failed jobs with exactly this error: the `key` of a group that `errors` gives. Not together with `q`. */
  errorKey?: string | undefined;
  createdFrom?: Moment | undefined;
  createdTo?: Moment | undefined;
}

/** What `list` takes: conditions, and which page. */
export type JobFilter = EitherCase<
  JobConditions & {
    /** Jobs on a page, 1 to 200. Default 20. */
    limit?: number | undefined;
    /** Jobs to skip. Deep pages are quicker by `cursor`; not together with it. */
    offset?: number | undefined;
    /** The `next_cursor` of the page before, with the same filter. */
    cursor?: string | undefined;
  }
>;

/** What `bulk` takes: jobs by id or by filter. */
export type BulkOptions = EitherCase<{
  action: 'requeue' | 'promote' | 'cancel' | 'delete';
  ids?: readonly string[] | undefined;
  filter?: EitherCase<JobConditions> | undefined;
  /** Only count: nothing is changed. */
  dryRun?: boolean | undefined;
}>;

/** Whose numbers; all topics when left out. */
export interface TopicOptions {
  topic?: string | readonly string[] | undefined;
}

/** What `timeseries` takes. */
export interface TimeseriesOptions extends TopicOptions {
  /** Length of the window, 1 to 1,440. Default 60. */
  minutes?: number | undefined;
}
