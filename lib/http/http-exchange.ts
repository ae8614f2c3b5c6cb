import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';

/** A whole answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** One request below the path of a door, and the means to answer it: the same on every adapter. */
export interface HttpExchange {
  readonly method: string;
  /** What follows the path of the door, percent-encoded as it came: empty, or with a slash in front and none behind. */
  readonly path: string;
  /** The path of the door as this request has spelled it, global prefix included, without a slash behind. */
  readonly basePath: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The adapter's own request, as guards know it. */
  readonly request: object;
  /** The adapter's own response, as guards know it. */
  readonly response: object;
  /** The body, not read yet. */
  readonly body: Readable;
  /** What somebody else has made of the body before it came here; `undefined` when nobody did. */
  readonly parsedBody: unknown;
  /** Answers; the body is left out for HEAD. */
  send(answer: HttpAnswer): void;
  /**
   * Begins an answer that is written bit by bit, and hands out its socket's response. Its connection is not kept: a `fetch` that
   * is given up connects anew, and would keep that connection, and a server that closes, for as long as this one might be kept.
   */
  open(status: number, headers: Readonly<Record<string, string>>): ServerResponse;
  /** Leaves the request to the application, as if there were no door. */
  pass(): void;
}

/**
 * What answers everything below a path of its own. None of the application's global guards, pipes, filters and
 * interceptors comes between; its middleware and hooks do.
 */
export interface HttpDoor {
  /** Answers the request. Rejects only when no answer could be made; the application answers then. */
  answer(exchange: HttpExchange): Promise<void>;
  /** Whether it reads the bodies of requests itself; nobody else reads them then. */
  readonly readsBodies?: boolean;
}

/** An answer in JSON. */
export interface JsonAnswer<T> extends HttpAnswer {
  /** What the body says. */
  readonly value: T;
}

/** An answer that says `value`. */
export function jsonAnswer<T>(status: number, value: T, headers: Readonly<Record<string, string>> = {}): JsonAnswer<T> {
  return {
    status,
    headers: { ...API_HEADERS, 'Content-Type': 'application/json; charset=utf-8', ...headers },
    body: Buffer.from(JSON.stringify(value), 'utf8'),
    value,
  };
}

/** An answer without a body. */
export function emptyAnswer(): HttpAnswer {
  return { status: 204, headers: API_HEADERS, body: undefined };
}

/** On every answer of the API: nothing of it belongs into a cache, or into the hands of a browser that guesses. */
export const API_HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
};
