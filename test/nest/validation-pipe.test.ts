/**
 * @matrix nest-11
 * @never postgres-18
 */

import { createParamDecorator, Injectable, ParseIntPipe, UsePipes, ValidationPipe } from '@nestjs/common';
import { Type } from 'class-transformer';
import { IsDate, IsEmail, IsInt, Min, ValidateNested } from 'class-validator';
import type { JobContext } from 'nestjs-jobs';
import { CurrentJob, JobHandler, Payload } from 'nestjs-jobs';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

class Line {
  @IsInt()
  @Min(1)
  amount!: number;
}

class Order {
  @IsEmail()
  to!: string;

  @Type(() => Date)
  @IsDate()
  at!: Date;

  @ValidateNested({ each: true })
  @Type(() => Line)
  lines!: Line[];
}

/** A member of the job, as a custom decorator of an application. */
const JobMember = createParamDecorator((name: 'topic' | 'attempt', context) =>
  String(context.getArgByIndex<JobContext>(0)[name]),
);

const seen: string[] = [];

@Injectable()
class OrderJobs {
  @JobHandler('plain', { parameters: 'decorated' })
  @UsePipes(new ValidationPipe())
  plain(@Payload() order: Order): unknown {
    return { isOrder: order instanceof Order, to: order.to };
  }

  @JobHandler('transformed', { parameters: 'decorated' })
  transformed(@Payload(new ValidationPipe({ transform: true, whitelist: true })) order: Order): unknown {
    return {
      isOrder: order instanceof Order,
      year: order.at.getUTCFullYear(),
      isLine: order.lines[0] instanceof Line,
      names: Object.keys(order).sort(),
    };
  }

  @UsePipes(new ValidationPipe())
  @JobHandler('watched', { parameters: 'decorated' })
  watched(@Payload() _order: Order): void {
    seen.push('handler');
  }

  @JobHandler('parsed', { parameters: 'decorated' })
  parsed(@Payload('amount', ParseIntPipe) amount: number): number {
    return amount;
  }

  @UsePipes(new ValidationPipe())
  @JobHandler('custom')
  custom(
    @JobMember('topic') topic: string,
    @JobMember('attempt', ParseIntPipe) attempt: number,
    @CurrentJob() job: JobContext,
  ): unknown {
    return { topic, attempt, isSame: job.topic === topic };
  }
}

describe.each(everyKind)('ValidationPipe on $label', (kind) => {
  const apps = useApps(kind);
  const order = { to: 'a@example.org', at: '2030-01-01T00:00:00.000Z', lines: [{ amount: 2 }] };

  it('accepts a valid payload', async () => {
    const app = await apps.start({ providers: [OrderJobs] });
    const { id } = await app.jobs.enqueue('plain', { ...order, at: new Date() });
    // Without `transform` the pipe validates and returns its input.
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: { isOrder: false, to: 'a@example.org' } });
  });

  it('creates instances of the class with transform and removes unknown members with whitelist', async () => {
    const app = await apps.start({ providers: [OrderJobs] });
    const { id } = await app.jobs.enqueue('transformed', { ...order, extra: true });
    expect(await app.jobAfter('completed', id)).toMatchObject({
      result: { isOrder: true, year: 2030, isLine: true, names: ['at', 'lines', 'to'] },
      payload: { extra: true },
    });
  });

  it('fails the job without a retry and lists every violation in the message', async () => {
    const app = await apps.start({ providers: [OrderJobs] });
    const { id } = await app.jobs.enqueue('watched', { ...order, to: 'nobody', lines: [{ amount: 0 }] });
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ attempt: 1, retries: 0, maxRetries: 3 });
    expect(job.lastError).toBe('Bad Request Exception: to must be an email; lines.0.amount must not be less than 1');
    expect(app.eventsOf('retrying')).toEqual([]);
    expect(seen).toEqual([]);
  });

  it('validates a single field', async () => {
    const app = await apps.start({ providers: [OrderJobs] });
    const good = await app.jobs.enqueue('parsed', { amount: '7' });
    const bad = await app.jobs.enqueue('parsed', { amount: 'many' });
    expect(await app.jobAfter('completed', good.id)).toMatchObject({ result: 7 });
    expect(await app.jobAfter('failed', bad.id)).toMatchObject({
      attempt: 1,
      lastError: 'Validation failed (numeric string is expected)',
    });
  });

  it('skips parameters of custom decorators, which have their own data and pipes', async () => {
    const app = await apps.start({ providers: [OrderJobs] });
    const { id } = await app.jobs.enqueue('custom', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({
      result: { topic: 'custom', attempt: 1, isSame: true },
    });
  });
});
