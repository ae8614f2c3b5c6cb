import type {
  BulkOptions,
  CallOptions,
  EnqueueOptions,
  JobFilter,
  NewJob,
  RequeueOptions,
  TimeseriesOptions,
  TopicOptions,
} from './call-options.js';
import { snakeCased } from './snake-case.js';
import type {
  BulkResult,
  Capabilities,
  EnqueuedJobs,
  ErrorGroups,
  Job,
  JobPage,
  JobStats,
  Timeseries,
  TopicList,
} from './wire.js';

/** Jobs that `iterate` fetches at once: few enough that a page of large payloads stays in memory. */
const ITERATE_PAGE = 100;

/** One request, in the words of the API. */
export interface ApiRequest extends CallOptions {
  method: 'GET' | 'POST' | 'DELETE';
  /** What follows the base path: empty, or with a slash in front. */
  path: string;
  /** Values as on the wire; a list stands for a repeated name. */
  query?: Record<string, unknown> | undefined;
  /** An object as on the wire, not yet text. */
  body?: Record<string, unknown> | undefined;
  idempotencyKey?: string | undefined;
}

/**
 * The calls of the API; how they travel is up to the class that extends this one. Answers come as they are on the wire.
 * Of a call with a filter or changes the signal may stand among these, or in an object of its own behind them.
 */
export abstract class JobsApi {
  protected abstract request<T>(request: ApiRequest): Promise<T>;

  /**
   * Stores a job.
   * @example await jobs.enqueue('send_receipt', { orderId: 7 }, { runAt: new Date(Date.now() + 60_000) });
   */
  async enqueue<T>(topic: string, payload: T, options: EnqueueOptions = {}): Promise<Job<T>> {
    const { signal, idempotencyKey, ...jobOptions } = options;
    const body = { topic, payload, ...snakeCased(jobOptions) };
    return this.request({ method: 'POST', path: '/enqueue', body, idempotencyKey, signal });
  }

  /** Stores up to 1,000 jobs, all or none. */
  async enqueueMany(jobs: readonly NewJob[], { signal }: CallOptions = {}): Promise<EnqueuedJobs> {
    return this.request({ method: 'POST', path: '/enqueue-many', body: { jobs: jobs.map(snakeCased) }, signal });
  }

  /** One job. A `JobsApiError` of status 404 when there is none. */
  async get<T = unknown>(id: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.request({ method: 'GET', path: pathOf(id), signal });
  }

  /** One page of jobs, newest first. */
  async list<T = unknown>(filter: JobFilter & CallOptions = {}, options: CallOptions = filter): Promise<JobPage<T>> {
    return this.#read('', filter, options);
  }

  /**
   * All jobs that match, newest first, page after page. Each job that was there at the start comes exactly once, while
   * others arrive. `limit` is the size of a page, 100 by default.
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

  /** Puts a failed or cancelled job back, with all its retries. */
  async requeue<T = unknown>(id: string, given: RequeueOptions = {}, options: CallOptions = given): Promise<Job<T>> {
    const { signal: _, ...rest } = given;
    const changes = snakeCased(rest);
    const body = Object.keys(changes).length > 0 ? changes : undefined;
    return this.request({ method: 'POST', path: `${pathOf(id)}/requeue`, body, signal: options.signal });
  }

  /** Runs a waiting job now instead of at its time; its retries stay as they are. A job that is due already keeps its place. */
  async promote<T = unknown>(id: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.request({ method: 'POST', path: `${pathOf(id)}/promote`, signal });
  }

  /** Ends a waiting job at once; asks a running one to end, and answers before it has. */
  async cancel<T = unknown>(id: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.request({ method: 'POST', path: `${pathOf(id)}/cancel`, signal });
  }

  /** Removes a job that is not running. */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request({ method: 'DELETE', path: pathOf(id), signal });
  }

  /**
   * Re-queues, promotes, cancels or deletes up to 10,000 jobs. When the answer says `more`, others can be moved: call again, while
   * `changed` is not 0. A filter without a condition means all jobs; one with an `undefined` condition is a TypeError.
   * @example await jobs.bulk({ action: 'requeue', filter: { status: 'failed', topic: 'send_receipt' }, dryRun: true });
   */
  async bulk(request: BulkOptions & CallOptions, options: CallOptions = request): Promise<BulkResult> {
    const { signal: _, filter, ...rest } = request;
    const missing = Object.entries(filter ?? {}).find(([, value]) => value === undefined);
    if (missing) {
      throw new TypeError(`filter.${missing[0]}: expected a value; without it the filter would mean more jobs`);
    }
    const body = snakeCased({ ...rest, filter: filter && snakeCased(filter) });
    return this.request({ method: 'POST', path: '/bulk', body, signal: options.signal });
  }

  /** The queue in numbers, or one topic of it. */
  async stats(
    topic: string | (TopicOptions & CallOptions) = {},
    options: CallOptions = typeof topic === 'string' ? {} : topic,
  ): Promise<JobStats> {
    return this.#read('/stats', typeof topic === 'string' ? { topic } : topic, options);
  }

  /** Throughput and times per minute. */
  async timeseries(window: TimeseriesOptions & CallOptions = {}, options: CallOptions = window): Promise<Timeseries> {
    return this.#read('/timeseries', window, options);
  }

  /** Each topic in numbers. */
  async topics(options: CallOptions = {}): Promise<TopicList> {
    return this.#read('/topics', {}, options);
  }

  /** Starts no more jobs of a topic, in any process, until it is resumed; what runs ends. Jobs are stored as before. */
  async pause(topic: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request({ method: 'POST', path: '/topics/pause', body: { topic }, signal });
  }

  /** Starts jobs of a topic again. */
  async resume(topic: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request({ method: 'POST', path: '/topics/resume', body: { topic }, signal });
  }

  /** Failed jobs, grouped by topic and message. */
  async errors(filter: TopicOptions & CallOptions = {}, options: CallOptions = filter): Promise<ErrorGroups> {
    return this.#read('/errors', filter, options);
  }

  /** What this caller may do. */
  async capabilities(options: CallOptions = {}): Promise<Capabilities> {
    return this.#read('/capabilities', {}, options);
  }

  async #read<T>(path: string, { signal: _, ...given }: object & CallOptions, options: CallOptions): Promise<T> {
    const query = snakeCased(given);
    for (const [name, value] of Object.entries(query)) {
      // Nothing of it would stand in the query: jobs of none would become jobs of all.
      if (Array.isArray(value) && value.length === 0) throw new TypeError(`${name}: expected at least one, got none`);
    }
    return this.request({ method: 'GET', path, query, signal: options.signal });
  }
}

/** The path of a job. An empty id would name the list, and dots the folder above. */
function pathOf(id: string): string {
  if (typeof id !== 'string' || /^\.{0,2}$/.test(id)) {
    throw new TypeError(`id: expected the id of a job, got ${JSON.stringify(id)}`);
  }
  return `/${encodeURIComponent(id)}`;
}
