import { createHash } from 'node:crypto';

/**
 * Names an error by its whole text, the same on every database: 32 hexadecimal digits of its SHA-256. A text of up to 8 KiB
 * would not fit into an address, and what `redact` makes of it finds nothing.
 */
export function errorKeyOf(message: string): string {
  return createHash('sha256').update(message).digest('hex').slice(0, 32);
}
