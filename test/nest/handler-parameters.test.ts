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

  @JobHandler('replaced')
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
    ['a guard refuses', 'guarded', 'Forbidden resource'],
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
