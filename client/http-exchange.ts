import type { Parse } from './answer.js';
import { noAnswer, notUnderstood, readAnswer, tooLate } from './answer.js';
import type { CallOptions } from './call-options.js';
import { within } from './deadline.js';

type TokenText = string | null | undefined;

/** A bearer token, or what gives one: asked anew for each request, so that a renewed token is used. */
export type Token = TokenText | (() => TokenText | Promise<TokenText>);

/** How requests reach the server. */
export interface ExchangeOptions {
  token: Token;
  fetch: typeof fetch;
  /** Limit of one exchange, in ms; 0 means none. */
  timeoutMs: number;
  parse: Parse | undefined;
}

/** One request, ready to be sent any number of times. */
export interface HttpRequest extends CallOptions {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** Sends a request once and reads its answer. */
export class HttpExchange {
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** The parsed body. @throws JobsApiError, or the reason of the signal */
  async json(request: HttpRequest): Promise<unknown> {
    return this.#inTime(request, async (signal) => {
      const response = await this.#send(request, 'application/json', signal);
      return readAnswer(response, labelOf(request), this.#options.parse);
    });
  }

  /** The body as it comes; the time limit holds until it begins. @throws JobsApiError, or the reason of the signal */
  async eventStream(request: HttpRequest): Promise<ReadableStream<Uint8Array>> {
    return this.#inTime(request, async (signal) => {
      const response = await this.#send(request, 'text/event-stream', signal);
      const type = response.headers.get('Content-Type') ?? 'no type';
      if (!response.ok) {
        await readAnswer(response, labelOf(request));
      }
      if (!type.startsWith('text/event-stream') || !response.body) {
        await response.body?.cancel();
        throw notUnderstood(response.status, `a stream of events, got ${type}`, labelOf(request));
      }
      return response.body;
    });
  }

  async #inTime<T>(request: HttpRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options;
    const error = () => tooLate(labelOf(request), timeoutMs);
    return within({ ms: timeoutMs, error, signal: request.signal }, work);
  }

  async #send(request: HttpRequest, accept: string, signal: AbortSignal): Promise<Response> {
    const { method, url, body } = request;
    const headers = { ...request.headers, Accept: accept, ...(await this.#authorization()) };
    const { fetch } = this.#options;
    try {
      return await fetch(url, { method, headers, body, signal });
    } catch (error) {
      throw noAnswer(labelOf(request), error);
    }
  }

  async #authorization(): Promise<Record<string, string>> {
    const { token: given } = this.#options;
    const token = typeof given === 'function' ? await given() : given;
    if (!token) {
      return {};
    }
    // Checked here, since the error of `fetch` would quote the token.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new TypeError('token: expected printable ASCII without spaces, got something else');
    }
    return { Authorization: `Bearer ${token}` };
  }
}

/** Names the request in errors. What was searched for stays out of logs. */
export function labelOf({ method, url }: HttpRequest): string {
  return `${method} ${url.split('?', 1)[0]}`;
}
