import type { Type } from '@nestjs/common';
import type { JobTopic } from 'nestjs-jobs';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';

const guide = new GuideCode('guide/limits-and-fairness.md');

describe('the limits of the guide', () => {
  const apps = useApps(sqliteFile);
  beforeEach(() => void jest.spyOn(console, 'log').mockReturnValue(undefined));
  afterEach(() => jest.restoreAllMocks());

  it('a handler declares a rate, and runs', async () => {
    const app = await apps.start({ providers: [guide.exportOf<Type<object>>('ProviderJobs')] });
    const { id } = await app.jobs.enqueue('call_provider', { orderId: 7 });
    await app.jobAfter('completed', id);
    expect(await app.jobs.limits.get('call_provider')).toEqual({
      concurrency: 5,
      rate: { limit: 100, per: 60_000, perKey: false },
    });
    expect(console.log).toHaveBeenCalledWith(7);
  });

  it('typed topics read the key from the payload; a call may give another one', async () => {
    const app = await apps.start();
    const { jobs } = app;
    const shop = await jobs.enqueue(guide.exportOf<JobTopic>('SyncShop'), { tenantId: 'a' });
    const customer = await jobs.enqueue(guide.exportOf<JobTopic>('SyncCustomer'), { customerId: 7 });
    expect([shop.concurrencyKey, customer.concurrencyKey]).toEqual(['a', '7']);
    await guide.run("concurrencyKey: 'tenant-a'", { jobs });
    expect((await jobs.list({ topic: 'sync_shop' })).items.map(({ concurrencyKey }) => concurrencyKey)).toEqual([
      'tenant-a',
      'a',
    ]);
  });

  it('an operator sets limits and removes them; a pending job says why it waits', async () => {
    const { jobs } = await apps.start();
    const set = jest.spyOn(jobs.limits, 'set');
    await guide.run("jobs.limits.set('sync_shop', {", { jobs });
    expect(set.mock.calls.map(([, limits]) => limits)).toEqual([{ concurrency: 10 }, {}, null]);
    expect(await jobs.limits.get('sync_shop')).toBeNull();
    await jobs.enqueue('sync_shop', 1);
    await guide.run('jobs.whyWaiting(', { jobs });
    expect(console.log).toHaveBeenCalledWith('no live process handles this topic');
  });
});
