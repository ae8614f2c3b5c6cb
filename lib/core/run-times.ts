/** Times of the newest completed jobs of one topic, and how many completed jobs stand for them. */
export interface RunTimeSample {
  readonly timesMs: readonly number[];
  readonly completed: number;
}

/** Mean and percentiles in milliseconds; all 0 of no times. */
export interface RunTimes {
  readonly avgExecutionTime: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Joins samples: each time counts for as many jobs as it stands for. */
export function mergeRunTimes(samples: readonly RunTimeSample[]): RunTimes {
  const weighted = samples.flatMap(({ timesMs, completed }) =>
    timesMs.map((ms) => ({ ms, weight: Math.max(1, completed / timesMs.length) })),
  );
  weighted.sort((left, right) => left.ms - right.ms);
  const weight = weighted.reduce((sum, each) => sum + each.weight, 0);
  const sumMs = weighted.reduce((sum, each) => sum + each.ms * each.weight, 0);
  const percentile = (share: number): number => {
    let below = 0;
    // The last one stands for itself when rounding leaves a remainder.
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
 * Counts of times in buckets that grow by an eighth: a percentile is off by 6 % at most, and histograms of many
 * processes and minutes add up. The keys are bucket numbers, the values counts; it travels as JSON.
 */
export type Histogram = Record<string, number>;

const GROWTH = Math.log(1.125);

/** Takes note of one time in milliseconds. */
export function addTime(histogram: Histogram, timeMs: number): void {
  const bucket = Math.max(0, Math.ceil(Math.log(Math.max(timeMs, 1)) / GROWTH));
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
}

/** Adds the counts of `other`. */
export function addHistogram(histogram: Histogram, other: Histogram): void {
  for (const [bucket, count] of Object.entries(other)) {
    histogram[bucket] = (histogram[bucket] ?? 0) + count;
  }
}

/** The time in milliseconds that `share` of the counted ones did not exceed; 0 of none. */
export function estimatePercentile(histogram: Histogram, share: number): number {
  const buckets = Object.entries(histogram).map(([bucket, count]) => [Number(bucket), count] as const);
  buckets.sort(([left], [right]) => left - right);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let below = 0;
  const bucket = buckets.find(([, count]) => (below += count) >= share * total);
  return bucket ? Math.exp((bucket[0] - 0.5) * GROWTH) : 0;
}
