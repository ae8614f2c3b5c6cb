/** @matrix nest-11 */

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

/** Records the start and the end of each attempt. */
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

/** Returns a filter that returns the result of `answer`. */
const returning = (toValue: (error: unknown) => unknown): ExceptionFilter => {
  @Catch()
  class ReturningFilter implements ExceptionFilter {
    catch(error: unknown): unknown {
      return toValue(error);
    }
  }
  return new ReturningFilter();
};

/** Returns an interceptor that replaces an error with the Observable of `replace`. */
const replacingError = (replace: (error: unknown) => Observable<unknown>): NestInterceptor => ({
  intercept: (_context, next) => next.handle().pipe(catchError(replace)),
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

  @UseInterceptors(replacingError(() => of('excused')))
  @JobHandler('excused')
  excused(): never {
    throw new Error('late');
  }

  @UseInterceptors(replacingError(() => throwError(() => new UnrecoverableError('hopeless'))))
  @JobHandler('hopeless')
  hopeless(): never {
    throw new Error('late');
  }

  @UseInterceptors(replacingError(() => throwError(() => new SnoozeError('1h'))))
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

  @UseFilters(returning(async () => steps.push('reported') && undefined))
  @JobHandler('filter that returns nothing', { maxRetries: 0 })
  reported(): never {
    throw new Error('as it was');
  }

  @UseFilters(returning((error) => throwError(() => error)))
  @JobHandler('filter that throws the error again', { maxRetries: 0 })
  thrownOn(): never {
    throw new Error('as it was');
  }

  @UseFilters(returning(() => EMPTY))
  @JobHandler('filter with an empty Observable', { maxRetries: 0 })
  unanswered(): never {
    throw new Error('as it was');
  }

  @UseFilters(returning(async () => of('first', 'last')))
  @JobHandler('filter with an Observable of values')
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

describe('enhancers of a handler', () => {
  const apps = useApps(sqliteMemory);

  beforeEach(() => {
    steps = [];
  });

  it('run per attempt in the order guard, interceptor, pipe, handler, filter', async () => {
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
    ['replace an error with a value', 'excused', 'completed', { result: 'excused', lastError: null }],
    ['fail the job with an UnrecoverableError', 'hopeless', 'failed', { attempt: 1, lastError: 'hopeless' }],
    ['snooze the job with a SnoozeError', 'snoozed', 'snoozed', { status: 'pending', retries: 0 }],
    ['return a value without calling the handler', 'cached', 'completed', { result: 'from the cache' }],
  ] as const)('interceptors can %s', async (_, topic, event, expected) => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    expect(await app.jobAfter(event, id)).toMatchObject(expected);
  });

  it.each(['empty', 'ended'])(
    'an Observable that emits no value completes the attempt with the result null: %s',
    async (topic) => {
      const app = await apps.start({ providers: [PipelineJobs] });
      const { id } = await app.jobs.enqueue(topic, null);
      await app.jobs.whenIdle();
      expect(await app.job(id)).toMatchObject({ status: 'completed', attempt: 1, result: null });
    },
  );

  it.each([
    ['filter that returns nothing', { status: 'failed', lastError: 'as it was' }],
    ['filter that throws the error again', { status: 'failed', lastError: 'as it was' }],
    ['filter with an empty Observable', { status: 'failed', lastError: 'as it was' }],
    ['filter with an Observable of values', { status: 'completed', result: 'last' }],
  ])('an asynchronous filter completes the attempt only if it returns a value: %s', async (topic, expected) => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue(topic, null);
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ attempt: 1, ...expected });
  });

  it('a registered function may return an Observable; its last value is the result', async () => {
    const app = await apps.start({
      handlers: { registered: () => of(1, 2).pipe(tap((value) => steps.push(`${value}`))) },
    });
    const { id } = await app.jobs.enqueue('registered', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 2 });
    expect(steps).toEqual(['1', '2']);
  });

  it('the last value of an Observable is the result', async () => {
    const app = await apps.start({ providers: [PipelineJobs] });
    const { id } = await app.jobs.enqueue('streamed', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 30 });
    expect(steps).toEqual(['value 1', 'value 2', 'value 3']);
  });
});
