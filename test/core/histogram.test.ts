import fc from 'fast-check';
import type { Histogram } from '../../lib/core/histogram.js';
import { addTo, note, percentileOf } from '../../lib/core/histogram.js';

describe('a histogram of times', () => {
  const of = (...timesMs: number[]): Histogram => {
    const histogram = {};
    timesMs.forEach((timeMs) => note(histogram, timeMs));
    return histogram;
  };

  it('has no percentiles when nothing was noted', () => {
    expect(percentileOf({}, 0.5)).toBe(0);
  });

  it('counts times alike together', () => {
    expect(Object.values(of(100, 101, 100))).toEqual([3]);
  });

  it.each([[0], [-5], [0.3], [1]])('takes %p for a millisecond', (timeMs) => {
    expect(of(timeMs)).toEqual({ 0: 1 });
    expect(percentileOf(of(timeMs), 0.99)).toBeCloseTo(1, 0);
  });

  it('gives a percentile that is off by six percent at most', () => {
    const times = fc.array(fc.integer({ min: 1, max: 86_400_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(times, fc.constantFrom(0.5, 0.95, 0.99, 1), (timesMs, share) => {
        const sorted = timesMs.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
        expect(Math.abs(percentileOf(of(...timesMs), share) / exact - 1)).toBeLessThan(0.061);
      }),
    );
  });

  it('adds up: two of them together are that of all their times', () => {
    const times = fc.array(fc.integer({ min: 0, max: 1e9 }));
    fc.assert(
      fc.property(times, times, (some, others) => {
        const sum = of(...some);
        addTo(sum, of(...others));
        expect(sum).toEqual(of(...some, ...others));
      }),
    );
  });

  it('survives its travel as JSON', () => {
    const histogram = of(1, 20, 300, 4_000);
    expect(JSON.parse(JSON.stringify(histogram))).toEqual(histogram);
  });
});
