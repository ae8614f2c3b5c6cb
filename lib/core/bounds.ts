/** Bytes, or characters, of one MiB. */
export const MEBIBYTE = 1_048_576;

/** Bounds of a job's priority. Lower runs first. */
export const PRIORITY_MIN = -1_000;
export const PRIORITY_MAX = 1_000;
/** Upper bound of `maxRetries`. */
export const RETRIES_MAX = 1_000;

/** How many failed jobs, the newest of each topic, a search by error or a grouping by error reads at most. */
export const SEARCHED_FAILURES_MAX = 10_000;
/** A search reads payload and metadata of at most this many jobs, the newest. This takes about 40 ms. */
export const SEARCHED_JOBS_MAX = 10_000;
/** Tables of up to this many jobs are small: a query that reads all of them is cheap. */
export const SMALL_TABLE_JOBS = 20_000;

/** Upper bound of the jobs in one statement. */
export const SET_JOBS_MAX = 1_000;
/** Upper bound of the text in one statement, in characters. A single longer item gets a statement of its own. */
export const SET_LENGTH_MAX = 4 * MEBIBYTE;

/** Returns how many items, from index `from` on, fit into one statement: at least one, however long it is. */
export function countFitting<T>(
  items: readonly T[],
  from: number,
  countMax: number,
  measure: (item: T) => number,
): number {
  const most = Math.min(items.length - from, countMax);
  let count = 0;
  for (let length = 0; count < most; count += 1) {
    length += measure(items[from + count]!);
    if (length > SET_LENGTH_MAX && count > 0) {
      return count;
    }
  }
  return count;
}

/** Returns how many further rows have `wanted` bytes if they are as large as those that were read: 1 to `max`. */
export function countRows(rows: number, bytes: number, wanted: number, max: number): number {
  return Math.max(1, Math.min(max, Math.floor((wanted * rows) / Math.max(1, bytes))));
}
