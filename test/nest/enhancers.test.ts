/**
 * @matrix nest-11
 * @never postgres-18
 */

import type {
  ArgumentsHost,
  CallHandler,
  CanActivate,
  ExceptionFilter,
  ExecutionContext,
  NestInterceptor,
} from '@nestjs/common';
import {
  Catch,
  Controller,
  Get,
  Injectable,
  SetMetadata,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { JobContext } from 'nestjs-jobs';
import { isJobContext, JobHandler, UnrecoverableError } from 'nestjs-jobs';
import type { Observable } from 'rxjs';
import { map } from 'rxjs';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { textLike } from './support/matchers.js';

/** Allows jobs of the tenant in the method's metadata. */
@Injectable()
class TenantGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const { tenant } = context.getArgByIndex<JobContext<{ tenant: string }>>(0).payload;
    return tenant === this.reflector.get<string>('tenant', context.getHandler());
  }
}

/** Returns an interceptor that wraps the result in a mark. */
function createMarkInterceptor(mark: string): new () => NestInterceptor {
  @Injectable()
  class MarkInterceptor implements NestInterceptor {
    intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((value) => `${mark}(${String(value)})`));
    }
  }
  return MarkInterceptor;
}

class SoldOut extends Error {}
class Late extends Error {}

@Catch(SoldOut)
class SoldOutFilter implements ExceptionFilter {
  catch(error: SoldOut): never {
    throw new UnrecoverableError(`for good: ${error.message}`);
  }
}

@Catch(Late)
class LateFilter implements ExceptionFilter {
  catch(error: Late, host: ArgumentsHost): { excused: string; topic: string } {
    return { excused: error.message, topic: host.getArgByIndex<JobContext>(0).topic };
  }
}

/** Records each error and returns nothing. */
@Catch()
class WatchingFilter implements ExceptionFilter {
  static readonly seen: unknown[] = [];

  catch(error: unknown): void {
    WatchingFilter.seen.push(error);
  }
}

