import fc from 'fast-check';
import type { TopicSize } from '../../lib/store/lists/job-search.js';
import type { TopicShare } from '../../lib/store/reports/report-records.js';
import { shareJobs, measureShares } from '../../lib/store/lists/job-search.js';

describe('the rows that a report reads of each topic', () => {
  const toSizes = (...jobs: number[]): TopicSize[] => jobs.map((each, index) => ({ topic: `t${index}`, jobs: each }));
  const toLimits = (lanes: readonly TopicShare[]): number[] => lanes.map(({ limit }) => limit);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  const anySizes = fc.array(fc.nat(200), { minLength: 1, maxLength: 12 });

  it.each<[string, number[], number, number[]]>([
    ['nothing without topics', [], 10, []],
    ['all rows up to the maximum', [3, 0, 7], 10, [3, 0, 7]],
    ['equal parts above the maximum', [50, 50], 10, [5, 5]],
    ['the rest of small topics among large ones', [2, 100, 100], 12, [2, 5, 5]],
    ['a remainder one by one', [9, 9, 9], 10, [4, 3, 3]],
    ['equal parts when sizes are unknown', [Infinity, Infinity], 10, [5, 5]],
  ])('are %s', (_, jobs, max, expected) => {
    expect(toLimits(shareJobs(toSizes(...jobs), max))).toEqual(expected);
  });

  it("never exceed a topic's rows and use the whole maximum", () => {
    fc.assert(
      fc.property(anySizes, fc.nat(500), (jobs, max) => {
        const given = toLimits(shareJobs(toSizes(...jobs), max));
        expect(sum(given)).toBe(Math.min(sum(jobs), max));
        given.forEach((limit, index) => expect(limit).toBeLessThanOrEqual(jobs[index]!));
      }),
    );
  });

  it('are the same with measured sizes, and one query never reads more than the maximum', async () => {
    await fc.assert(
      fc.asyncProperty(anySizes, fc.integer({ min: 1, max: 500 }), async (jobs, max) => {
        const sizes = toSizes(...jobs);
        const lanes = await measureShares(
          sizes.map(({ topic }) => topic),
          max,
          async (asked) => {
            expect(sum(toLimits(asked))).toBeLessThanOrEqual(max);
            return asked.flatMap(({ topic, limit }) => {
              const counted = Math.min(limit, sizes.find((size) => size.topic === topic)!.jobs);
              // A GROUP BY returns no row for a topic without jobs.
              return counted === 0 ? [] : [{ topic, jobs: counted }];
            });
          },
        );
        expect(sum(toLimits(lanes))).toBe(Math.min(sum(jobs), max));
        lanes.forEach(({ limit }, index) => expect(limit).toBeLessThanOrEqual(jobs[index]!));
      }),
    );
  });
});
