import type { ApiRequest } from './call-options.js';
import { JobsApi, trimSlashes } from './jobs-api.js';

/** Options of `Sender.send`. Members without a value are absent. */
export interface SendOptions {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** An object, not JSON text. */
  body?: Record<string, unknown>;
  /** An array becomes a repeated parameter. */
  query?: Record<string, unknown>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A client that sends requests itself, such as PocketBase's. It knows the server and the credentials. */
export interface Sender {
  /** Resolves with the parsed body of a success. Rejects otherwise, with any error. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a sender may declare a type of its own for its options
  send(path: string, options: any): Promise<unknown>;
}

/**
 * Sends the same calls through a PocketBase-like client. That client decides on retries, time limits and errors.
 * @example const jobs = new PocketBaseJobs({ send: (path, options) => pocketBase.send(path, options) });
 */
export class PocketBaseJobs extends JobsApi {
  readonly #sender: Sender;
  readonly #path: string;

  /** `path` is the base path of the API. Default `api/jobs`. */
  constructor(sender: Sender, { path = 'api/jobs' }: { path?: string } = {}) {
    super();
    if (typeof sender?.send !== 'function') {
      throw new TypeError('PocketBaseJobs: expected an object with a function send(path, options)');
    }
    this.#sender = sender;
    this.#path = `/${trimSlashes(path)}`;
  }

  protected async request<T>({ method, path, query, body, idempotencyKey, signal }: ApiRequest): Promise<T> {
    signal?.throwIfAborted();
    const options: SendOptions = { method };
    if (body) options.body = body;
    if (query && Object.keys(query).length > 0) options.query = query;
    if (idempotencyKey !== undefined) options.headers = { 'Idempotency-Key': idempotencyKey };
    if (signal) options.signal = signal;
    return (await this.#sender.send(this.#path + path, options)) as T;
  }
}