describe.each(everyKind)('guards, interceptors and filters of handlers on $label', (kind) => {
  const apps = useApps(kind);

  it('a guard of the method fails the attempt', async () => {
    @Injectable()
    class TenantJobs {
      @SetMetadata('tenant', 'blue')
      @UseGuards(TenantGuard)
      @JobHandler('count', { maxRetries: 0 })
      count(): number {
        return 1;
      }
    }
    const app = await apps.start({ providers: [TenantJobs] });
    const blue = await app.jobs.enqueue('count', { tenant: 'blue' });
    const red = await app.jobs.enqueue('count', { tenant: 'red' });
    expect(await app.jobAfter('completed', blue.id)).toMatchObject({ result: 1 });
    expect(await app.jobAfter('failed', red.id)).toMatchObject({
      status: 'failed',
      lastError: 'refused by TenantGuard',
    });
    expect(apps.log.of('warn')).toEqual([textLike(`^failed count ${red.id} attempt 1 .*: refused by TenantGuard`)]);
  });

  it('a guard of the class receives a context of type job with class, method and job', async () => {
    const seen: ExecutionContext[] = [];
    @Injectable()
    class WatchingGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        seen.push(context);
        return true;
      }
    }
    @UseGuards(WatchingGuard)
    @Injectable()
    class WatchedJobs {
      @JobHandler('watched')
      watched(): void {}
    }
    const app = await apps.start({ providers: [WatchedJobs] });
    const { id } = await app.jobs.enqueue('watched', { a: 1 });
    await app.event('completed', id);
    expect(seen).toHaveLength(1);
    expect(seen[0]!.getType<string>()).toBe('job');
    expect(isJobContext(seen[0]!)).toBe(true);
    expect(seen[0]!.getClass()).toBe(WatchedJobs);
    expect(seen[0]!.getHandler()).toBe(WatchedJobs.prototype.watched);
    expect(seen[0]!.getArgByIndex<JobContext>(0)).toMatchObject({
      id,
      topic: 'watched',
      payload: { a: 1 },
      attempt: 1,
    });
  });

  it('interceptors of the class wrap those of the method and change the result', async () => {
    @UseInterceptors(createMarkInterceptor('class'))
    @Injectable()
    class MarkedJobs {
      @UseInterceptors(createMarkInterceptor('method'))
      @JobHandler('marked')
      marked(): string {
        return 'result';
      }
    }
    const app = await apps.start({ providers: [MarkedJobs] });
    const { id } = await app.jobs.enqueue('marked', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'class(method(result))' });
  });

  it('filters of method and class replace an error, return a result or leave the error unchanged', async () => {
    @UseFilters(LateFilter)
    @Injectable()
    class TroubledJobs {
      @UseFilters(SoldOutFilter)
      @JobHandler('sold_out')
      soldOut(): never {
        throw new SoldOut('no lamps');
      }

      @JobHandler('late')
      late(): never {
        throw new Late('traffic');
      }

      @UseFilters(WatchingFilter)
      @JobHandler('watched', { maxRetries: 0 })
      watched(): never {
        throw new Error('seen by the filter');
      }
    }
    const app = await apps.start({ providers: [TroubledJobs] });
    const [soldOut, late, watched] = await app.jobs.enqueueMany(
      ['sold_out', 'late', 'watched'].map((topic) => ({ topic, payload: null })),
    );
    expect(await app.jobAfter('failed', soldOut!.id)).toMatchObject({ attempt: 1, lastError: 'for good: no lamps' });
    expect(await app.jobAfter('completed', late!.id)).toMatchObject({ result: { excused: 'traffic', topic: 'late' } });
    expect(await app.jobAfter('failed', watched!.id)).toMatchObject({ lastError: 'seen by the filter' });
    expect(WatchingFilter.seen).toContainEqual(new Error('seen by the filter'));
  });

  it('a filter that leaves the error unchanged adds no error line to the log', async () => {
    @UseFilters(LateFilter)
    @Injectable()
    class FilteredJobs {
      @JobHandler('filtered', { maxRetries: 1, backoff: { type: 'fixed', delay: 0 } })
      filtered(): never {
        throw new Error('of another class');
      }
    }
    const app = await apps.start({ providers: [FilteredJobs] });
    const { id } = await app.jobs.enqueue('filtered', null);
    await app.event('failed', id);
    expect(apps.log.of('error')).toEqual([]);
    expect(apps.log.of('warn')).toHaveLength(1);
  });

  it('guards run for controllers and for classes under a custom token', async () => {
    @Injectable()
    class ClosedGuard implements CanActivate {
      canActivate(): boolean {
        return false;
      }
    }
    @UseGuards(ClosedGuard)
    @Controller()
    class ClosedController {
      @JobHandler('controller', { maxRetries: 0 })
      run(): void {}
    }
    @Injectable()
    class ClosedJobs {
      @UseGuards(ClosedGuard)
      @JobHandler('token', { maxRetries: 0 })
      run(): void {}
    }
    const app = await apps.start({
      controllers: [ClosedController],
      providers: [{ provide: 'CLOSED', useClass: ClosedJobs }],
    });
    const token = await app.jobs.enqueue('token', null);
    const controller = await app.jobs.enqueue('controller', null);
    await app.jobs.whenIdle();
    expect(await app.job(token.id)).toMatchObject({ status: 'failed', lastError: 'refused by ClosedGuard' });
    expect(await app.job(controller.id)).toMatchObject({ status: 'failed', lastError: 'refused by ClosedGuard' });
  });

  it('isJobContext returns false for a request', async () => {
    const types: [string, boolean][] = [];
    @Injectable()
    class TypeGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        types.push([context.getType<string>(), isJobContext(context)]);
        return true;
      }
    }
    @UseGuards(TypeGuard)
    @Controller('both')
    class BothController {
      @Get()
      @JobHandler('both')
      both(): string {
        return 'both';
      }
    }
    const app = await apps.start({ controllers: [BothController], providers: [TypeGuard] });
    await app.app.listen(0, '127.0.0.1');
    const response = await fetch(`${await app.app.getUrl()}/both`);
    expect(await response.text()).toBe('both');
    const { id } = await app.jobs.enqueue('both', null);
    await app.event('completed', id);
    expect(types).toEqual([
      ['http', false],
      ['job', true],
    ]);
  });
});
