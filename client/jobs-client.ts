import type { Parse } from './answer.js';
import type { EnqueueOptions } from './call-options.js';
import type { StreamOptions } from './event-stream.js';
import { streamEvents } from './event-stream.js';
import type { HttpRequest, Token } from './http-exchange.js';
import { HttpExchange } from './http-exchange.js';
import type { ApiRequest } from './jobs-api.js';
import { JobsApi } from './jobs-api.js';
import { apiUrl, lacksProtocol, queryText } from './request-url.js';
import { repeated } from './retry.js';
import type { Job, StreamEvent } from './wire.js';

/** What a {@link JobsClient} is made of. */
export interface JobsClientOptions {
  /** Where the application is, such as `https://shop.example`; a global prefix belongs to it. Empty in its own pages. */
  baseUrl: string;
  /** Base path of the API. Default `api/jobs`. */
  path?: string | undefined;
  /** A bearer token, or a function that gives one and is asked before each request. */
  token?: Token;
  /** What sends the requests. Default: the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** Limit of one try, in ms; 0 means none. Default 30,000. */
  timeout?: number | undefined;
  /** How often a call that may be repeated is sent again. Default 3. */
  retries?: number | undefined;
  /** Reads the bodies of successes. Default: `JSON.parse`, which rounds large numbers. */
  parse?: Parse | undefined;
}

/**
 * The jobs of an application, over HTTP.
 *
 * Reading, and `enqueue`, are repeated after network errors, time-outs, 429, 502, 503 and 504; nothing else is, since
 * nobody knows whether it has happened already. `enqueue` may be: its idempotency key makes one job of all tries.
 * @example
 * const jobs = new JobsClient({ baseUrl: 'https://shop.example', token: () => session.token });
 * const job = await jobs.enqueue('send_receipt', { orderId: 7 }, { delay: '10m' });
 */
export class JobsClient extends JobsApi {
  readonly #url: string;
  readonly #retries: number;
  readonly #exchange: HttpExchange;

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
    this.#url = apiUrl(baseUrl, path);
    this.#retries = retries;
    this.#exchange = new HttpExchange({
      token,
      // A browser's fetch must be called as a member of the window.
      fetch: fetch ?? ((input, init) => globalThis.fetch(input, init)),
      timeoutMs: timeout,
      parse,
    });
  }

  override async enqueue<T>(topic: string, payload: T, options: EnqueueOptions = {}): Promise<Job<T>> {
    const { idempotencyKey = newIdempotencyKey() } = options;
    return super.enqueue(topic, payload, { ...options, idempotencyKey });
  }

  /**
   * Live events: `stats`, at most one a second, and `changed`, with the topics of which jobs have changed. Connects again
   * by itself; ends when the signal aborts, or when the loop is left.
   * @throws JobsApiError when the server refuses: 401, 403, 404
   * @example
   * for await (const event of jobs.stream({ signal })) {
   *   if (event.type === 'stats') show(event.data.pending);
   * }
   */
  stream(options: StreamOptions = {}): AsyncGenerator<StreamEvent, void, undefined> {
    const request = this.#http({ method: 'GET', path: '/stream', signal: options.signal });
    return streamEvents(this.#exchange, request, options);
  }

  protected async request<T>(request: ApiRequest): Promise<T> {
    // Made once: a repetition must be the same request, whatever becomes of the caller's objects meanwhile.
    const http = this.#http(request);
    const isRepeatable = request.method === 'GET' || request.idempotencyKey !== undefined;
    const answer = await repeated(() => this.#exchange.json(http), isRepeatable ? this.#retries : 0, request.signal);
    return answer as T;
  }

  #http({ method, path, query = {}, body, idempotencyKey, signal }: ApiRequest): HttpRequest {
    const headers: Record<string, string> = {};
    // Fastify refuses the type of a body that is missing.
    if (body) headers['Content-Type'] = 'application/json';
    if (idempotencyKey !== undefined) headers['Idempotency-Key'] = idempotencyKey;
    return {
      method,
      url: this.#url + path + queryText(query),
      headers,
      body: body && JSON.stringify(body, written),
      signal,
    };
  }
}

/** A number for which JSON has no text would be sent as `null`, and stored. */
function written(name: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`${name}: expected a JSON value, got ${value}`);
  }
  return value;
}

/** From a variable that is not set it would be `NaN`: without a limit, or tries without end. */
function checkNumber(name: string, value: unknown, what: string): void {
  if (typeof value !== 'number' || !(value >= 0)) {
    throw new TypeError(`${name}: expected ${what}, got ${String(value)}`);
  }
}

/** 128 random bits. `crypto.randomUUID` is missing in pages that came over plain HTTP. */
function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
