/** @never typeorm-0.3 */

import fc from 'fast-check';
import type { ListFilter } from '../../../lib/core/list-filter.js';
import { newJob } from '../../support/job-rows.js';
import type { ListedJob } from '../../support/listed-jobs.js';
import { anyJobs, anyQuery, DAY, expectedPage, createIdAt, insertListed } from '../../support/listed-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const TABLES = 6;
const QUERIES_EACH = 30;
/** Above this many jobs a list finds dates by the ids. */
const LARGE_ROWS = 20_001;
const NO_CONTENTS = { payload: '{}', metadata: null, uniqueKey: null };

describe.each(storeKinds())('a list with an arbitrary filter on $label', (kind) => {
  const fixture = useStore(kind);
  const share = kind.isMain ? 1 : 1 / 3;

  async function expectPage(jobs: readonly ListedJob[], query: ListFilter): Promise<void> {
    const { ids, total, search } = expectedPage(jobs, query);
    const { items, last: _, ...listed } = await fixture.store.reports.list(query);
    const totalCapped = total > 10_000 || search?.complete === false;
    const page = { total: Math.min(total, 10_000), totalCapped, search };
    expect({ query, ids: items.map(({ id }) => id), ...listed }).toEqual({ query, ids, ...page });
    expect(await fixture.store.reports.listIds(query)).toEqual({
      ids,
      isComplete: search?.complete ?? true,
    });
  }

  /** Compares many queries on one table, since filling it takes most of the time. */
  async function expectPages(filling: readonly ListedJob[], jobs: readonly ListedJob[], seed: number): Promise<void> {
    // In a large table dates are found by the ids.
    const queries = anyQuery(jobs).filter(({ due }) => filling.length === 0 || due === null);
    for (const query of fc.sample(queries, { numRuns: QUERIES_EACH * share, seed })) {
      await expectPage([...filling, ...jobs], query);
    }
  }

  it('returns the jobs of a plain filter function', async () => {
    await fc.assert(
      fc.asyncProperty(anyJobs, fc.integer(), async (jobs, seed) => {
        await fixture.sql('DELETE FROM _jobs');
        await insertListed(fixture, jobs);
        await expectPages([], jobs, seed);
      }),
      { numRuns: TABLES * share, endOnFailure: true },
    );
  }, 120_000);

  it('returns the same jobs in a large table, where it finds dates by the time in the ids', async () => {
    const filling = await fill();
    const jobs = fc.sample(anyJobs, { numRuns: 50, seed: 7 }).find(({ length }) => length >= 30)!;
    await insertListed(fixture, jobs);
    await expectPages(filling, jobs, 7);
  }, 120_000);

  /** Fills a large table; half of its jobs are older than those of a test, half are newer. */
  async function fill(): Promise<ListedJob[]> {
    const filling = Array.from({ length: LARGE_ROWS }, (_, index): ListedJob => {
      const created = new Date(DAY.getTime() + (index % 2 === 0 ? -1 : 1) * 7 * 86_400_000);
      const id = createIdAt(created, 1_000 + index);
      return {
        id,
        topic: 'filling',
        status: 'pending',
        error: null,
        created,
        isDue: true,
        ...NO_CONTENTS,
        finished: created,
      };
    });
    const inserts = filling.map(({ id, topic }) => newJob({ id, topic }));
    for (let from = 0; from < inserts.length; from += 5_000) {
      await fixture.store.insert(inserts.slice(from, from + 5_000));
    }
    for (const created of new Set(filling.map((job) => job.created.getTime()))) {
      const [prefix] = createIdAt(new Date(created), 0).split('-');
      const text = kind.locksRows ? 'id::text' : 'id';
      const time = new Date(created)
        .toISOString()
        .replace('T', ' ')
        .replace('Z', kind.locksRows ? '+00' : '');
      await fixture.sql(`UPDATE _jobs SET created = '${time}' WHERE ${text} LIKE '${prefix}-%'`);
    }
    return filling;
  }
});
