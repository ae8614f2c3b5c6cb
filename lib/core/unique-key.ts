import { text } from './option-checks.js';

/** A unique key: 1 to 255 characters that the database can store. */
export const uniqueKeyCheck = text(255);

/** A concurrency key: 1 to 255 characters that the database can store. */
export const concurrencyKeyCheck = text(255);

/**
 * Compares jobs by topic and unique key. Every process and PostgreSQL's own statements use this order, so that two
 * batches cannot deadlock. Jobs with equal keys keep their order.
 */
export function compareUniqueKeys(a: KeyedJob, b: KeyedJob): number {
  return compareBytes(a.topic, b.topic) || compareBytes(a.uniqueKey ?? '', b.uniqueKey ?? '');
}

interface KeyedJob {
  readonly topic: string;
  readonly uniqueKey: string | null;
}

/** Compares by UTF-8 bytes. UTF-16 sorts surrogate pairs before U+E000 to U+FFFF. */
function compareBytes(a: string, b: string): number {
  if (/[\ud800-\udfff]/.test(a + b)) {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}
