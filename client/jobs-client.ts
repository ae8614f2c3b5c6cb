import type { ApiRequest, CallOptions, EnqueueOptions, ExportFilter } from './call-options.js';
import { toFields } from './call-options.js';
import type { StreamOptions, WatchOptions } from './job-stream.js';
import { streamEvents } from './job-stream.js';
import { JobsApi, trimSlashes } from './jobs-api.js';
import { withRetries } from './retry.js';
import type { HttpRequest, Parse, Token } from './transport.js';
import { HttpTransport } from './transport.js';
import type { StreamJob } from './log-wire.js';
import type { Job, StreamEvent } from './wire.js';

/** Options of a {@link JobsClient}. */
export interface JobsClientOptions {
  /** URL of the application with its global prefix, such as `https://shop.example`. Empty in a page of the same origin. */
  baseUrl: string;
  /** Base path of the API. Default `api/jobs`. */
  path?: string | undefined;
  /** Bearer token, or a function that returns one. The client calls it before each request. */
  token?: Token;
  /** Sends the requests. Default: the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** Time limit of one try, in ms; 0 means none. Default 30,000. */
  timeout?: number | undefined;
  /** How often the client retries a call that is safe to repeat. Default 3. */
  retries?: number | undefined;
  /** Parses the bodies of successes. Default: `JSON.parse`, which rounds large numbers. */
  parse?: Parse | undefined;
}

/**
 * Calls the jobs API of an application over HTTP.
 *
 * Retries reading calls and `enqueue` after network errors, time-outs, 429, 502, 503 and 504. All tries
 * of an `enqueue` have the same idempotency key, so they create one job. Never retries other calls, because the first try may
 * have succeeded.
 * @example
 * const jobs = new JobsClient({ baseUrl: 'https://shop.example', token: () => session.token });
 * const job = await jobs.enqueue('send_receipt', { orderId: 7 }, { delay: '10m' });
 */
export class JobsClient extends JobsApi {
  readonly #url: string;
  readonly #retries: number;
  readonly #transport: HttpTransport;

