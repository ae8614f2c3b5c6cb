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
export function runTimesOf(samples: readonly RunTimeSample[]): RunTimes {
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
