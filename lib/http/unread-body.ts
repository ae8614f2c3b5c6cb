import { MEBIBYTE } from '../core/limits.js';
import type { HttpExchange } from './http-exchange.js';

const DISCARDED_BYTES_MAX = 64 * MEBIBYTE;
const DISCARDING_MS_MAX = 5_000;

/**
 * Reads what nobody has read of a request's body, and throws it away, within bounds. An answer that goes out before, on
 * a connection that is closed behind it, is lost on those who read when they have written, as proxies do: they find the
 * connection reset.
 */
export async function discardUnreadBody({ headers, body }: HttpExchange): Promise<void> {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody || body.readableEnded || body.destroyed) {
    return;
  }
  await new Promise<void>((resolve) => {
    let bytes = 0;
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, DISCARDING_MS_MAX);
    body.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > DISCARDED_BYTES_MAX) {
        end();
      }
    });
    body.once('end', end).once('close', end).once('error', end);
  });
}
