import type {
  CallHandler,
  CanActivate,
  ExceptionFilter,
  ExecutionContext,
  NestInterceptor,
  PipeTransform,
} from '@nestjs/common';
import { Catch, Injectable, UseFilters, UseGuards, UseInterceptors, UsePipes } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler, Payload, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import type { Observable } from 'rxjs';
import { catchError, EMPTY, finalize, ignoreElements, map, of, tap, throwError } from 'rxjs';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';

const atOnce = { type: 'fixed', delay: 0 } as const;

let steps: string[] = [];
const note =
  (step: string) =>
  <T>(value: T): T => {
    steps.push(step);
    return value;
  };

const guard: CanActivate = { canActivate: () => note('guard')(true) };
const pipe: PipeTransform = { transform: note('pipe') };

/** Notes the beginning and the end of what it wraps. */
const around: NestInterceptor = {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { attempt } = context.getArgByIndex<JobContext>(0);
    steps.push(`begin ${attempt}`);
    return next.handle().pipe(finalize(() => steps.push(`end ${attempt}`)));
  },
};

@Catch()
class NotingFilter implements ExceptionFilter {
  catch(error: Error): void {
    steps.push(`filter ${error.message}`);
  }
}

/** A filter that gives what it is told to. */
const giving = (answer: (error: unknown) => unknown): ExceptionFilter => {
  @Catch()
  class GivingFilter implements ExceptionFilter {
    catch(error: unknown): unknown {
      return answer(error);
    }
  }
  return new GivingFilter();
};

/** An interceptor that answers an error in its own way. */
const answering = (answer: (error: unknown) => Observable<unknown>): NestInterceptor => ({
  intercept: (_context, next) => next.handle().pipe(catchError(answer)),
});

@Injectable()
class PipelineJobs {
  @UseGuards(guard)
  @UsePipes(pipe)
  @UseInterceptors(around)
  @UseFilters(NotingFilter)
  @JobHandler('ordered', { backoff: atOnce })
  ordered(@Payload() payload: { failures: number }, @Payload('failures') failures: number): string {
    steps.push('handler');
    if (steps.filter((step) => step === 'handler').length <= failures) throw new Error('once more');
    return String(payload.failures);
  }

  @UseInterceptors(answering(() => of('excused')))
  @JobHandler('excused')
  excused(): never {
    throw new Error('late');
  }

  @UseInterceptors(answering(() => throwError(() => new UnrecoverableError('hopeless'))))
  @JobHandler('hopeless')
  hopeless(): never {
    throw new Error('late');
  }

  @UseInterceptors(answering(() => throwError(() => new SnoozeError('1h'))))
  @JobHandler('snoozed')
  snoozed(): never {
    throw new Error('closed');
  }

  @UseInterceptors({ intercept: () => of('from the cache') })
  @JobHandler('cached')
  cached(): never {
    throw new Error('never called');
  }

  @UseInterceptors({ intercept: () => EMPTY })
  @JobHandler('empty')
  empty(): void {}

  @JobHandler('ended')
  ended(): Observable<never> {
    return of(1, 2).pipe(
      tap((value) => steps.push(`value ${value}`)),
      ignoreElements(),
    );
  }

  @UseFilters(giving(async () => steps.push('reported') && undefined))
  @JobHandler('filter that has reported it', { maxRetries: 0 })
  reported(): never {
    throw new Error('as it was');
  }

  @UseFilters(giving((error) => throwError(() => error)))
  @JobHandler('filter that throws it on', { maxRetries: 0 })
  thrownOn(): never {
    throw new Error('as it was');
  }

  @UseFilters(giving(() => EMPTY))
  @JobHandler('filter that gives no value', { maxRetries: 0 })
  unanswered(): never {
    throw new Error('as it was');
  }

  @UseFilters(giving(async () => of('first', 'last')))
  @JobHandler('filter that gives values')
  answered(): never {
    throw new Error('as it was');
  }

  @JobHandler('streamed')
  streamed(): Observable<number> {
    return of(1, 2, 3).pipe(
      tap((value) => steps.push(`value ${value}`)),
      map((value) => value * 10),
    );
  }
}

describe('around each attempt of a handler', () => {
  const apps = useApps(sqliteMemory);

  beforeEach(() => {
    steps = [];
  });

  it('guards come first, then interceptors, pipes, the handler, and filters after all of them', async () => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue('ordered', { failures: 1 });
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, retries: 1, result: '1' });
    const attempt = (number: number): string[] => [
      'guard',
      `begin ${number}`,
      'pipe',
      'pipe',
      'handler',
      `end ${number}`,
    ];
    expect(steps).toEqual([...attempt(1), 'filter once more', ...attempt(2)]);
  });

  it.each([
    ['excuses an error by a value', 'excused', 'completed', { result: 'excused', lastError: null }],
    ['ends the job for good', 'hopeless', 'failed', { attempt: 1, lastError: 'hopeless' }],
    ['puts the job back', 'snoozed', 'snoozed', { status: 'pending', retries: 0 }],
    ['answers instead of the handler', 'cached', 'completed', { result: 'from the cache' }],
  ] as const)('an interceptor %s', async (_, topic, event, expected) => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    expect(await app.jobAfter(event, id)).toMatchObject(expected);
  });

  it.each(['empty', 'ended'])('an Observable without a value completes the attempt: %s', async (topic) => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 1, result: null });
  });

  it.each([
    ['filter that has reported it', { status: 'failed', lastError: 'as it was' }],
    ['filter that throws it on', { status: 'failed', lastError: 'as it was' }],
    ['filter that gives no value', { status: 'failed', lastError: 'as it was' }],
    ['filter that gives values', { status: 'completed', result: 'last' }],
  ])('an error stands as long as no value comes: of an asynchronous %s', async (topic, expected) => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ attempt: 1, ...expected });
  });

  it('an Observable of a registered function counts like that of a method', async () => {
    const app = await apps.start({
      handlers: { registered: () => of(1, 2).pipe(tap((value) => steps.push(`${value}`))) },
    });
    const { id } = await app.jobs.enqueue('registered', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 2 });
    expect(steps).toEqual(['1', '2']);
  });

  it('an Observable counts when it has completed, by its last value', async () => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue('streamed', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 30 });
    expect(steps).toEqual(['value 1', 'value 2', 'value 3']);
  });
});
