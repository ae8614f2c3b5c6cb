import type { JobFilterStatus } from './wire.js';

/** Milliseconds, or text such as `'250ms'`, `'30s'`, `'10m'`, `'1.5h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** A point in time: a `Date`, or ISO 8601 text with a zone. */
export type Moment = Date | string;

/** Options of every call. */
export interface CallOptions {
  /** Aborts the call: it rejects with the signal's reason. The server may still complete the request. */
  signal?: AbortSignal | undefined;
}

/** One request to the API. */
export interface ApiRequest extends CallOptions {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path after the base path: empty, or with a leading slash. */
  path: string;
  /** Values as the API expects them. An array becomes a repeated parameter. */
  query?: Record<string, unknown> | undefined;
  /** An object as the API expects it, not JSON text. */
  body?: Record<string, unknown> | undefined;
  idempotencyKey?: string | undefined;
}

/** Options of a new job. */
export interface JobOptions {
  /** Earliest start. Default: now. Cannot be combined with `delay`. */
  runAt?: Moment | undefined;
  /** Time until the earliest start, by the database's clock. Cannot be combined with `runAt`. */
  delay?: Duration | undefined;
  /** Cancels the job if it has not started this long after the enqueue, by the database's clock. Cannot be combined with `expiresAt`. */
  expiresIn?: Duration | undefined;
  /** Cancels the job if it has not started by then. Cannot be combined with `expiresIn`. */
  expiresAt?: Moment | undefined;
  /** Retries after the first attempt, 0 to 1000. Default: that of the topic, then of the queue. */
  maxRetries?: number | undefined;
  /** −1000 to 1000. Lower runs first. Default 0. */
  priority?: number | undefined;
  /** Time limit of one attempt. Default: that of the handler, then of the queue. */
  timeout?: Duration | undefined;
  /** Allows one unfinished job per topic and key; a second call returns the first job with `deduplicated: true`. */
  uniqueKey?: string | undefined;
  /** When the job frees `uniqueKey`. `'started'`: at its first start; a call during the run stores a new job. Default `'finished'`. */
  uniqueUntil?: 'finished' | 'started' | undefined;
  /** `uniqueKey` stays taken at least this long after the job was stored, even when the job has ended. 1 s to 30 d. */
  uniqueFor?: Duration | undefined;
  /**
   * A call with the same `uniqueKey` before the start replaces the payload, returns `replaced: true` and delays the job again, but not
   * beyond `max` after the first call (default: 10 × `wait`). Cannot be combined with `runAt` or `delay`.
   */
  debounce?: Duration | { wait: Duration; max?: Duration | undefined } | undefined;
  /** Jobs with one key share the limit `perKey` of their topic, and keys take turns. 1 to 255 characters. */
  concurrencyKey?: string | undefined;
  /** Words by which people find the job: at most 10, each of 1 to 64 letters, digits and `_ . : / -`. */
  labels?: readonly string[] | undefined;
  /** Data of the application about the job, for its handler. At most 64 KiB of JSON. */
  metadata?: Record<string, unknown> | undefined;
}

/** Options of `enqueue`. */
export type EnqueueOptions = EitherCase<JobOptions> &
  CallOptions & {
    /**
     * Calls with the same key and the same request create one job within 24 hours. The same key with another request is
     * rejected (422). The {@link JobsClient} creates a key for each call, so that its own retries are safe.
     */
    idempotencyKey?: string | undefined;
  };

/** Members of a job that place it in a graph of jobs. */
export interface JobDependencies {
  /** Names the job for `dependsOn` of other jobs of the call. */
  ref?: string | undefined;
  /** Refs of the call, or ids of stored jobs, for which the job waits. At most 1,000. */
  dependsOn?: readonly string[] | undefined;
  /** When a parent fails, is cancelled or is deleted. Default `'cancel'`. */
  onParentFailure?: 'cancel' | 'run' | 'wait' | undefined;
}

/** A job for `enqueueMany` and `groups.enqueue`. */
export type NewJob<T = unknown> = EitherCase<JobOptions & JobDependencies> & { topic: string; payload: T };

/** Options of `requeue`. Absent ones stay unchanged, but the job is due at once. */
export type RequeueOptions = EitherCase<{
  payload?: unknown;
  /** Earliest start. Default: now. */
  runAt?: Moment | undefined;
  maxRetries?: number | undefined;
  /** Also re-queues the jobs that were cancelled because this one failed. Default `false`. */
  dependants?: boolean | undefined;
}> &
  CallOptions;

