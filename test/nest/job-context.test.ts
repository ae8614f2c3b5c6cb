import { AsyncLocalStorage } from 'node:async_hooks';
import type { CanActivate } from '@nestjs/common';
import { Injectable, Scope, UseGuards } from '@nestjs/common';
import { CLS_ID, ClsModule, ClsService } from 'nestjs-cls';
import type { ContextOptions, JobContext } from 'nestjs-jobs';
import { JobHandler, JobsService } from 'nestjs-jobs';
import type { GuideCode as Guide } from '../support/guide-code.js';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';

interface Tenant {
  readonly id: string;
}

const guide: Guide = new GuideCode('guide/context.md');
const tenants = guide.exportOf<AsyncLocalStorage<Tenant>>('tenants');
const tenantContext = guide.exportOf<ContextOptions>('tenantContext');
const clsContext = guide.exportOf<ContextOptions>('clsContext');

const seven: Tenant = { id: 'seven' };

@Injectable()
class TenantGuard implements CanActivate {
  static readonly seen: (Tenant | undefined)[] = [];

  async canActivate(): Promise<boolean> {
    await new Promise(setImmediate);
    TenantGuard.seen.push(tenants.getStore());
    return true;
  }
}

@Injectable({ scope: Scope.REQUEST })
class TenantJobs {
  readonly ofConstructor = tenants.getStore();

  constructor(private readonly jobs: JobsService) {}

  @UseGuards(TenantGuard)
  @JobHandler('outer')
  async outer(): Promise<unknown> {
    await new Promise(setImmediate);
    const { id } = await this.jobs.enqueue('inner', null);
    return [this.ofConstructor, tenants.getStore(), id];
  }

  @JobHandler('inner', { backoff: { type: 'fixed', delay: 0 } })
  inner({ attempt, metadata }: JobContext): unknown {
    if (attempt === 1) throw new Error('not yet');
    return [tenants.getStore(), metadata];
  }
}

describe('the context of AsyncLocalStorage in the guide', () => {
  const apps = useApps(sqliteFile);

  it('reaches guards, providers, handlers, retries and the jobs that a handler enqueues', async () => {
    const app = await apps.start({ options: { context: tenantContext }, providers: [TenantJobs] });
    const { id } = await tenants.run(seven, () => app.jobs.enqueue('outer', null, { metadata: { a: 1 } }));
    await app.jobs.whenIdle();
    const { result, metadata } = await app.job(id);
    expect(result).toMatchObject([seven, seven, {}]);
    expect(metadata).toEqual({ a: 1, $context: seven });
    expect(TenantGuard.seen).toEqual([seven]);
    const [, , innerId] = result as [unknown, unknown, string];
    expect(await app.job(innerId)).toMatchObject({ attempt: 2, result: [seven, { $context: seven }] });
  });

  it('is captured in the tick of each way to enqueue', async () => {
    const app = await apps.start({
      options: { context: tenantContext },
      handlers: { work: () => tenants.getStore() ?? null },
    });
    const { jobs, dataSource } = app;
    const job = { topic: 'work', payload: null };
    const stored = tenants.run(seven, () => [
      jobs.enqueue('work', null),
      jobs.enqueueAt('work', null, new Date()),
      jobs.enqueueMany([job, { ...job, metadata: {} }]),
      dataSource.transaction((manager) =>
        tenants.exit(() => tenants.run(seven, () => jobs.enqueueTx(manager, 'work', null))),
      ),
      dataSource.transaction((manager) => jobs.enqueueMany([job], { manager })),
    ]);
    const ids = (await Promise.all(stored)).flat().map(({ id }) => id);
    expect(ids).toHaveLength(6);
    await jobs.whenIdle();
    for (const id of ids) {
      expect(await app.job(id)).toMatchObject({ result: seven, metadata: { $context: seven } });
    }
  });
});

