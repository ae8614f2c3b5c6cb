import type { JobFilter } from '../../../lib/core/job.js';
import { defineJob } from '../../../lib/core/job-topic.js';
import { readListFilter } from '../../../lib/core/list-filter.js';
import { newJob, newJobs } from '../../support/job-rows.js';
import { useRecordingEngine } from '../../support/recording-engine.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('a list by label on $label', (kind) => {
  const fixture = useStore(kind);
  const recorded = useRecordingEngine(fixture);

  const list = async (filter: JobFilter): Promise<{ ids: string[]; total: number }> => {
    const { items, total } = await fixture.store.reports.list(readListFilter(filter));
    return { ids: items.map(({ id }) => id), total };
  };

  it('has the jobs with all of the labels in all statuses, newest first', async () => {
    const vip = newJobs(3, { labels: ['vip'] });
    const both = newJobs(2, { topic: 'other', labels: ['team:billing', 'vip'] });
    await fixture.store.insert([...vip, ...newJobs(2), ...newJobs(1, { labels: ['team:billing'] }), ...both]);
    await fixture.store.cancel([vip[0]!.id]);
    const newestFirst = [...vip, ...both].map(({ id }) => id).reverse();
    const newestOfBoth = both.map(({ id }) => id).reverse();

    expect(await list({ label: 'vip' })).toEqual({ ids: newestFirst, total: 5 });
    expect(await list({ label: ['vip'], limit: 2 })).toEqual({ ids: newestFirst.slice(0, 2), total: 5 });
    expect(await list({ label: ['vip', 'team:billing'] })).toEqual({ ids: newestOfBoth, total: 2 });
    expect(await list({ label: 'vip', status: 'cancelled' })).toEqual({ ids: [vip[0]!.id], total: 1 });
    expect(await list({ label: 'vip', topic: 'other' })).toEqual({ ids: newestOfBoth, total: 2 });
    expect(await list({ label: ['vip', 'none'] })).toEqual({ ids: [], total: 0 });
    expect(await list({ label: 'VIP' })).toEqual({ ids: [], total: 0 });
  });

  it('does not find jobs that are gone', async () => {
    const jobs = newJobs(2, { labels: ['a', 'b'] });
    await fixture.store.insert(jobs);
    await fixture.store.delete([jobs[0]!.id]);
    expect(await list({ label: 'a' })).toEqual({ ids: [jobs[1]!.id], total: 1 });
    expect((await fixture.job(jobs[1]!.id)).labels).toEqual(['a', 'b']);
  });

  it('gets the labels of the topic and of the call', async () => {
    const { engine } = recorded;
    const Invoice = defineJob('invoice', { labels: ['team:billing'] });
    const one = await engine.enqueue(Invoice, {}, { labels: ['vip', 'team:billing'] });
    const other = await engine.enqueue(Invoice, {});
    const plain = await engine.enqueue('plain', {}, { labels: [] });
    expect([one, other, plain].map(({ labels }) => labels)).toEqual([['team:billing', 'vip'], ['team:billing'], []]);
    expect((await engine.jobs.list({ label: 'team:billing' })).items.map(({ id }) => id)).toEqual([other.id, one.id]);
    const many = Array.from({ length: 10 }, (_, index) => `n${index}`);
    await expect(engine.enqueue(Invoice, {}, { labels: many })).rejects.toMatchObject({ option: 'labels' });
    await expect(engine.enqueue('plain', {}, { labels: ['a,b'] })).rejects.toMatchObject({ option: 'labels[0]' });
  });

  it('stores labels in a set with other jobs', async () => {
    const rows = [newJob(), newJob({ labels: ['x'] }), newJob({ uniqueKey: 'u', labels: ['x', 'y'] })];
    await fixture.store.insert(rows);
    const found = await Promise.all(rows.map(({ id }) => fixture.job(id)));
    expect(found.map(({ labels }) => labels)).toEqual([[], ['x'], ['x', 'y']]);
  });
});
