import { readListFilter } from '../../../lib/core/list-filter.js';
import type { JobFilter } from '../../../lib/core/job.js';
import { newJobs } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('a list by concurrency key on $label', (kind) => {
  const fixture = useStore(kind);

  const list = async (filter: JobFilter): Promise<{ ids: string[]; total: number }> => {
    const { items, total } = await fixture.store.reports.list(readListFilter(filter));
    return { ids: items.map(({ id }) => id), total };
  };

  it('has the jobs with the key in all statuses, newest first', async () => {
    const jobs = newJobs(4, { concurrencyKey: 'a' });
    const other = newJobs(1, { topic: 'other', concurrencyKey: 'a' });
    await fixture.store.insert([...jobs, ...newJobs(2), ...newJobs(1, { concurrencyKey: 'b' }), ...other]);
    await fixture.store.cancel([jobs[0]!.id]);
    const newestFirst = [...jobs, ...other].map(({ id }) => id).reverse();

    expect(await list({ concurrencyKey: 'a' })).toEqual({ ids: newestFirst, total: 5 });
    expect(await list({ concurrencyKey: 'a', status: 'cancelled' })).toEqual({ ids: [jobs[0]!.id], total: 1 });
    expect(await list({ concurrencyKey: 'a', topic: 'other' })).toEqual({ ids: [other[0]!.id], total: 1 });
    expect(await list({ concurrencyKey: 'a', limit: 2 })).toEqual({ ids: newestFirst.slice(0, 2), total: 5 });
    expect(await list({ concurrencyKey: 'a', createdTo: new Date('2000-01-01') })).toEqual({ ids: [], total: 0 });
    expect(await list({ concurrencyKey: 'none' })).toEqual({ ids: [], total: 0 });
  });
});
