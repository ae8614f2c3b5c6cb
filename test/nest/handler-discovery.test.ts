/**
 * @matrix nest-11
 * @never postgres-18
 */

import { Controller, Injectable } from '@nestjs/common';
import type { Duration, JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

@Injectable()
class Prices {
  of(item: string): number {
    return item.length;
  }
}

@Injectable()
class ShopJobs {
  constructor(private readonly prices: Prices) {}

  @JobHandler('price')
  price(job: JobContext<{ item: string }>): number {
    return this.prices.of(job.payload.item);
  }
}

describe.each(everyKind)('handler discovery on $label', (kind) => {
  const apps = useApps(kind);

  it('runs a decorated method with injected dependencies', async () => {
    const app = await apps.start({ providers: [Prices, ShopJobs] });
    const { id } = await app.jobs.enqueue('price', { item: 'lamp' });
    expect(await app.jobAfter('completed', id)).toMatchObject({ status: 'completed', result: 4, attempt: 1 });
  });

  it('finds handlers of a factory provider and of a value provider', async () => {
    @Injectable()
    class OtherJobs {
      @JobHandler('other')
      other(): string {
        return 'other';
      }
    }
    const app = await apps.start({
      providers: [
        { provide: ShopJobs, useFactory: () => new ShopJobs(new Prices()) },
        { provide: 'OTHER', useValue: new OtherJobs() },
      ],
    });
    const price = await app.jobs.enqueue('price', { item: 'lamp' });
    const other = await app.jobs.enqueue('other', null);
    expect(await app.jobAfter('completed', price.id)).toMatchObject({ result: 4 });
    expect(await app.jobAfter('completed', other.id)).toMatchObject({ result: 'other' });
  });

  it('finds handlers of a controller', async () => {
    @Controller('shop')
    class ShopController {
      @JobHandler('restock')
      restock(): string {
        return 'full';
      }
    }
    const app = await apps.start({ controllers: [ShopController] });
    const { id } = await app.jobs.enqueue('restock', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'full' });
  });

  it('runs an inherited handler on the subclass', async () => {
    abstract class ReportJobs {
      abstract readonly title: string;

      @JobHandler('report')
      report(): string {
        return this.title;
      }
    }
    @Injectable()
    class SalesReportJobs extends ReportJobs {
      readonly title = 'sales';
    }
    const app = await apps.start({ providers: [SalesReportJobs] });
    const { id } = await app.jobs.enqueue('report', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'sales' });
  });

  it('runs each topic of a method with two topics', async () => {
    @Injectable()
    class MailJobs {
      @JobHandler('mail')
      @JobHandler('letter')
      send(job: JobContext): string {
        return job.topic;
      }
    }
    const app = await apps.start({ providers: [MailJobs] });
    const [mail, letter] = await app.jobs.enqueueMany([
      { topic: 'mail', payload: 1 },
      { topic: 'letter', payload: 2 },
    ]);
    expect(await app.jobAfter('completed', mail!.id)).toMatchObject({ result: 'mail' });
    expect(await app.jobAfter('completed', letter!.id)).toMatchObject({ result: 'letter' });
  });

  it('registers an aliased provider once', async () => {
    const app = await apps.start({
      providers: [Prices, ShopJobs, { provide: 'SHOP_JOBS', useExisting: ShopJobs }],
    });
    const { id } = await app.jobs.enqueue('price', { item: 'sofa' });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 4 });
  });

  it('accepts functions registered before and after the application starts', async () => {
    const app = await apps.start({ handlers: { before: (job) => `before ${job.payload}` } });
    const before = await app.jobs.enqueue('before', 1);
    const waiting = await app.jobs.enqueue('after', 2);
    await app.event('completed', before.id);
    app.jobs.register<number>('after', (job) => `after ${job.payload}`);
    expect(await app.jobAfter('completed', before.id)).toMatchObject({ result: 'before 1' });
    expect(await app.jobAfter('completed', waiting.id)).toMatchObject({ result: 'after 2', attempt: 1 });
  });

  it('leaves jobs without a handler pending', async () => {
    const app = await apps.start({ options: { pollInterval: 10 }, handlers: { known: () => null } });
    const unhandled = await app.jobs.enqueue('unknown', null, { priority: -1_000, maxRetries: 0 });
    for (let count = 0; count < 20; count += 1) {
      await app.jobs.enqueue('known', count);
    }
    await until(() => app.eventsOf('completed').length === 20, { message: '20 completed jobs' });
    await expect(app.jobs.whenIdle()).rejects.toThrow("'unknown'");
    expect(await app.job(unhandled.id)).toMatchObject({ status: 'pending', attempt: 0, retries: 0, lastError: null });
    expect(app.eventsOf('started', unhandled.id)).toHaveLength(0);
  });

  it('stops the start if two methods handle one topic and names both', async () => {
    @Injectable()
    class OtherShopJobs {
      @JobHandler('price')
      cost(): number {
        return 0;
      }
    }
    const error = await apps.refusal({ providers: [Prices, ShopJobs, OtherShopJobs] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain("'price'");
    expect(error.message).toContain('ShopJobs.price');
    expect(error.message).toContain('OtherShopJobs.cost');
  });

  it('stops the start if a class with a handler is provided twice', async () => {
    const error = await apps.refusal({ providers: [Prices, ShopJobs, { provide: 'COPY', useClass: ShopJobs }] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain('two handlers');
  });

  it('register rejects a second handler for a topic', async () => {
    const app = await apps.start({ providers: [Prices, ShopJobs] });
    expect(() => app.jobs.register('price', () => 1)).toThrow(/two handlers, ShopJobs\.price and register\(\)/);
    expect(() => app.jobs.register('', () => 1)).toThrow(InvalidOptionsError);
    expect(() => app.jobs.register('nothing', undefined as never)).toThrow(InvalidOptionsError);
  });

  it('stops the start for an invalid handler option and names topic and option', async () => {
    @Injectable()
    class SlowJobs {
      @JobHandler('slow', { timeout: 'soon' as Duration })
      slow(): void {}
    }
    const error = await apps.refusal({ providers: [SlowJobs] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/'slow'.*timeout.*'soon'/);
  });
});
