import fc from 'fast-check';
import type { Lane } from '../../../lib/store/jobs/job-records.js';
import { claim, newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const HOUR_MS = 3_600_000;

const topic = fc.constantFrom('mail', 'sms');
const priority = fc.constantFrom(-5, 0, 7);
const jobs = fc.array(fc.record({ topic, priority, delayMs: fc.constantFrom(0, 0, 0, HOUR_MS) }), { maxLength: 30 });
const lanes = fc.uniqueArray(
  fc.record({ topic, priority, limit: fc.integer({ min: 1, max: 8 }), lowerBound: fc.constant(null) }),
  { selector: (lane) => `${lane.topic} ${lane.priority}`, maxLength: 6 },
);

const isIn = (lane: Lane, job: { topic: string; priority: number }): boolean =>
  job.topic === lane.topic && job.priority === lane.priority;

describe.each(storeKinds())('a claim of arbitrary lanes on $label', (kind) => {
  const fixture = useStore(kind);

  it('returns the due jobs of the given lanes in their order, up to the limit of each lane and of the claim', async () => {
    const property = fc.asyncProperty(jobs, lanes, fc.integer({ min: 1, max: 20 }), async (waiting, asked, limit) => {
      await fixture.sql('DELETE FROM _jobs');
      await fixture.store.insert(waiting.map((job) => newJob(job)));
      const claims = await claim(fixture.store, { lanes: asked, limit });

      let left = limit;
      for (const lane of asked) {
        const due = waiting.filter((job) => isIn(lane, job) && job.delayMs === 0).length;
        const expected = Math.min(due, lane.limit, left);
        expect(claims.filter((job) => isIn(lane, job))).toHaveLength(expected);
        left -= expected;
      }
      expect(new Set(claims.map(({ id }) => id)).size).toBe(limit - left);
      expect(claims).toHaveLength(limit - left);
    });
    await fc.assert(property, { numRuns: 60 });
  });
});
