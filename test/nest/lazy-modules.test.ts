import { Global, Inject, Injectable, Module, Scope } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import type { JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, JobsModule, JobsService } from 'nestjs-jobs';
import { signal } from '../support/wait.js';
import { useApps } from './support/apps.js';
import type { TestApp } from './support/test-app.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';

@Injectable()
class Prices {
  of(item: string): number {
    return item.length;
  }
}
@Module({ providers: [Prices], exports: [Prices] })
class PricesModule {}

@Injectable()
class ShopJobs {
  constructor(
    private readonly prices: Prices,
    readonly jobs: JobsService,
  ) {}

  @JobHandler('price')
  price(job: JobContext<string>): number {
    return this.prices.of(job.payload);
  }
}
@Module({ imports: [PricesModule], providers: [ShopJobs] })
class ShopModule {}

const load = (app: TestApp, module: unknown): Promise<unknown> =>
  app.module.get(LazyModuleLoader, { strict: false }).load(() => module as never);

const failure = (app: TestApp, module: unknown): Promise<unknown> =>
  load(app, module).then(
    () => undefined,
    (error: unknown) => error,
  );

describe.each(everyKind)('a module that is loaded lazily on $label', (kind) => {
  const apps = useApps(kind);

  it('has its handlers served from then on, the jobs that waited for them included', async () => {
    const app = await apps.start();
    const waiting = await app.jobs.enqueue('price', 'lamp');
    await app.jobs.whenIdle();
    expect(await app.job(waiting.id)).toMatchObject({ status: 'pending', attempt: 0 });
    await load(app, ShopModule);
    const later = await app.jobs.enqueue('price', 'sofas');
    expect(await app.jobAfter('completed', waiting.id)).toMatchObject({ result: 4, attempt: 1 });
    expect(await app.jobAfter('completed', later.id)).toMatchObject({ result: 5 });
  });
});

describe('modules that are loaded lazily', () => {
  const apps = useApps(sqliteMemory);

  it('may be loaded again, and together', async () => {
    const app = await apps.start();
    await Promise.all([load(app, ShopModule), load(app, ShopModule), load(app, PricesModule)]);
    await load(app, ShopModule);
    const { id } = await app.jobs.enqueue('price', 'lamp');
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 4 });
  });

  it('have scoped handlers, in modules that they import, too', async () => {
    let instances = 0;
    @Injectable({ scope: Scope.REQUEST })
    class ScopedJobs {
      private readonly number = (instances += 1);

      @JobHandler('scoped')
      scoped(): number {
        return this.number;
      }
    }
    @Module({ providers: [ScopedJobs] })
    class InnerModule {}
    @Module({ imports: [InnerModule] })
    class OuterModule {}
    const app = await apps.start();
    await load(app, OuterModule);
    for (const result of [1, 2]) {
      const { id } = await app.jobs.enqueue('scoped', null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result });
    }
  });

  it('are not looked at while another call is still building them', async () => {
    const built = signal();
    @Injectable()
    class SlowJobs {
      readonly isBuilt = true;

      constructor(@Inject('CONNECTION') readonly connection: unknown) {}

      @JobHandler('slow')
      slow(): boolean {
        return this.isBuilt;
      }
    }
    @Module({ providers: [{ provide: 'CONNECTION', useFactory: () => built.promise }, SlowJobs] })
    class SlowModule {}
    const app = await apps.start();
    const slow = load(app, SlowModule);
    await load(app, ShopModule);
    const { id } = await app.jobs.enqueue('slow', null);
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
    built.resolve();
    await slow;
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: true });
  });

  it('reject the call for a registration that is wrong, each time, and keep the application running', async () => {
    @Injectable()
    class OtherShopJobs {
      @JobHandler('price')
      cost(): number {
        return 0;
      }
    }
    @Module({ providers: [OtherShopJobs] })
    class OtherShopModule {}
    const app = await apps.start({ imports: [ShopModule] });
    const errors = [await failure(app, OtherShopModule), await failure(app, OtherShopModule)];
    for (const error of errors) {
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect((error as Error).message).toContain("'price' has two handlers, ShopJobs.price and OtherShopJobs.cost");
    }
    const { id } = await app.jobs.enqueue('price', 'lamp');
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 4 });
  });

  it('may be loaded by a provider that starts before the queue does', async () => {
    @Injectable()
    class Opener {
      constructor(private readonly loader: LazyModuleLoader) {}

      async onModuleInit(): Promise<void> {
        await this.loader.load(() => ShopModule);
      }
    }
    @Module({ providers: [Opener] })
    class OpenerModule {}
    const app = await apps.start({ imports: [OpenerModule] });
    const { id } = await app.jobs.enqueue('price', 'lamp');
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 4 });
  });

  it.each(['of its own', 'that is global'])(
    'are served when they are built, also in a module %s whose loading began before the queue was there',
    async (kind) => {
      const built = signal();
      @Module({
        providers: [
          { provide: 'CONNECTION', useFactory: () => built.promise },
          { provide: Prices, inject: ['CONNECTION'], useFactory: () => new Prices() },
          ShopJobs,
        ],
      })
      class SlowShopModule {}
      if (kind === 'that is global') Global()(SlowShopModule);
      let loaded: Promise<unknown> | undefined;
      @Injectable()
      class Opener {
        constructor(@Inject(LazyModuleLoader) loader: LazyModuleLoader) {
          loaded = loader.load(() => SlowShopModule);
        }
      }
      const app = await apps.start({ providers: [Opener] });
      const { id } = await app.jobs.enqueue('price', 'lamp');
      await app.jobs.whenIdle();
      expect(await app.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
      built.resolve();
      await loaded;
      expect(await app.jobAfter('completed', id)).toMatchObject({ result: 4, attempt: 1 });
    },
  );

  it('reject the call for a wrong registration of a provider that is scoped by what it depends on, too', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Visit {}
    @Injectable()
    class VisitJobs {
      constructor(readonly visit: Visit) {}

      @JobHandler('price')
      price(): boolean {
        return this.visit instanceof Visit;
      }
    }
    @Module({ providers: [Visit, VisitJobs] })
    class VisitModule {}
    const app = await apps.start({ imports: [ShopModule] });
    expect(await failure(app, VisitModule)).toMatchObject({ code: 'INVALID_OPTIONS', option: 'topic' });
    const other = await apps.start();
    await load(other, VisitModule);
    const { id } = await other.jobs.enqueue('price', 'lamp');
    expect(await other.jobAfter('completed', id)).toMatchObject({ result: true });
  });

  it('cannot bring a second queue along', async () => {
    @Module({ imports: [JobsModule.forRoot()] })
    class SecondQueueModule {}
    const app = await apps.start({ handlers: { work: () => 'done' } });
    await expect(load(app, SecondQueueModule)).rejects.toThrow(/JobsModule: made 2 times.*SecondQueueModule/);
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });
});
