import { request } from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** A request that is sent unchanged: `fetch` would normalize its path and its headers. */
export interface RawRequest {
  readonly method?: string;
  /** The path and the query, as in the request line. */
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  /** A list is sent in chunks, without a length. */
  readonly body?: string | Buffer | readonly (string | Buffer)[];
}

export interface RawResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Sends a request on its own connection. Of an event stream, which does not end, it reads the headers only. */
export function sendRaw(url: string, { method = 'GET', path, headers = {}, body }: RawRequest): Promise<RawResponse> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    // For some methods Node sends a body without `Content-Length` or `Transfer-Encoding`.
    const framing = isList(body)
      ? { 'Transfer-Encoding': 'chunked' }
      : body && { 'Content-Length': Buffer.byteLength(body) };
    const all = { ...framing, ...headers };
    const sent = request({ hostname, port, method, path, headers: all, agent: false }, (response) => {
      const parts: Buffer[] = [];
      const end = (): void =>
        resolve({ status: response.statusCode!, headers: response.headers, text: Buffer.concat(parts).toString() });
      response.on('error', reject);
      if (response.headers['content-type']?.startsWith('text/event-stream')) {
        response.off('error', reject).destroy();
        return end();
      }
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('end', end);
    });
    sent.once('error', reject);
    if (isList(body)) {
      body.forEach((chunk) => sent.write(chunk));
    }
    sent.end(isList(body) ? undefined : body);
  });
}

function isList(body: RawRequest['body']): body is readonly (string | Buffer)[] {
  return Array.isArray(body);
}
