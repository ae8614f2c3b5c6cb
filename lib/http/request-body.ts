import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { MEBIBYTE } from '../core/bounds.js';
import { ApiError } from './api-error.js';
import { bodyTooLarge, bodyTooSlow, INCOMPLETE_BODY, INVALID_JSON, UNSUPPORTED_MEDIA_TYPE } from './http.messages.js';

/** How long to wait for a body. Node waits five minutes, and Fastify has no limit; the received part stays in memory. */
const READING_MS_MAX = 60_000;

/** How much of an unread body is read and dropped before the response is sent. */
const DISCARDED_BYTES_MAX = 64 * MEBIBYTE;
/** How long an unread body is read and dropped before the response is sent. */
const DISCARDING_MS_MAX = 5_000;

/** A body, and the headers that describe it. */
interface UnreadBody {
  readonly headers: IncomingHttpHeaders;
  readonly stream: Readable;
  /** The value that a platform in front of the application has parsed. */
  readonly parsed: unknown;
}

/**
 * Reads the JSON value in a request's body; `undefined` when there is no body.
 *
 * @throws ApiError 415 for another type, 413 for a larger body, 408 for one that is incomplete after a minute, 400 for
 * invalid JSON.
 */
export async function readJsonBody({ headers, stream, parsed }: UnreadBody, bytesMax: number): Promise<unknown> {
  if (Number(headers['content-length'] ?? 0) > bytesMax) {
    throw tooLarge(bytesMax);
  }
  const bytes = await readAll(stream, bytesMax);
  if (bytes.length === 0) {
    // Only if no bytes came: body-parser 1 sets `{}` even on requests whose body it skips.
    return parsed;
  }
  if (!isJson(headers['content-type']) || !isUncompressed(headers['content-encoding'])) {
    throw new ApiError(415, 'UNSUPPORTED_MEDIA_TYPE', UNSUPPORTED_MEDIA_TYPE);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ApiError(400, 'INVALID_JSON', INVALID_JSON, { cause });
  }
}

/**
 * Reads and drops the rest of a body, up to a size and a time. Some proxies send the whole body before they read the response. If
 * the server responds earlier and closes, such a proxy finds the connection reset and loses the response.
 */
export async function discardUnreadBody(headers: IncomingHttpHeaders, stream: Readable): Promise<void> {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody || stream.readableEnded || stream.destroyed) {
    return;
  }
  await new Promise<void>((resolve) => {
    let bytes = 0;
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(stop, DISCARDING_MS_MAX);
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > DISCARDED_BYTES_MAX) {
        stop();
      }
    });
    stream.once('end', stop).once('close', stop).once('error', stop);
  });
}

function readAll(stream: Readable, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    if (stream.readableEnded) {
      return resolve(Buffer.alloc(0));
    }
    if (stream.destroyed) {
      // The caller has disconnected: no event follows.
      return reject(incompleteBody());
    }
    const fail = (error: ApiError): void => {
      clearTimeout(timer);
      stream.off('data', onChunk);
      // Drops the chunks that still arrive.
      stream.resume();
      reject(error);
    };
    const timer = setTimeout(() => fail(tooSlow()), READING_MS_MAX);
    const onChunk = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= bytesMax) {
        chunks.push(chunk);
      } else {
        fail(tooLarge(bytesMax));
      }
    };
    stream.on('data', onChunk);
    stream.once('end', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    });
    stream.once('error', (cause) => fail(incompleteBody(cause)));
    stream.once('close', () => fail(incompleteBody()));
  });
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError(413, 'BODY_TOO_LARGE', bodyTooLarge(bytesMax));
}

function tooSlow(): ApiError {
  return new ApiError(408, 'REQUEST_TIMEOUT', bodyTooSlow(READING_MS_MAX / 1_000), {
    // Close the connection: the rest of this body must not be parsed as a new request.
    headers: { Connection: 'close' },
  });
}

/** The caller has disconnected and does not see this. */
function incompleteBody(cause?: unknown): ApiError {
  return new ApiError(400, 'INCOMPLETE_BODY', INCOMPLETE_BODY, { cause });
}

function isJson(type: string | undefined): boolean {
  const [, charset = 'utf-8'] = /;\s*charset="?([^\s;"]+)/i.exec(type ?? '') ?? [];
  return /^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type ?? '') && /^(utf-?8|us-ascii)$/i.test(charset);
}

function isUncompressed(encoding: string | undefined): boolean {
  return encoding === undefined || encoding.toLowerCase() === 'identity';
}
