import type { ApiRequest } from './jobs-api.js';
import { JobsApi } from './jobs-api.js';
import { trimSlashes } from './request-url.js';

/** What a {@link Sender} is given beside the path. Members that have no value are left out. */
export interface SendOptions {
  method: 'GET' | 'POST' | 'DELETE';
  /** An object, not yet JSON text. */
  body?: Record<string, unknown>;
  /** A list stands for a repeated name. */
  query?: Record<string, unknown>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A client that can send requests of its own, such as PocketBase's: it knows the server and the credentials. */
export interface Sender {
  /** Resolves with the parsed body of a success; rejects, with what it likes, for all else. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a sender may know its options by a type of its own
  send(path: string, options: any): Promise<unknown>;
}

/**
 * The same calls through a client that the page has already. Repeating, time-outs and errors are that client's.
 * @example const jobs = new JobsService({ send: (path, options) => pocketBase.send(path, options) });
 */
export class JobsService extends JobsApi {
  readonly #sender: Sender;
  readonly #path: string;

  /** `path` is the base path of the API. */
  constructor(sender: Sender, { path = 'api/jobs' }: { path?: string } = {}) {
    super();
    if (typeof sender?.send !== 'function') {
      throw new TypeError('JobsService: expected an object with a function send(path, options)');
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
