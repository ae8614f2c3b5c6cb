import type { Readable } from 'node:stream';
import { ApiError } from './api-error.js';
import type { HttpExchange } from './http-exchange.js';

/** Node gives a request five minutes, Fastify any time at all. Meanwhile what has come of it is held in memory. */
const READING_MS_MAX = 60_000;

/**
 * The JSON value in the body of a request, `undefined` when there is no body.
 *
 * @throws ApiError 415 for a body of another type, 413 for one that is too large, 408 for one that does not end within a
 * minute, 400 for one that is no JSON.
 */
export async function readJsonBody(exchange: HttpExchange, bytesMax: number): Promise<unknown> {
  const { headers } = exchange;
  if (Number(headers['content-length'] ?? 0) > bytesMax) {
    throw tooLarge(bytesMax);
  }
  const bytes = await readAll(exchange.body, bytesMax);
  if (bytes.length === 0) {
    // Some platform in front may have read it. Asked last: parsers of old say `{}` where they have read nothing.
    return exchange.parsedBody;
  }
  if (!isJson(headers['content-type']) || !isPlain(headers['content-encoding'])) {
    throw new ApiError(
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'expected a body of type application/json in UTF-8, not compressed',
    );
  }
  return parsed(bytes);
}

function readAll(body: Readable, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    if (body.readableEnded) {
      return resolve(Buffer.alloc(0));
    }
    if (body.destroyed) {
      // The caller has left while it was judged; nothing would tell so any more.
      return reject(cutOff());
    }
    const refuse = (error: ApiError): void => {
      clearTimeout(timer);
      body.off('data', take);
      // What still comes is thrown away.
      body.resume();
      reject(error);
    };
    const timer = setTimeout(() => refuse(tooSlow()), READING_MS_MAX);
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= bytesMax) {
        chunks.push(chunk);
      } else {
        refuse(tooLarge(bytesMax));
      }
    };
    body.on('data', take);
    body.once('end', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    });
    body.once('error', (cause) => refuse(cutOff(cause)));
    body.once('close', () => refuse(cutOff()));
  });
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ApiError(400, 'INVALID_JSON', 'the body is no valid JSON in UTF-8', { cause });
  }
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError(413, 'BODY_TOO_LARGE', `the body must be at most ${bytesMax} bytes`);
}

function tooSlow(): ApiError {
  const seconds = READING_MS_MAX / 1_000;
  return new ApiError(408, 'REQUEST_TIMEOUT', `the body must be complete within ${seconds} s`, {
    // Whoever sends on would be taken for the next request.
    headers: { Connection: 'close' },
  });
}

/** Nobody is left to read this answer. */
function cutOff(cause?: unknown): ApiError {
  return new ApiError(400, 'INCOMPLETE_BODY', 'the body has ended before it was complete', { cause });
}

function isJson(type: string | undefined): boolean {
  const [, charset = 'utf-8'] = /;\s*charset="?([^\s;"]+)/i.exec(type ?? '') ?? [];
  return /^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type ?? '') && /^(utf-?8|us-ascii)$/i.test(charset);
}

function isPlain(encoding: string | undefined): boolean {
  return encoding === undefined || encoding.toLowerCase() === 'identity';
}
