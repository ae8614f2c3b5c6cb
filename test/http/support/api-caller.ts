import { OpenStream } from './open-stream.js';

/** A response, with its body parsed. */
export interface ApiResponse<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `undefined` if the response has no body or no JSON. */
  readonly body: T;
}

/** The parts of a request besides its method and path. */
export interface RequestParts {
  /** A value, sent as JSON. */
  readonly body?: unknown;
  /** A body, sent unchanged. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends requests to the API of one application, with or without a bearer token. */
export class ApiCaller {
  constructor(
    readonly base: string,
    readonly token?: string,
  ) {}

  /** Returns a caller with another token, or without one. */
  as(token?: string): ApiCaller {
    return new ApiCaller(this.base, token);
  }

  get<T>(path = '', parts?: RequestParts): Promise<ApiResponse<T>> {
    return this.send<T>('GET', path, parts);
  }

  post<T>(path: string, body?: unknown, parts?: RequestParts): Promise<ApiResponse<T>> {
    return this.send<T>('POST', path, { body, ...parts });
  }

  delete<T>(path: string, parts?: RequestParts): Promise<ApiResponse<T>> {
    return this.send<T>('DELETE', path, parts);
  }

  /** Opens a stream of events. An unsuccessful response is returned as a stream, too. */
  open(path: string, headers: Readonly<Record<string, string>> = {}): Promise<OpenStream> {
    const credentials = this.token !== undefined && { Authorization: `Bearer ${this.token}` };
    return OpenStream.of(this.base + path, { ...credentials, ...headers });
  }

  /** @param path what follows the base path */
  async send<T>(method: string, path: string, { body, text, headers }: RequestParts = {}): Promise<ApiResponse<T>> {
    const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(this.base + path, {
      method,
      body: content,
      headers: {
        ...(content !== undefined && { 'Content-Type': 'application/json' }),
        ...(this.token !== undefined && { Authorization: `Bearer ${this.token}` }),
        ...headers,
      },
    });
    const received = await response.text();
    return { status: response.status, headers: response.headers, text: received, body: parseJson(received) as T };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
