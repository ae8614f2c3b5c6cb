import { request } from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** A request that goes out as it is: `fetch` would tidy its path and its headers. */
export interface RawRequest {
  readonly method?: string;
  /** As it stands in the request line, query included. */
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  /** In several chunks, and without a length, when it is a list. */
  readonly body?: string | Buffer | readonly (string | Buffer)[];
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Sends it to the server at `url`, on a connection of its own. Of a stream, which has no end, only the head is read. */
export function sendRaw(url: string, { method = 'GET', path, headers = {}, body }: RawRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    // Of some methods Node sends a body without a word about it.
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
