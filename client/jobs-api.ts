import type {
  ApiRequest,
  BulkOptions,
  CallOptions,
  EnqueueOptions,
  ErrorsOptions,
  JobFilter,
  LogOptions,
  NewJob,
  RequeueOptions,
  TimeseriesOptions,
  TopicOptions,
  TopicsOptions,
} from './call-options.js';
import { toFields } from './call-options.js';
import { GroupsApi } from './groups-api.js';
import type { BulkResult } from './bulk-wire.js';
import type { JobGraph } from './group-wire.js';
import type { WaitForOptions } from './job-wait.js';
import { waitForJob } from './job-wait.js';
import type { JobLog } from './log-wire.js';
import { SchedulesApi } from './schedules-api.js';
import type { ErrorGroups, Timeseries } from './report-wire.js';
import type {
  Capabilities,
  EnqueuedJobs,
  Job,
  JobPage,
  JobStats,
  LimitsRequest,
  TopicLimits,
  TopicList,
  WorkerList,
} from './wire.js';

/** Page size of `iterate`: a page of large payloads must fit into memory. */
const ITERATE_PAGE = 100;

/**
 * The calls of the API. Subclasses send the requests. Every call returns the response body unchanged. Calls with a filter or
 * with changes accept `signal` in that object, or in another object after it.
 */
export abstract class JobsApi {
  /** The calls for schedules. */
  readonly schedules = new SchedulesApi((request) => this.request(request));

  /** The calls for groups. */
  readonly groups = new GroupsApi((request) => this.request(request));

  protected abstract request<T>(request: ApiRequest): Promise<T>;

  /**
   * Stores a job.
   * @example await jobs.enqueue('send_receipt', { orderId: 7 }, { runAt: new Date(Date.now() + 60_000) });
   */
  async enqueue<T>(topic: string, payload: T, options: EnqueueOptions = {}): Promise<Job<T>> {
    const { signal, idempotencyKey, ...jobOptions } = options;
    const body = { topic, payload, ...toFields(jobOptions) };
    return this.request({ method: 'POST', path: '/enqueue', body, idempotencyKey, signal });
  }

  /** Stores up to 1,000 jobs, all or none. */
  async enqueueMany(jobs: readonly NewJob[], { signal }: CallOptions = {}): Promise<EnqueuedJobs> {
    return this.request({ method: 'POST', path: '/enqueue-many', body: { jobs: jobs.map(toFields) }, signal });
  }

  /** Returns one job. @throws JobsApiError with status 404 if there is no such job */
  async get<T = unknown>(id: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.request({ method: 'GET', path: toPath(id), signal });
  }

  /**
   * Returns the lines that the handler of a job has logged, oldest first, at most 200 or `limit`. Pass the `id` of the last line as
   * `after` to get the lines that follow.
   */
  async logs(id: string, page: LogOptions & CallOptions = {}, options: CallOptions = page): Promise<JobLog> {
    return this.#read(`${toPath(id)}/logs`, page, options);
  }

  /**
   * Resolves with the job when it has completed. Asks for it with growing pauses of up to 2 s.
   * @throws JobFailedError if it ends failed or cancelled; WaitTimeoutError; JobsApiError, with status 404 if there is no such job
   */
  async waitFor<T = unknown>(id: string, options: WaitForOptions = {}): Promise<Job<T>> {
    return waitForJob<T>(id, options, (signal) => this.get(id, { signal }));
  }

  /** Returns the jobs on which a job depends and those that depend on it, at any distance, at most 500. */
  async graph(id: string, { signal }: CallOptions = {}): Promise<JobGraph> {
    return this.request({ method: 'GET', path: `${toPath(id)}/graph`, signal });
  }

  /** Returns one page of jobs, newest first. */
  async list<T = unknown>(filter: JobFilter & CallOptions = {}, options: CallOptions = filter): Promise<JobPage<T>> {
    return this.#read('', filter, options);
  }

  /**
   * Yields all matching jobs, newest first. Each job that existed at the start appears exactly once, even while new jobs
   * arrive. `limit` is the page size, default 100.
   * @example for await (const job of jobs.iterate({ status: 'failed' })) console.log(job.last_error);
   */
  async *iterate<T = unknown>(
    filter: JobFilter & CallOptions = {},
    options: CallOptions = filter,
  ): AsyncGenerator<Job<T>, void, undefined> {
    const { limit = ITERATE_PAGE, ...conditions } = filter;
    let page = await this.list<T>({ limit, ...conditions }, options);
    for (;;) {
      yield* page.items;
      if (page.next_cursor === null) {
        return;
      }
      page = await this.list<T>({ limit, ...conditions, offset: undefined, cursor: page.next_cursor }, options);
    }
  }

