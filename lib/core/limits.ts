/** In bytes. */
export const MEBIBYTE = 1_048_576;

/** What priorities a job may have; lower runs first. */
export const PRIORITY_MIN = -1_000;
export const PRIORITY_MAX = 1_000;
/** Retries after the first attempt, at most. */
export const RETRIES_MAX = 1_000;

/** So many failed jobs, the newest of each topic, are searched for their error and grouped by it. */
export const SEARCHED_FAILURES_MAX = 10_000;
/** Up to so many jobs a table is small: what is asked of all of it costs little. */
export const SMALL_TABLE_JOBS = 20_000;

/** So many jobs one statement carries at most. */
export const SET_JOBS_MAX = 1_000;
/** And so much text, in characters, of what is in its set; one that is longer travels alone. */
export const SET_LENGTH_MAX = 4 * MEBIBYTE;

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
