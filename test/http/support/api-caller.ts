import { OpenStream } from './open-stream.js';

/** An answer as it came, with its body parsed when it is JSON. */
export interface Answered<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `undefined` when there is none, or it is no JSON. */
  readonly body: T;
}

/** What a request says beside method and path. */
export interface Asked {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends requests to the API of one application, with a token or without. */
export class ApiCaller {
  constructor(
    readonly base: string,
    readonly token?: string,
  ) {}

  /** The same with another token, or with none. */
  as(token?: string): ApiCaller {
    return new ApiCaller(this.base, token);
  }

  get<T>(path = '', asked?: Asked): Promise<Answered<T>> {
    return this.ask<T>('GET', path, asked);
  }

  post<T>(path: string, body?: unknown, asked?: Asked): Promise<Answered<T>> {
    return this.ask<T>('POST', path, { body, ...asked });
  }

  delete<T>(path: string, asked?: Asked): Promise<Answered<T>> {
    return this.ask<T>('DELETE', path, asked);
  }

  /** A stream of events; a refusal is an answer like others. */
  open(path: string, headers: Readonly<Record<string, string>> = {}): Promise<OpenStream> {
    const credentials = this.token !== undefined && { Authorization: `Bearer ${this.token}` };
    return OpenStream.of(this.base + path, { ...credentials, ...headers });
  }

  /** `path` follows the base path. */
  async ask<T>(method: string, path: string, { body, text, headers }: Asked = {}): Promise<Answered<T>> {
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
    const answered = await response.text();
    return { status: response.status, headers: response.headers, text: answered, body: parsed(answered) as T };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
