import fc from 'fast-check';
import type { Histogram, RunTimeSample } from '../../lib/core/run-times.js';
import { addHistogram, addTime, estimatePercentile, mergeRunTimes } from '../../lib/core/run-times.js';

describe('run times of samples', () => {
  const whole = (...timesMs: number[]): RunTimeSample => ({ timesMs, completed: timesMs.length });

  it.each<[string, RunTimeSample[]]>([
    ['no samples', []],
    ['empty samples', [whole(), { timesMs: [], completed: 7 }]],
  ])('are 0 of %s', (_, samples) => {
    expect(mergeRunTimes(samples)).toEqual({ avgExecutionTime: 0, p50: 0, p95: 0, p99: 0 });
  });

  it('are exact when each job has its time', () => {
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

  it('weigh a topic by its completed jobs, however many of them were timed', () => {
    const samples = [
      { timesMs: [10, 10], completed: 98 },
      { timesMs: [1_000], completed: 2 },
    ];
    expect(mergeRunTimes(samples)).toEqual({ avgExecutionTime: 29.8, p50: 10, p95: 10, p99: 1_000 });
  });

  it('let no time count for less than one job when jobs are removed meanwhile', () => {
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

  it('has no percentiles when nothing was noted', () => {
    expect(estimatePercentile({}, 0.5)).toBe(0);
  });

  it('counts times alike together', () => {
    expect(Object.values(of(100, 101, 100))).toEqual([3]);
  });

  it.each([[0], [-5], [0.3], [1]])('takes %p for a millisecond', (timeMs) => {
    expect(of(timeMs)).toEqual({ 0: 1 });
    expect(estimatePercentile(of(timeMs), 0.99)).toBeCloseTo(1, 0);
  });

  it('gives a percentile that is off by six percent at most', () => {
    const times = fc.array(fc.integer({ min: 1, max: 86_400_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(times, fc.constantFrom(0.5, 0.95, 0.99, 1), (timesMs, share) => {
        const sorted = timesMs.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
        expect(Math.abs(estimatePercentile(of(...timesMs), share) / exact - 1)).toBeLessThan(0.061);
      }),
    );
  });

  it('adds up: two of them together are that of all their times', () => {
    const times = fc.array(fc.integer({ min: 0, max: 1e9 }));
    fc.assert(
      fc.property(times, times, (some, others) => {
        const sum = of(...some);
        addHistogram(sum, of(...others));
        expect(sum).toEqual(of(...some, ...others));
      }),
    );
  });

  it('survives its travel as JSON', () => {
    const histogram = of(1, 20, 300, 4_000);
    expect(JSON.parse(JSON.stringify(histogram))).toEqual(histogram);
  });
});
