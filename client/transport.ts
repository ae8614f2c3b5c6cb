import type { CallOptions } from './call-options.js';
import { JobsApiError } from './jobs-api-error.js';
import { withDeadline } from './retry.js';
import type { ApiErrorBody } from './wire.js';

/** Parses JSON text. Throws if the text is not JSON. */
export type Parse = (text: string) => unknown;

type TokenText = string | null | undefined;

/** A bearer token, or a function that returns one. The client calls the function before each request. */
export type Token = TokenText | (() => TokenText | Promise<TokenText>);

export interface TransportOptions {
  token: Token;
  fetch: typeof fetch;
  /** Time limit of one request, in ms; 0 means none. */
  timeoutMs: number;
  parse: Parse | undefined;
}

/** One request. It can be sent any number of times. */
export interface HttpRequest extends CallOptions {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** Sends a request once and reads its response. */
export class HttpTransport {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Returns the parsed body. @throws JobsApiError, or the reason of the signal */
  async json(request: HttpRequest): Promise<unknown> {
    return this.#withTimeout(request, async (signal) => {
      const response = await this.#send(request, 'application/json', signal);
      return readBody(response, toLabel(request), this.#options.parse);
    });
  }

  /** Returns the body as a stream. The time limit ends when it begins. @throws JobsApiError, or the reason of the signal */
  async stream(request: HttpRequest, expected: string): Promise<ReadableStream<Uint8Array>> {
    return this.#withTimeout(request, async (signal) => {
      const response = await this.#send(request, expected, signal);
      const type = response.headers.get('Content-Type') ?? 'no type';
      if (!response.ok) {
        await readBody(response, toLabel(request));
      }
      if (!type.startsWith(expected) || !response.body) {
        await response.body?.cancel();
        throw invalidResponse(response.status, `${expected}, got ${type}`, toLabel(request));
      }
      return response.body;
    });
  }

  async #withTimeout<T>(request: HttpRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options;
    const error = () => timeoutError(toLabel(request), timeoutMs);
    return withDeadline({ ms: timeoutMs, error, signal: request.signal }, work);
  }

  async #send(request: HttpRequest, accept: string, signal: AbortSignal): Promise<Response> {
    const { method, url, body } = request;
    const headers = { ...request.headers, Accept: accept, ...(await this.#authorization()) };
    const { fetch } = this.#options;
    try {
      return await fetch(url, { method, headers, body, signal });
    } catch (error) {
      throw networkError(toLabel(request), error);
    }
  }

  async #authorization(): Promise<Record<string, string>> {
    const { token: given } = this.#options;
    const token = typeof given === 'function' ? await given() : given;
    if (!token) {
      return {};
    }
    // Checked here, because the error of `fetch` would quote the token.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new TypeError('token: expected printable ASCII without spaces, got something else');
    }
    return { Authorization: `Bearer ${token}` };
  }
}

/** Names a request in errors. Leaves out the query, which can contain what the user searched for. */
export function toLabel({ method, url }: HttpRequest): string {
  return `${method} ${url.split('?', 1)[0]}`;
}

/** The connection failed, or ended before the whole response arrived. */
export function networkError(label: string, cause: unknown): JobsApiError {
  return new JobsApiError({
    status: 0,
    code: 'NETWORK',
    message: `${label}: no response: ${findReason(cause)}`,
    cause,
  });
}

/** The response did not arrive in time. */
export function timeoutError(label: string, ms: number): JobsApiError {
  return new JobsApiError({ status: 0, code: 'TIMEOUT', message: `${label}: no response within ${ms} ms` });
}

/** The response is a success, but not one of this API. */
export function invalidResponse(status: number, expected: string, label: string): JobsApiError {
  return new JobsApiError({ status, code: 'INVALID_RESPONSE', message: `${label}: expected ${expected}` });
}

/** Characters of a foreign response that an error quotes. */
const QUOTE_LENGTH = 120;

/** Returns the parsed body; `undefined` for status 204. @throws JobsApiError if the response is not a success */
async function readBody(response: Response, label: string, parse?: Parse): Promise<unknown> {
  const text = await response.text().catch((error: unknown) => {
    throw networkError(label, error);
  });
  if (!response.ok) {
    throw toApiError(response, text, label);
  }
  if (response.status === 204) {
    return undefined;
  }
  const body = parseObject(text, parse);
  if (body === undefined) {
    throw invalidResponse(response.status, `JSON, got ${quote(response, text)}`, label);
  }
  return body;
}

function toApiError(response: Response, text: string, label: string): JobsApiError {
  const { status, statusText } = response;
  const retryAfterMs = parseRetryAfter(response.headers.get('Retry-After'));
  const body = parseObject(text) as Partial<ApiErrorBody> | undefined;
  if (typeof body?.code === 'string' && typeof body.message === 'string') {
    return new JobsApiError({ status, code: body.code, message: body.message, data: body.data, retryAfterMs });
  }
  // Not from this API: from a proxy, or from another application at this path.
  const message = `${label}: ${`${status} ${statusText}`.trim()}: ${quote(response, text)}`;
  return new JobsApiError({ status, code: `HTTP_${status}`, message, retryAfterMs });
}

/** Returns an object or an array; `undefined` for any other text. */
function parseObject(text: string, parse: Parse = JSON.parse): object | undefined {
  try {
    const body = parse(text);
    return typeof body === 'object' && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}

function quote(response: Response, text: string): string {
  const type = response.headers.get('Content-Type') || 'a response without a type';
  const words = text.replace(/\s+/g, ' ').trim();
  return `${type} '${words.length > QUOTE_LENGTH ? `${words.slice(0, QUOTE_LENGTH)}…` : words}'`;
}

/** Parses seconds or a date. */
function parseRetryAfter(header: string | null): number | undefined {
  if (!header) {
    return undefined;
  }
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Returns the innermost message: Node throws `fetch failed` and puts the reason into `cause`, or into `errors`. */
function findReason(thrown: unknown): string {
  const { message, cause, errors } = thrown as { message?: string; cause?: unknown; errors?: unknown[] };
  const inner = cause ?? errors?.[0];
  return inner ? findReason(inner) : message || String(thrown);
}