  /** Makes a failed or cancelled job pending again, with all its retries. */
  async requeue<T = unknown>(id: string, given: RequeueOptions = {}, options: CallOptions = given): Promise<Job<T>> {
    const { signal: _, ...rest } = given;
    const changes = toFields(rest);
    const body = Object.keys(changes).length > 0 ? changes : undefined;
    return this.request({ method: 'POST', path: `${toPath(id)}/requeue`, body, signal: options.signal });
  }

  /** Makes a waiting job due now. Its retries stay unchanged. Does not change a job that is already due. */
  async promote<T = unknown>(id: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.request({ method: 'POST', path: `${toPath(id)}/promote`, signal });
  }

  /** Cancels a waiting job at once. Aborts the signal of a running job, and returns before the job has ended. */
  async cancel<T = unknown>(id: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.request({ method: 'POST', path: `${toPath(id)}/cancel`, signal });
  }

  /** Deletes a job that is not running. */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request({ method: 'DELETE', path: toPath(id), signal });
  }

  /**
   * Requeues, promotes, cancels or deletes up to 10,000 jobs. Call again with `next_cursor` as `cursor` until it is `null`. A
   * filter without conditions selects all jobs.
   * @throws TypeError if a condition of the filter is `undefined`
   * @example await jobs.bulk({ action: 'requeue', filter: { status: 'failed', topic: 'send_receipt' }, dryRun: true });
   */
  async bulk(request: BulkOptions & CallOptions, options: CallOptions = request): Promise<BulkResult> {
    const { signal: _, filter, ...rest } = request;
    const missing = Object.entries(filter ?? {}).find(([, value]) => value === undefined);
    if (missing) {
      throw new TypeError(`filter.${missing[0]}: expected a value; without it the filter would mean more jobs`);
    }
    const body = toFields({ ...rest, filter: filter && toFields(filter) });
    return this.request({ method: 'POST', path: '/bulk', body, signal: options.signal });
  }

  /** Returns statistics of the queue, or of some topics. */
  async stats(
    topic: string | (TopicOptions & CallOptions) = {},
    options: CallOptions = typeof topic === 'string' ? {} : topic,
  ): Promise<JobStats> {
    return this.#read('/stats', typeof topic === 'string' ? { topic } : topic, options);
  }

  /** Returns throughput and times per minute. */
  async timeseries(window: TimeseriesOptions & CallOptions = {}, options: CallOptions = window): Promise<Timeseries> {
    return this.#read('/timeseries', window, options);
  }

  /** Returns statistics of each topic, by name: the first 1,000, or a page of them. */
  async topics(page: TopicsOptions & CallOptions = {}, options: CallOptions = page): Promise<TopicList> {
    return this.#read('/topics', page, options);
  }

  /** Stops all processes from claiming jobs of a topic. Running jobs finish, and new jobs are stored. */
  async pause(topic: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request({ method: 'POST', path: '/topics/pause', body: { topic }, signal });
  }

  /**
   * Sets the limits of a topic for all processes. They replace all limits in the code. `{}` sets no limit; with `null` the limits in
   * the code apply again.
   */
  async setLimits(topic: string, limits: LimitsRequest | null, { signal }: CallOptions = {}): Promise<TopicLimits> {
    return this.request({ method: 'PUT', path: '/topics/limits', body: { topic, limits }, signal });
  }

  /** Ends the pause of a topic. */
  async resume(topic: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request({ method: 'POST', path: '/topics/resume', body: { topic }, signal });
  }

  /** Returns failed and retrying jobs, grouped by topic and error. The error that occurred last is first. */
  async errors(filter: ErrorsOptions & CallOptions = {}, options: CallOptions = filter): Promise<ErrorGroups> {
    return this.#read('/errors', filter, options);
  }

  /** Returns the processes that run jobs. */
  async workers(options: CallOptions = {}): Promise<WorkerList> {
    return this.#read('/workers', {}, options);
  }

  /** Returns what this caller may do. */
  async capabilities(options: CallOptions = {}): Promise<Capabilities> {
    return this.#read('/capabilities', {}, options);
  }

  async #read<T>(path: string, { signal: _, ...given }: object & CallOptions, options: CallOptions): Promise<T> {
    const query = toFields(given);
    for (const [name, value] of Object.entries(query)) {
      // An empty array leaves no parameter: a filter for no topic would select all topics.
      if (Array.isArray(value) && value.length === 0) throw new TypeError(`${name}: expected at least one, got none`);
    }
    return this.request({ method: 'GET', path, query, signal: options.signal });
  }
}

/** Returns the path of a job. Rejects an empty id, which means the list, and dots, which mean the parent folder. */
function toPath(id: string): string {
  if (typeof id !== 'string' || /^\.{0,2}$/.test(id)) {
    throw new TypeError(`id: expected the id of a job, got ${JSON.stringify(id)}`);
  }
  return `/${encodeURIComponent(id)}`;
}

/** Removes leading and trailing slashes. */
export function trimSlashes(path: string): string {
  return path.replace(/^\/+|\/+$/g, '');
}
