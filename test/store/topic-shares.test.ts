import fc from 'fast-check';
import type { TopicSize } from '../../lib/store/job-list.js';
import type { TopicShare } from '../../lib/store/store-records.js';
import { shareJobs, measureShares } from '../../lib/store/job-list.js';

describe('lanes of a report', () => {
  const sizesOf = (...jobs: number[]): TopicSize[] => jobs.map((each, index) => ({ topic: `t${index}`, jobs: each }));
  const limits = (lanes: readonly TopicShare[]): number[] => lanes.map(({ limit }) => limit);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  const anySizes = fc.array(fc.nat(200), { minLength: 1, maxLength: 12 });

  it.each<[string, number[], number, number[]]>([
    ['nothing among none', [], 10, []],
    ['all that there is when it is not too much', [3, 0, 7], 10, [3, 0, 7]],
    ['equal parts of what is too much', [50, 50], 10, [5, 5]],
    ['what small ones leave to the others', [2, 100, 100], 12, [2, 5, 5]],
    ['one more to some where it does not divide', [9, 9, 9], 10, [4, 3, 3]],
    ['equal parts when nothing is known', [Infinity, Infinity], 10, [5, 5]],
  ])('share %s', (_, jobs, max, expected) => {
    expect(limits(shareJobs(sizesOf(...jobs), max))).toEqual(expected);
  });

  it('give no lane more than it has, and as much in all as there is and may be', () => {
    fc.assert(
      fc.property(anySizes, fc.nat(500), (jobs, max) => {
        const given = limits(shareJobs(sizesOf(...jobs), max));
        expect(sum(given)).toBe(Math.min(sum(jobs), max));
        given.forEach((limit, index) => expect(limit).toBeLessThanOrEqual(jobs[index]!));
      }),
    );
  });

  it('are the same when their sizes are measured, and never more is measured at once than may be given', async () => {
    await fc.assert(
      fc.asyncProperty(anySizes, fc.integer({ min: 1, max: 500 }), async (jobs, max) => {
        const sizes = sizesOf(...jobs);
        const lanes = await measureShares(
          sizes.map(({ topic }) => topic),
          max,
          async (asked) => {
            expect(sum(limits(asked))).toBeLessThanOrEqual(max);
            return asked.flatMap(({ topic, limit }) => {
              const counted = Math.min(limit, sizes.find((size) => size.topic === topic)!.jobs);
              // As a database does that groups: no row of a lane without jobs.
              return counted === 0 ? [] : [{ topic, jobs: counted }];
            });
          },
        );
        expect(sum(limits(lanes))).toBe(Math.min(sum(jobs), max));
        lanes.forEach(({ limit }, index) => expect(limit).toBeLessThanOrEqual(jobs[index]!));
      }),
    );
  });
});
