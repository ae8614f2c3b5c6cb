import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import type { JobsService } from 'nestjs-jobs';
import type { DataSource } from 'typeorm';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';

const guide = new GuideCode('guide/recipes.md');
const Quota = guide.exportOf<Type<{ minute: number; used: number }>>('Quota');
const Busy = guide.exportOf<Type<{ customerId: number; until: number }>>('Busy');

describe.each([postgres, sqliteFile])('the recipes of the guide, on $label:', (kind) => {
  const apps = useApps(kind);

  it('a quota bounds the calls of all processes per minute', async () => {
    const providers = [guide.exportOf<Type<object>>('ProviderJobs')];
    const app = await apps.start({ typeOrm: { entities: [Quota] }, providers });
    const quotas = app.dataSource.getRepository(Quota);
    const first = await app.jobs.enqueue('call_provider', null);
    await app.event('completed', first.id);
    expect(await quotas.find()).toMatchObject([{ used: 1 }]);

    // Covers the current minute and the next two.
    const minute = Math.floor(Date.now() / 60_000);
    await quotas.save([0, 1, 2].map((later) => ({ minute: minute + later, used: 100 })));
    const second = await app.jobs.enqueue('call_provider', null);
    const { runAt } = await app.event('snoozed', second.id);
    expect(runAt.getTime()).toBeGreaterThanOrEqual((minute + 1) * 60_000 - 1_000);
    expect(await app.job(second.id)).toMatchObject({ status: 'pending', retries: 0 });
  });

  it('a busy customer delays only its own jobs', async () => {
    const providers = [guide.exportOf<Type<object>>('CustomerJobs')];
    const app = await apps.start({ typeOrm: { entities: [Busy] }, providers });
    const busy = app.dataSource.getRepository(Busy);
    await busy.insert({ customerId: 5, until: Date.now() + 60_000 });
    const [kept, free] = await Promise.all(
      [5, 6].map((customerId) => app.jobs.enqueue('sync_customer', { customerId })),
    );
    await app.event('snoozed', kept!.id);
    await app.event('completed', free!.id);

    await busy.update({ customerId: 5 }, { until: 0 });
    await app.jobs.promote(kept!.id);
    await app.event('completed', kept!.id);
    expect((await busy.find()).map(({ until }) => until)).toEqual([0, 0]);
  });

  it('forget deletes the jobs of one customer', async () => {
    const forget = guide.exportOf<(jobs: JobsService, of: DataSource, id: number) => Promise<number>>('forget');
    const app = await apps.start();
    await Promise.all([5, 6, 5].map((customerId) => app.jobs.enqueue('mail', { customerId })));
    expect(await forget(app.jobs, app.dataSource, 5)).toBe(2);
    expect(await forget(app.jobs, app.dataSource, 5)).toBe(0);
    expect((await app.jobs.list()).items.map(({ payload }) => payload)).toEqual([{ customerId: 6 }]);
  });
});

describe('the token guard of the guide', () => {
  const Guard = guide.exportOf<new (config: { getOrThrow(): string }) => CanActivate>('QueueTokenGuard');
  const guard = new Guard({ getOrThrow: () => 's3cret' });
  const authorize = (authorization?: string): unknown =>
    guard.canActivate({
      switchToHttp: () => ({ getRequest: () => ({ headers: { authorization } }) }),
    } as unknown as ExecutionContext);

  it('accepts the token and rejects everything else', () => {
    expect(authorize('Bearer s3cret')).toBe(true);
    for (const wrong of [undefined, '', 'Bearer ', 'Bearer s3cretx', 's3cret']) {
      expect(() => authorize(wrong)).toThrow('Unauthorized');
    }
  });
});
