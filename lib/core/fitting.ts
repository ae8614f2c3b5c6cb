import { SET_LENGTH_MAX } from './limits.js';

/**
 * How many of these, from `from` on, one statement carries: as many as `countMax` and its length allow, and one at least,
 * however long that is.
 */
export function prefixWithinBytes<T>(
  items: readonly T[],
  from: number,
  countMax: number,
  lengthOf: (item: T) => number,
): number {
  const most = Math.min(items.length - from, countMax);
  let count = 0;
  for (let length = 0; count < most; count += 1) {
    length += lengthOf(items[from + count]!);
    if (length > SET_LENGTH_MAX && count > 0) {
      return count;
    }
  }
  return count;
}
