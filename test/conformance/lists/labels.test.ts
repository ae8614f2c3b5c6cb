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

  it('bulk actions and error groups select by label', async () => {
    const { engine } = recorded;
    const vip = await engine.enqueue('mail', {}, { labels: ['vip'] });
    await engine.enqueue('mail', {});
    expect(await engine.bulk.run({ action: 'cancel', filter: { label: 'vip' } })).toMatchObject({ changed: 1 });
    expect(await engine.jobs.get(vip.id)).toMatchObject({ status: 'cancelled' });

    const jobs = [...newJobs(2, { labels: ['a', 'b'] }), ...newJobs(1, { labels: ['a'] }), ...newJobs(1)];
    await fixture.store.insert(jobs);
    const ids = jobs.map(({ id }) => id);
    await fixture.set(ids, { status: 'failed', finished: new Date(), last_error: 'no' });
    const count = async (label?: string): Promise<number | undefined> =>
      (await engine.errors.list(null, { label })).items[0]?.count;
    expect(await Promise.all([count(), count('a'), count('a,b'), count('none')])).toEqual([4, 3, 2, undefined]);
  });

  it('does not find a label of a job that an older version has stored', async () => {
    const { id } = newJob();
    await fixture.app.query(`INSERT INTO _jobs (id, topic, payload) VALUES ('${id}', 'mail', '{}')`);
    expect((await fixture.job(id)).labels).toEqual([]);
    expect(await list({ label: 'vip' })).toEqual({ ids: [], total: 0 });
  });
});