/** Conditions of a filter. A job must match all of them. */
export interface JobConditions {
  topic?: string | readonly string[] | undefined;
  status?: JobFilterStatus | readonly JobFilterStatus[] | undefined;
  /**
   * `true`: pending jobs that are due. `false`: pending jobs that wait for their time or a retry. Finds at most 10,000 jobs,
   * those that run first. Cannot be combined with a `status` other than `'pending'`.
   */
  due?: boolean | undefined;
  /**
   * A whole id or unique key, or a part of a topic, an error, a payload or metadata. `orderId:7` finds the jobs with this member in payload
   * or metadata.
   */
  q?: string | undefined;
  /** Failed jobs of an error group: the `key` of a group of `errors`. Cannot be combined with `q`. */
  errorKey?: string | undefined;
  /** Jobs with this concurrency key: the newest 10,000. Cannot be combined with `q`, `errorKey` or `due`. */
  concurrencyKey?: string | undefined;
  /** Members of this group: the newest 10,000. Cannot be combined with `q`, `errorKey`, `concurrencyKey` or `due`. */
  groupId?: string | undefined;
  /** Jobs with this label, or with all of several: the newest 10,000. Cannot be combined with the searches above. */
  label?: string | readonly string[] | undefined;
  /** Created at this time or later. */
  createdFrom?: Moment | undefined;
  /** Created before this time. */
  createdTo?: Moment | undefined;
  /** Failed or was cancelled at this time or later. Selects failed and cancelled jobs, in the order of their end. */
  finishedFrom?: Moment | undefined;
  /** Failed or was cancelled before this time. */
  finishedTo?: Moment | undefined;
}

/** Filter of `list`: conditions and a page. */
export type JobFilter = EitherCase<
  JobConditions & {
    /** `'finished'`: failed and cancelled jobs, the last one that ended first. Default `'created'`: newest first. */
    order?: 'created' | 'finished' | undefined;
    /** Page size, 1 to 200. Default 20. */
    limit?: number | undefined;
    /** Number of jobs to skip. Cannot be combined with `cursor`, which reads deep pages faster. */
    offset?: number | undefined;
    /** The `next_cursor` of the previous page, with the same filter. */
    cursor?: string | undefined;
  }
>;

/** Filter of `export`: conditions and an order. */
export type ExportFilter = EitherCase<JobConditions & Pick<JobFilter, 'order'>>;

/** Request of `bulk`. Selects jobs by `ids` or by `filter`. */
export type BulkOptions = EitherCase<{
  action: 'requeue' | 'promote' | 'cancel' | 'delete';
  ids?: readonly string[] | undefined;
  filter?: EitherCase<JobConditions> | undefined;
  /** Counts without changing any job. Default `false`. */
  dryRun?: boolean | undefined;
  /** Changes only jobs that have not changed since this time: the `as_of` of a dry run. Default with a filter: the time of this call. */
  asOf?: string | undefined;
  /** The largest number of jobs that this call changes: 1 to 10,000. Default 10,000. */
  max?: number | undefined;
  /** With `requeue`: how many jobs become due in a second, a minute or an hour, such as `'50/m'`. Default: all at once. */
  pace?: string | undefined;
  /** The `next_cursor` of the previous call, to go on with the same action, filter and pace. */
  cursor?: string | undefined;
}>;

/** Selects topics. Default: all. */
export interface TopicOptions {
  topic?: string | readonly string[] | undefined;
}

/** Options of `topics`. */
export interface TopicsOptions extends TopicOptions {
  /** The `next_after` of the previous page. */
  after?: string | undefined;
  /** Page size, 1 to 1,000. Default 1,000. */
  limit?: number | undefined;
}

/** Options of `errors`. */
export interface ErrorsOptions extends TopicOptions {
  /** Only of jobs with this label, or with all of several. */
  label?: string | readonly string[] | undefined;
  /** `'last_seen'`: the error that occurred last is first. `'count'`: the most frequent one. Default `'last_seen'`. */
  sort?: 'last_seen' | 'count' | undefined;
  /** Number of groups, 1 to 100. Default 100. */
  limit?: number | undefined;
  /** Number of groups to skip. Default 0. */
  offset?: number | undefined;
}

/** Options of `logs`. */
export interface LogOptions {
  /** The `id` of the last line of the previous page. Default: from the oldest line on. */
  after?: string | undefined;
  /** Page size, 1 to 1,000. Default 200. */
  limit?: number | undefined;
}

/** Options of `timeseries`. */
export interface TimeseriesOptions extends TopicOptions {
  /** Length of the window in minutes, 1 to 1,440. Default 60. */
  minutes?: number | undefined;
}

/** The name of a member on the wire. */
export type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : '';

/** Accepts each member in both spellings: `runAt` or `run_at`. */
export type EitherCase<T> = T & { [Name in keyof T as SnakeCase<Name & string>]?: T[Name] };

/**
 * Converts options to request fields: names to snake_case, dates to text. Keeps unknown names, because the server's error
 * about them is better. Drops members that are `undefined`.
 * @throws TypeError if a member is given in both spellings, or is an invalid date
 */
export function toFields(options: object): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) {
      continue;
    }
    const wireName = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (Object.hasOwn(members, wireName)) {
      throw new TypeError(`${wireName}: given in both spellings; give one of them`);
    }
    members[wireName] = isDate(value) ? toTimeText(value, name) : value;
  }
  return members;
}

/** Compares the shape: a date of another frame or of a library is not an `instanceof Date`. */
function isDate(value: unknown): value is Date {
  return typeof (value as Date | null)?.toISOString === 'function';
}

function toTimeText(date: Date, name: string): string {
  if (Number.isNaN(Number(date))) {
    throw new TypeError(`${name}: expected a valid date, got an invalid one`);
  }
  return date.toISOString();
}
