/**
 * @matrix nest-11
 * @never postgres-18
 */

import type { ArgumentMetadata, CanActivate, PipeTransform } from '@nestjs/common';
import {
  BadRequestException,
  Catch,
  createParamDecorator,
  Injectable,
  UseFilters,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { CurrentJob, InvalidOptionsError, JobHandler, Payload } from 'nestjs-jobs';
import { useApps } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';

class Order {
  id!: number;
}

/** Behaves as ValidationPipe: validates by the declared class and skips custom parameters. */
@Injectable()
class OrderPipe implements PipeTransform {
  transform(value: unknown, { metatype, type }: ArgumentMetadata): unknown {
    if (type === 'custom' || metatype !== Order) {
      return value;
    }
    if (typeof (value as Order).id !== 'number') {
      throw new BadRequestException(['id must be a number']);
    }
    return Object.assign(new Order(), value);
  }
}

const upper: PipeTransform = { transform: (value: unknown) => String(value).toUpperCase() };
const Attempt = createParamDecorator((_data, context) => context.getArgByIndex<JobContext>(0).attempt);
const refusing: CanActivate = { canActivate: () => false };

@Catch(BadRequestException)
class ReplacingFilter {
  catch(): string {
    return 'replaced';
  }
}

@Injectable()
class ParameterJobs {
  @JobHandler('whole')
  @UsePipes(OrderPipe)
  whole(@Payload() order: Order, @CurrentJob() job: JobContext, @Attempt() attempt: number): unknown {
    return { isOrder: order instanceof Order, id: order.id, job: job.id, attempt };
  }

  @JobHandler('field')
  field(@Payload('name', upper) name: string, @Payload('missing') missing: unknown): unknown {
    return { name, isMissing: missing === undefined };
  }

  @JobHandler('guarded')
  @UseGuards(refusing)
  guarded(): string {
    return 'never';
  }

  @JobHandler('replaced', { parameters: 'decorated' })
  @UsePipes(OrderPipe)
  @UseFilters(ReplacingFilter)
  replaced(@Payload() order: Order): unknown {
    return order.id;
  }
}

describe.each(everyKind)('parameters of a handler on $label', (kind) => {
  const apps = useApps(kind);

  it('can be the piped payload, the job and the value of a custom decorator', async () => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue('whole', { id: 3 });
    expect(await app.jobAfter('completed', id)).toMatchObject({
      result: { isOrder: true, id: 3, job: id, attempt: 1 },
    });
  });

  it('can be single fields of the payload with their own pipes', async () => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue('field', { name: 'lamp' });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: { name: 'LAMP', isMissing: true } });
    const { id: empty } = await app.jobs.enqueue('field', null);
    expect(await app.jobAfter('completed', empty)).toMatchObject({ result: { name: 'UNDEFINED', isMissing: true } });
  });

  it.each([
    ['a pipe throws', 'whole', 'id must be a number'],
    ['a guard refuses', 'guarded', 'refused by a guard'],
  ])('fail the job without a retry after %s', async (_, topic, text) => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue(topic, { id: 'three' });
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ attempt: 1, retries: 0 });
    expect(job.lastError).toContain(text);
  });

  it('that a pipe rejects: a filter can complete the attempt with its value', async () => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue('replaced', { id: 'three' });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'replaced' });
  });
});

describe('the parameters of a method with @JobHandler', () => {
  const apps = useApps(sqliteMemory);

  @Injectable()
  class ClassJobs {
    // @ts-expect-error -- the handler receives the job
    @JobHandler('work')
    run(order: Order): number {
      return order.id;
    }
  }
  @Injectable()
  class TextJobs {
    // @ts-expect-error -- the handler receives the job
    @JobHandler('work')
    run(text: string): string {
      return text;
    }
  }
  @Injectable()
  class PairJobs {
    @JobHandler('work')
    run(job: JobContext, order: Order): unknown[] {
      return [job.id, order.id];
    }
  }
  @Injectable()
  class HalfJobs {
    @JobHandler('work')
    run(@Payload() order: Order, job: JobContext): unknown[] {
      return [job.id, order.id];
    }
  }
  @Injectable()
  class BareJobs {
    @JobHandler('work', { parameters: 'decorated' })
    run(order: Order): number {
      return order.id;
    }
  }
  @Injectable()
  class MistypedJobs {
    @JobHandler('work', { parameters: 'decorate' as 'decorated' })
    run(@Payload() order: Order): number {
      return order.id;
    }
  }

  it.each([
    ['a class, undecorated', ClassJobs, 'on ClassJobs.run: takes a Order, but the handler receives the job'],
    ['text, undecorated', TextJobs, 'on TextJobs.run: takes a String, but the handler receives the job'],
    ['two, both undecorated', PairJobs, 'on PairJobs.run: takes 2 parameters without decorators'],
    ['two, the second undecorated', HalfJobs, 'on HalfJobs.run: parameter 2 has no decorator'],
    ["undecorated with parameters: 'decorated'", BareJobs, 'on BareJobs.run: expected a parameter with a decorator'],
    ['declared by an unknown word', MistypedJobs, "MistypedJobs.run: parameters: expected 'decorated', got 'decorate'"],
  ])('stop the start if they are %s', async (_, provider, text) => {
    const error = await apps.refusal({ providers: [provider] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(text);
  });

  it('may be absent, the job of any type, or have default values', async () => {
    @Injectable()
    class FreeJobs {
      @JobHandler('none')
      none(): string {
        return 'none';
      }

      @JobHandler('unknown')
      unknown(job: unknown): string {
        return (job as JobContext).id;
      }

      @JobHandler('default')
      withDefault(job: JobContext, now = new Date(0)): unknown {
        return [job.id, now.getTime()];
      }
    }
    const app = await apps.start({ providers: [FreeJobs] });
    const ids = await Promise.all(['none', 'unknown', 'default'].map((topic) => app.jobs.enqueue(topic, null)));
    await app.jobs.whenIdle();
    const results = await Promise.all(ids.map(async ({ id }) => (await app.job(id)).result));
    expect(results).toEqual(['none', ids[1]!.id, [ids[2]!.id, 0]]);
  });
});