  constructor(options: JobsClientOptions) {
    super();
    const { baseUrl, path = 'api/jobs', token, fetch, timeout = 30_000, retries = 3, parse } = options ?? {};
    if (typeof baseUrl !== 'string' || lacksProtocol(baseUrl)) {
      throw new TypeError(
        `baseUrl: expected the URL of the application, such as https://shop.example, got ${String(baseUrl)}`,
      );
    }
    checkNumber('timeout', timeout, 'milliseconds, 0 for no limit');
    checkNumber('retries', retries, 'a number from 0 on');
    this.#url = `${baseUrl.replace(/\/+$/, '')}/${trimSlashes(path)}`;
    this.#retries = retries;
    this.#transport = new HttpTransport({
      token,
      // Browsers require `fetch` to be called as a member of the window.
      fetch: fetch ?? ((input, init) => globalThis.fetch(input, init)),
      timeoutMs: timeout,
      parse,
    });
  }

  override async enqueue<T>(topic: string, payload: T, options: EnqueueOptions = {}): Promise<Job<T>> {
    const { idempotencyKey = createIdempotencyKey() } = options;
    return super.enqueue(topic, payload, { ...options, idempotencyKey });
  }

  /**
   * Yields live events: `stats`, at most one a second, and `changed`, with the topics of the changed jobs. Reconnects by itself.
   * Ends when the signal aborts or the caller leaves the loop.
   * @throws JobsApiError if the server refuses: 401, 403, 404
   * @example
   * for await (const event of jobs.stream({ signal })) {
   *   if (event.type === 'stats') show(event.data.pending);
   * }
   */
  stream(options: StreamOptions = {}): AsyncGenerator<StreamEvent, void, undefined> {
    const request = this.#toHttpRequest({ method: 'GET', path: '/stream', signal: options.signal });
    return streamEvents(this.#transport, request, options);
  }

  /**
   * Yields the state of one job: at once, and after each change of its status, its progress or its log. Fetch what you show with `get`
   * and `logs`. Reconnects and ends as `stream` does.
   * @throws JobsApiError if the server refuses; 404 if there is no such job
   * @example
   * for await (const { last_line } of jobs.watch(id, { signal })) {
   *   if (last_line !== shown.at(-1)?.id) shown.push(...(await jobs.logs(id, { after: shown.at(-1)?.id })).items);
   * }
   */
  async *watch(id: string, options: WatchOptions = {}): AsyncGenerator<StreamJob, void, undefined> {
    const { signal } = options;
    const request = this.#toHttpRequest({ method: 'GET', path: '/stream', query: { job: id }, signal });
    const events = streamEvents<{ type: 'job'; data: StreamJob }>(this.#transport, request, options);
    for await (const { data } of events) {
      yield data;
    }
  }

  /**
   * Returns the jobs of a filter as a file, at most 100,000. Its stream fails if the connection ends early.
   * @throws JobsApiError if the server refuses
   * @example const text = await new Response(await jobs.export('csv', { status: 'failed' })).text();
   */
  async export(
    format: keyof typeof FILE_TYPES,
    filter: ExportFilter & CallOptions = {},
    options: CallOptions = filter,
  ): Promise<ReadableStream<Uint8Array>> {
    const { signal: _, ...conditions } = filter;
    const query = { format, ...toFields(conditions) };
    const request = this.#toHttpRequest({ method: 'GET', path: '/export', query, signal: options.signal });
    return this.#transport.stream(request, FILE_TYPES[format]);
  }

  protected async request<T>(request: ApiRequest): Promise<T> {
    // Built once: all tries send the same request, even if the caller changes its objects.
    const http = this.#toHttpRequest(request);
    const isRepeatable = request.method === 'GET' || request.idempotencyKey !== undefined;
    const retries = isRepeatable ? this.#retries : 0;
    return (await withRetries(() => this.#transport.json(http), retries, request.signal)) as T;
  }

  #toHttpRequest({ method, path, query = {}, body, idempotencyKey, signal }: ApiRequest): HttpRequest {
    const headers: Record<string, string> = {};
    // Fastify rejects a content type without a body.
    if (body) headers['Content-Type'] = 'application/json';
    if (idempotencyKey !== undefined) headers['Idempotency-Key'] = idempotencyKey;
    return {
      method,
      url: this.#url + path + toQueryText(query),
      headers,
      body: body && JSON.stringify(body, rejectNonFinite),
      signal,
    };
  }
}

/** The formats of an export. */
const FILE_TYPES = { csv: 'text/csv', ndjson: 'application/x-ndjson', json: 'application/json' } as const;

/** Replacer of `JSON.stringify`, which writes NaN and Infinity as `null`. */
function rejectNonFinite(name: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`${name}: expected a JSON value, got ${value}`);
  }
  return value;
}

/** Rejects the `NaN` of an unset variable: it would mean no time limit, or endless retries. */
function checkNumber(name: string, value: unknown, what: string): void {
  if (typeof value !== 'number' || !(value >= 0)) {
    throw new TypeError(`${name}: expected ${what}, got ${String(value)}`);
  }
}

/** Returns 128 random bits. Pages served over plain HTTP lack `crypto.randomUUID`. */
function createIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Returns whether `fetch` would read the host as a protocol, as in `localhost:3000`, and report a network error. */
function lacksProtocol(baseUrl: string): boolean {
  return /^[^/]+:(?!\/\/)/.test(baseUrl);
}

/** Returns `?` and the members of `query`, an array as a repeated name; an empty text without members. */
function toQueryText(query: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const member of Array.isArray(value) ? value : [value]) {
      params.append(name, String(member));
    }
  }
  const text = params.toString();
  return text && `?${text}`;
}
