import fc from 'fast-check';
import type { RunTimeSample } from '../../lib/core/run-times.js';
import { runTimesOf } from '../../lib/core/run-times.js';

describe('run times of samples', () => {
  const whole = (...timesMs: number[]): RunTimeSample => ({ timesMs, completed: timesMs.length });

  it.each<[string, RunTimeSample[]]>([
    ['no samples', []],
    ['empty samples', [whole(), { timesMs: [], completed: 7 }]],
  ])('are 0 of %s', (_, samples) => {
    expect(runTimesOf(samples)).toEqual({ avgExecutionTime: 0, p50: 0, p95: 0, p99: 0 });
  });

  it('are exact when each job has its time', () => {
    const samples = fc.array(fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1 }), { minLength: 1 });
    fc.assert(
      fc.property(samples, (times) => {
        const sorted = times.flat().sort((a, b) => a - b);
        const at = (share: number): number => sorted[Math.ceil(share * sorted.length - 1e-9) - 1]!;
        const { avgExecutionTime, ...percentiles } = runTimesOf(times.map((each) => whole(...each)));
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
    expect(runTimesOf(samples)).toEqual({ avgExecutionTime: 29.8, p50: 10, p95: 10, p99: 1_000 });
  });

  it('let no time count for less than one job when jobs are removed meanwhile', () => {
    expect(runTimesOf([{ timesMs: [10, 30], completed: 0 }])).toMatchObject({ avgExecutionTime: 20, p50: 10, p99: 30 });
  });
});
