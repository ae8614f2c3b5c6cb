import fc from 'fast-check';
import type { JobFilter } from '../../../lib/core/job.js';
import { JobsEngine } from '../../../lib/engine/jobs-engine.js';
import type { ListFilter } from '../../../lib/core/list-filter.js';
import { anyJobs, anyQuery, expectedPage, insertListed } from '../../support/listed-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const TABLES = 3;
const WALKS_EACH = 10;

/** Converts a query to the filter of a caller, without empty conditions. */
function toFilter(query: ListFilter): JobFilter {
  const { topics, statuses, due, q, searchPayloads, errorKey, createdFrom, createdTo, limit } = query;
  const { order, finishedFrom, finishedTo } = query;
  return {
    searchPayloads,
    ...(order === 'finished' && { order }),
    ...(finishedFrom && { finishedFrom }),
    ...(finishedTo && { finishedTo }),
    ...(topics?.length && { topic: topics }),
    ...(statuses && { status: statuses }),
    ...(due !== null && { due }),
    ...(q !== null && { q }),
    ...(errorKey !== null && { errorKey }),
    ...(createdFrom && { createdFrom }),
    ...(createdTo && { createdTo }),
    limit,
  };
}

describe.each(storeKinds())('all pages of a list on $label', (kind) => {
  const fixture = useStore(kind);

  async function walk(filter: JobFilter): Promise<string[]> {
    const engine = new JobsEngine({ store: fixture.store });
    const ids: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = await engine.jobs.list({ ...filter, ...(cursor && { cursor }) });
      expect(page.items.length).toBeLessThanOrEqual(filter.limit!);
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    return ids;
  }

  it('contain each matching job once, newest first, for any filter and page size', async () => {
    const property = fc.asyncProperty(anyJobs, fc.integer(), async (jobs, seed) => {
      await fixture.sql('DELETE FROM _jobs');
      await insertListed(fixture, jobs);
      for (const query of fc.sample(anyQuery(jobs), { numRuns: WALKS_EACH, seed })) {
        const topics = query.topics?.length ? query.topics : null;
        const all = { ...query, topics, beforeId: null, beforeFinished: null, offset: 0, limit: jobs.length + 1 };
        expect(await walk(toFilter(query))).toEqual(expectedPage(jobs, all).ids);
      }
    });
    await fc.assert(property, { numRuns: TABLES, endOnFailure: true });
  });
});