describe('the context of nestjs-cls in the guide', () => {
  const apps = useApps(sqliteFile);

  it('gives the handler the values of the caller', async () => {
    const app = await apps.start({ imports: [ClsModule.forRoot({ global: true })], options: { context: clsContext } });
    const cls = app.module.get(ClsService, {
      strict: false,
    });
    app.jobs.register('work', async () => {
      await new Promise(setImmediate);
      return [cls.isActive(), cls.get<unknown>('userId'), cls.getId()];
    });
    const job = await cls.run(() => {
      cls.set('userId', 'u-1');
      cls.set(CLS_ID, 'r-1');
      return app.jobs.enqueue('work', null);
    });
    expect(await app.jobAfter('completed', job.id)).toMatchObject({ result: [true, 'u-1', 'r-1'] });
  });
});

describe('contexts', () => {
  const apps = useApps(sqliteFile);
  const users = new AsyncLocalStorage<string>();
  const userContext: ContextOptions = {
    capture: () => users.getStore(),
    run: (user: string, next) => users.run(`${user} of ${tenants.getStore()?.id}`, next),
  };
  const plain: ContextOptions = { capture: () => 1, run: (_values, next) => next() };

  it('by name are stored by name, and the first one is outside', async () => {
    const context = { tenant: tenantContext, user: userContext };
    const app = await apps.start({ options: { context }, handlers: { work: () => users.getStore() ?? 'nobody' } });
    const both = await tenants.run(seven, () => users.run('eva', () => app.jobs.enqueue('work', null)));
    const one = await tenants.run(seven, () => app.jobs.enqueue('work', null));
    await app.jobs.whenIdle();
    expect(await app.job(both.id)).toMatchObject({
      result: 'eva of seven',
      metadata: { $context: { tenant: seven, user: 'eva' } },
    });
    expect(await app.job(one.id)).toMatchObject({ result: 'nobody', metadata: { $context: { tenant: seven } } });
  });

  it.each([
    ['over 4 KiB', () => 'x'.repeat(4_095), { code: 'PAYLOAD_TOO_LARGE', message: textWith('context') }],
    ['that are no JSON', () => ({ big: 1n }), { code: 'INVALID_PAYLOAD', message: textWith('context.big') }],
    ['of a promise', async () => 1, { code: 'INVALID_OPTIONS', message: textWith('context.capture: must return') }],
    [
      'of a capture that throws',
      () => {
        throw new RangeError('no tenant');
      },
      { name: 'RangeError', message: 'no tenant' },
    ],
  ])('reject an enqueue with values %s, and store nothing', async (_title, capture: () => unknown, expected) => {
    const app = await apps.start({ options: { context: { ...plain, capture } } });
    const job = { topic: 'work', payload: null };
    await expect(app.jobs.enqueue('work', null)).rejects.toMatchObject(expected);
    await expect(app.jobs.enqueueMany([job])).rejects.toMatchObject(expected);
    await expect(
      app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'work', null)),
    ).rejects.toMatchObject(expected);
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });

  it.each([
    ['does not call next', () => 'done', 'context.run: must call next'],
    [
      'throws',
      () => {
        throw new Error('no such tenant');
      },
      'no such tenant',
    ],
    [
      'throws after next',
      async (_values: unknown, next: () => unknown) => (await next(), Promise.reject(new Error('cleanup'))),
      'cleanup',
    ],
  ])('fail the attempt when run %s', async (_title, run: ContextOptions['run'], message) => {
    const app = await apps.start({
      options: { context: { capture: () => 1, run }, maxRetries: 0 },
      handlers: { work: () => 'done' },
    });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('failed', id)).toMatchObject({ lastError: textWith(message) });
  });

  it('that do not return the result of next do not change it', async () => {
    const run: ContextOptions['run'] = (_values, next) => void next();
    const app = await apps.start({
      options: { context: { capture: () => 1, run }, maxRetries: 0 },
      handlers: {
        work: async () => new Promise((resolve) => setImmediate(() => resolve('done'))),
        fail: () => Promise.reject(new Error('always')),
      },
    });
    const done = await app.jobs.enqueue('work', null);
    const failed = await app.jobs.enqueue('fail', null);
    await app.jobs.whenIdle();
    expect(await app.job(done.id)).toMatchObject({ result: 'done' });
    expect(await app.job(failed.id)).toMatchObject({ status: 'failed', lastError: textWith('always') });
  });
});
