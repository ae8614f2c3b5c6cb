/**
 * Counts of times in buckets that grow by an eighth: a percentile is off by 6 % at most, and histograms of many
 * processes and minutes add up. The keys are bucket numbers, the values counts; it travels as JSON.
 */
export type Histogram = Record<string, number>;

const GROWTH = Math.log(1.125);

/** Takes note of one time in milliseconds. */
export function note(histogram: Histogram, timeMs: number): void {
  const bucket = Math.max(0, Math.ceil(Math.log(Math.max(timeMs, 1)) / GROWTH));
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
}

/** Adds the counts of `other`. */
export function addTo(histogram: Histogram, other: Histogram): void {
  for (const [bucket, count] of Object.entries(other)) {
    histogram[bucket] = (histogram[bucket] ?? 0) + count;
  }
}

/** The time in milliseconds that `share` of the counted ones did not exceed; 0 of none. */
export function percentileOf(histogram: Histogram, share: number): number {
  const buckets = Object.entries(histogram).map(([bucket, count]) => [Number(bucket), count] as const);
  buckets.sort(([left], [right]) => left - right);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let below = 0;
  const bucket = buckets.find(([, count]) => (below += count) >= share * total);
  return bucket ? Math.exp((bucket[0] - 0.5) * GROWTH) : 0;
}
