/**
 * @matrix nest-11
 * @never postgres-18
 */

import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Injectable, Scope, UseGuards } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

const atOnce = { type: 'fixed', delay: 0 } as const;

describe.each(everyKind)('handlers with a non-singleton scope on $label', (kind) => {
  const apps = useApps(kind);

  it.each([
    ['request-scoped', Scope.REQUEST],
    ['transient', Scope.TRANSIENT],
  ])('of a %s provider run on a new instance in each attempt', async (_, scope) => {
    let instances = 0;
    @Injectable({ scope })
    class ScopedJobs {
      private readonly number = (instances += 1);

      @JobHandler('scoped', { backoff: atOnce })
      scoped(job: JobContext): number {
        if (job.attempt === 1) throw new Error('first attempt');
        return this.number;
      }
    }
    const app = await apps.start({ providers: [ScopedJobs] });
    const before = instances;
    const { id } = await app.jobs.enqueue('scoped', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, result: before + 2 });
    expect(instances).toBe(before + 2);
  });

  it('share a request-scoped provider within one attempt only', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Basket {
      readonly items: string[] = [];
    }
    @Injectable()
    class Shop {
      constructor(readonly basket: Basket) {}
    }
    @Injectable()
    class BasketJobs {
      constructor(
        private readonly basket: Basket,
        private readonly shop: Shop,
      ) {}

      @JobHandler('fill')
      fill(job: JobContext<string>): string[] {
        this.basket.items.push(job.payload);
        return this.shop.basket.items;
      }
    }
    const app = await apps.start({ providers: [Basket, Shop, BasketJobs] });
    const jobs = await app.jobs.enqueueMany(['lamp', 'sofa'].map((payload) => ({ topic: 'fill', payload })));
    expect(await app.jobAfter('completed', jobs[0]!.id)).toMatchObject({ result: ['lamp'] });
    expect(await app.jobAfter('completed', jobs[1]!.id)).toMatchObject({ result: ['sofa'] });
  });

  it('can have a request-scoped guard', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class EvenGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        return context.getArgByIndex<JobContext<number>>(0).payload % 2 === 0;
      }
    }
    @Injectable()
    class GuardedJobs {
      @UseGuards(EvenGuard)
      @JobHandler('guarded', { maxRetries: 0 })
      run(): string {
        return 'allowed';
      }
    }
    const app = await apps.start({ providers: [GuardedJobs] });
    const [even, odd] = await app.jobs.enqueueMany([2, 3].map((payload) => ({ topic: 'guarded', payload })));
    expect(await app.jobAfter('completed', even!.id)).toMatchObject({ result: 'allowed' });
    expect(await app.jobAfter('failed', odd!.id)).toMatchObject({ lastError: 'refused by EvenGuard' });
  });
});
