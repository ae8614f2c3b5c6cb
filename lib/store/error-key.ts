import { createHash } from 'node:crypto';

/**
 * Names an error of a topic by its whole text, the same on every database: 32 hexadecimal digits of a SHA-256. A text of up to
 * 8 KiB would not fit into an address, and what `redact` makes of it finds nothing. Who re-queues the mails that had a `timeout`
 * does not mean the payments that had one.
 */
export function errorKeyOf(topic: string, message: string): string {
  const text = `${Buffer.byteLength(topic)}:${topic}${message}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
