import fc from 'fast-check';
import type { Histogram, RunTimeSample } from '../../lib/core/run-times.js';
import { addHistogram, addTime, estimatePercentile, mergeRunTimes } from '../../lib/core/run-times.js';

describe('mergeRunTimes', () => {
  const whole = (...timesMs: number[]): RunTimeSample => ({ timesMs, completed: timesMs.length });

  it.each<[string, RunTimeSample[]]>([
    ['no samples', []],
    ['empty samples', [whole(), { timesMs: [], completed: 7 }]],
  ])('returns 0 for %s', (_, samples) => {
    expect(mergeRunTimes(samples)).toEqual({ avgExecutionTime: 0, p50: 0, p95: 0, p99: 0 });
  });

  it('returns exact percentiles when every job has a time', () => {
    const samples = fc.array(fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1 }), { minLength: 1 });
    fc.assert(
      fc.property(samples, (times) => {
        const sorted = times.flat().sort((a, b) => a - b);
        const at = (share: number): number => sorted[Math.ceil(share * sorted.length - 1e-9) - 1]!;
        const { avgExecutionTime, ...percentiles } = mergeRunTimes(times.map((each) => whole(...each)));
        expect(percentiles).toEqual({ p50: at(0.5), p95: at(0.95), p99: at(0.99) });
        expect(avgExecutionTime).toBeCloseTo(sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length, 3);
      }),
    );
  });

  it('weighs a topic by its completed jobs, not by its sampled times', () => {
    const samples = [
      { timesMs: [10, 10], completed: 98 },
      { timesMs: [1_000], completed: 2 },
    ];
    expect(mergeRunTimes(samples)).toEqual({ avgExecutionTime: 29.8, p50: 10, p95: 10, p99: 1_000 });
  });

  it('counts each time as at least one job when jobs were deleted', () => {
    expect(mergeRunTimes([{ timesMs: [10, 30], completed: 0 }])).toMatchObject({
      avgExecutionTime: 20,
      p50: 10,
      p99: 30,
    });
  });
});

describe('a histogram of times', () => {
  const of = (...timesMs: number[]): Histogram => {
    const histogram = {};
    timesMs.forEach((timeMs) => addTime(histogram, timeMs));
    return histogram;
  };

  it('has no percentiles when it is empty', () => {
    expect(estimatePercentile({}, 0.5)).toBe(0);
  });

  it('counts similar times together', () => {
    expect(Object.values(of(100, 101, 100))).toEqual([3]);
  });

  it.each([[0], [-5], [0.3], [1]])('records %p as 1 ms', (timeMs) => {
    expect(of(timeMs)).toEqual({ 0: 1 });
    expect(estimatePercentile(of(timeMs), 0.99)).toBeCloseTo(1, 0);
  });

  it('returns a percentile with an error of at most six percent', () => {
    const times = fc.array(fc.integer({ min: 1, max: 86_400_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(times, fc.constantFrom(0.5, 0.95, 0.99, 1), (timesMs, share) => {
        const sorted = timesMs.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
        expect(Math.abs(estimatePercentile(of(...timesMs), share) / exact - 1)).toBeLessThan(0.061);
      }),
    );
  });

  it('merged with another equals the histogram of all times', () => {
    const times = fc.array(fc.integer({ min: 0, max: 1e9 }));
    fc.assert(
      fc.property(times, times, (some, others) => {
        const sum = of(...some);
        addHistogram(sum, of(...others));
        expect(sum).toEqual(of(...some, ...others));
      }),
    );
  });

  it('is the same after JSON', () => {
    const histogram = of(1, 20, 300, 4_000);
    expect(JSON.parse(JSON.stringify(histogram))).toEqual(histogram);
  });
});
