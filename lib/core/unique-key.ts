import { text } from './option-checks.js';

/** A unique key: 1 to 255 characters that the database can hold. */
export const uniqueKeyCheck = text(255);

/**
 * Orders keyed jobs the same way in every process, and as the statements of PostgreSQL do, so that two batches never wait for each
 * other in a circle. Of those with the same key the first stays first.
 */
export function compareUniqueKeys(a: KeyedJob, b: KeyedJob): number {
  return compare(a.topic, b.topic) || compare(a.uniqueKey ?? '', b.uniqueKey ?? '');
}

interface KeyedJob {
  readonly topic: string;
  readonly uniqueKey: string | null;
}

/** By the bytes of UTF-8. UTF-16 has what it writes as surrogates before the last characters that it does not. */
function compare(a: string, b: string): number {
  if (/[\ud800-\udfff]/.test(a + b)) {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}
