/** Run times of the newest completed jobs of one topic, and the number of completed jobs that they represent. */
export interface RunTimeSample {
  readonly timesMs: readonly number[];
  readonly completed: number;
}

/** Mean and percentiles in milliseconds; all 0 when there are no times. */
interface RunTimes {
  readonly avgExecutionTime: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Merges the samples of several topics. Each time weighs as many jobs as it represents. */
export function mergeRunTimes(samples: readonly RunTimeSample[]): RunTimes {
  const weighted = samples.flatMap(({ timesMs, completed }) =>
    timesMs.map((ms) => ({ ms, weight: Math.max(1, completed / timesMs.length) })),
  );
  weighted.sort((left, right) => left.ms - right.ms);
  const weight = weighted.reduce((sum, each) => sum + each.weight, 0);
  const sumMs = weighted.reduce((sum, each) => sum + each.ms * each.weight, 0);
  const percentile = (share: number): number => {
    let below = 0;
    // Rounding can leave a remainder: the last time covers it.
    return weighted.find((each) => (below += each.weight) >= share * weight - 1e-9)?.ms ?? weighted.at(-1)?.ms ?? 0;
  };
  return {
    avgExecutionTime: weight === 0 ? 0 : sumMs / weight,
    p50: percentile(0.5),
    p95: percentile(0.95),
    p99: percentile(0.99),
  };
}

/**
 * Counts run times in buckets, each an eighth wider than the one before: a percentile is off by at most 6 %. Histograms
 * of several processes and minutes can be added. Keys are bucket numbers, values are counts; stored as JSON.
 */
export type Histogram = Record<string, number>;

const GROWTH = Math.log(1.125);

/** Adds one time in milliseconds. */
export function addTime(histogram: Histogram, timeMs: number): void {
  const bucket = Math.max(0, Math.ceil(Math.log(Math.max(timeMs, 1)) / GROWTH));
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
}

/** Adds the counts of `other` to `histogram`. */
export function addHistogram(histogram: Histogram, other: Histogram): void {
  for (const [bucket, count] of Object.entries(other)) {
    histogram[bucket] = (histogram[bucket] ?? 0) + count;
  }
}

/** Returns the time in milliseconds that `share` of the counted times do not exceed; 0 for an empty histogram. */
export function estimatePercentile(histogram: Histogram, share: number): number {
  const buckets = Object.entries(histogram).map(([bucket, count]) => [Number(bucket), count] as const);
  buckets.sort(([left], [right]) => left - right);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let below = 0;
  const bucket = buckets.find(([, count]) => (below += count) >= share * total);
  return bucket ? Math.exp((bucket[0] - 0.5) * GROWTH) : 0;
}
