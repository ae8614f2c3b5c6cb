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
import { CurrentJob, JobHandler, Payload } from 'nestjs-jobs';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

class Order {
  id!: number;
}

/** What a ValidationPipe does: judges by the declared class, and leaves custom parameters alone. */
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
class Forgiving {
  catch(): string {
    return 'forgiven';
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

  @JobHandler('forgiven')
  @UsePipes(OrderPipe)
  @UseFilters(Forgiving)
  forgiven(@Payload() order: Order): unknown {
    return order.id;
  }
}

describe.each(everyKind)('parameters of a handler on $label', (kind) => {
  const apps = useApps(kind);

  it('are the payload through the pipes of the method, the job, and what custom decorators make of it', async () => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue('whole', { id: 3 });
    expect(await app.jobAfter('completed', id)).toMatchObject({
      result: { isOrder: true, id: 3, job: id, attempt: 1 },
    });
  });

  it('are single fields of the payload, through pipes of their own', async () => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue('field', { name: 'lamp' });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: { name: 'LAMP', isMissing: true } });
    const { id: empty } = await app.jobs.enqueue('field', null);
    expect(await app.jobAfter('completed', empty)).toMatchObject({ result: { name: 'UNDEFINED', isMissing: true } });
  });

  it.each([
    ['a pipe rejects', 'whole', 'id must be a number'],
    ['a guard refuses', 'guarded', 'Forbidden resource'],
  ])('are not asked again after %s: the job fails without a retry', async (_, topic, text) => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue(topic, { id: 'three' });
    const job = await app.jobAfter('failed', id);
    expect(job).toMatchObject({ attempt: 1, retries: 0 });
    expect(job.lastError).toContain(text);
  });

  it('may be forgiven by a filter, whose value completes the attempt', async () => {
    const app = await apps.start({ providers: [ParameterJobs] });
    const { id } = await app.jobs.enqueue('forgiven', { id: 'three' });
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'forgiven' });
  });
});
