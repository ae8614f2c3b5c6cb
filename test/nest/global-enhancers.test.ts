/** @matrix nest-11 */

import type { CallHandler, CanActivate, ExceptionFilter, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Catch, Controller, Get, Injectable, Scope, SetMetadata, UseGuards } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler, JobsService } from 'nestjs-jobs';
import type { Observable } from 'rxjs';
import { map, of } from 'rxjs';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';

/** Calls of the global enhancers, as kind and context type. */
let seen: string[] = [];

@Injectable()
class GlobalGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    seen.push(`guard ${context.getType<string>()}`);
    return true;
  }
}

@Injectable()
class GlobalInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    seen.push(`interceptor ${context.getType<string>()}`);
    return next.handle().pipe(map((data: unknown) => ({ data })));
  }
}

@Catch()
class GlobalFilter implements ExceptionFilter {
  catch(error: Error): string {
    seen.push('filter');
    return `caught ${error.message}`;
  }
}

@Injectable()
class RefusingGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Controller('shop')
class ShopController {
  @Get()
  @JobHandler('open')
  open(): string {
    return 'open';
  }

  @JobHandler('broken', { maxRetries: 0 })
  broken(): never {
    throw new Error('broken');
  }
}

const byProviders: AppParts = {
  controllers: [ShopController],
  providers: [
    { provide: APP_GUARD, useClass: GlobalGuard },
    { provide: APP_INTERCEPTOR, useClass: GlobalInterceptor },
    { provide: APP_FILTER, useClass: GlobalFilter },
  ],
};

describe('global enhancers', () => {
  const apps = useApps(sqliteMemory);

  beforeEach(() => {
    seen = [];
  });

  it('skip handlers by default and run for requests', async () => {
    const app = await apps.start(byProviders);
    await app.app.listen(0, '127.0.0.1');
    const response = await fetch(`${await app.app.getUrl()}/shop`);
    expect(await response.json()).toEqual({ data: 'open' });
    expect(seen.splice(0)).toEqual(['guard http', 'interceptor http']);

    const open = await app.jobs.enqueue('open', null);
    const broken = await app.jobs.enqueue('broken', null);
    expect(await app.jobAfter('completed', open.id)).toMatchObject({ result: 'open' });
    expect(await app.jobAfter('failed', broken.id)).toMatchObject({ lastError: 'broken' });
    expect(seen).toEqual([]);
  });

  it('skip handlers by default when set on the application object', async () => {
    const app = await apps.create({ controllers: [ShopController] });
    app.app.useGlobalGuards(new GlobalGuard());
    app.app.useGlobalInterceptors(new GlobalInterceptor());
    app.app.useGlobalFilters(new GlobalFilter());
    await app.app.init();
    const open = await app.jobs.enqueue('open', null);
    const broken = await app.jobs.enqueue('broken', null);
    expect(await app.jobAfter('completed', open.id)).toMatchObject({ result: 'open' });
    expect(await app.jobAfter('failed', broken.id)).toMatchObject({ lastError: 'broken' });
    expect(seen).toEqual([]);
  });

  it('run for handlers with globalEnhancers: true', async () => {
    const app = await apps.start({ ...byProviders, options: { globalEnhancers: true } });
    const open = await app.jobs.enqueue('open', null);
    expect(await app.jobAfter('completed', open.id)).toMatchObject({ result: { data: 'open' } });
    expect(seen.splice(0)).toEqual(['guard job', 'interceptor job']);
    const broken = await app.jobs.enqueue('broken', null);
    expect(await app.jobAfter('completed', broken.id)).toMatchObject({ result: 'caught broken' });
    expect(seen).toContain('filter');
  });

  it('run for registered functions and see their metadata', async () => {
    const open = (): Observable<string> => of('closed', 'open');
    @Injectable()
    class EarlyJobs {
      constructor(jobs: JobsService) {
        jobs.register('open', open);
      }
    }
    Reflect.decorate([UseGuards(RefusingGuard), SetMetadata('roles', ['porter'])], open);
    const roles: unknown[] = [];
    const app = await apps.create({
      providers: [EarlyJobs, ...byProviders.providers!],
      options: { globalEnhancers: true },
    });
    app.app.useGlobalGuards({
      canActivate: (context) => roles.push(Reflect.getMetadata('roles', context.getHandler())) > 0,
    });
    await app.app.init();
    app.jobs.register('broken', () => {
      throw new Error('broken');
    });
    const opened = await app.jobs.enqueue('open', null);
    expect(await app.jobAfter('completed', opened.id)).toMatchObject({ result: { data: 'open' } });
    expect(seen.splice(0)).toEqual(['guard job', 'interceptor job']);
    expect(roles).toEqual([['porter']]);
    const broken = await app.jobs.enqueue('broken', null);
    expect(await app.jobAfter('completed', broken.id)).toMatchObject({ result: 'caught broken' });
  });

  it.each([
    ['request-scoped', Scope.REQUEST],
    ['transient', Scope.TRANSIENT],
  ])('that are %s run for handlers of singleton providers', async (_, scope) => {
    let guards = 0;
    @Injectable({ scope })
    class ScopedGuard implements CanActivate {
      constructor() {
        guards += 1;
      }

      canActivate(context: ExecutionContext): boolean {
        return context.getArgByIndex<JobContext<boolean>>(0).payload;
      }
    }
    let instances = 0;
    @Injectable()
    class SharedJobs {
      private readonly number = (instances += 1);

      @JobHandler('guarded')
      guarded(): number {
        return this.number;
      }
    }
    @Injectable()
    class RegisteringJobs {
      constructor(jobs: JobsService) {
        jobs.register('registered', () => 'run');
      }
    }
    const app = await apps.start({
      providers: [SharedJobs, RegisteringJobs, { provide: APP_GUARD, useClass: ScopedGuard }],
      options: { globalEnhancers: true },
    });
    const before = guards;
    const [first, second, refused] = await app.jobs.enqueueMany(
      [true, true, false].map((payload) => ({ topic: 'guarded', payload })),
    );
    expect(await app.jobAfter('completed', first!.id)).toMatchObject({ result: 1 });
    expect(await app.jobAfter('completed', second!.id)).toMatchObject({ result: 1 });
    expect(await app.jobAfter('failed', refused!.id)).toMatchObject({
      lastError: 'refused by ScopedGuard',
      attempt: 1,
    });
    expect(guards - before).toBeGreaterThanOrEqual(scope === Scope.REQUEST ? 3 : 1);
    expect(instances).toBe(1);
    const [run, stopped] = await app.jobs.enqueueMany(
      [true, false].map((payload) => ({ topic: 'registered', payload })),
    );
    expect(await app.jobAfter('completed', run!.id)).toMatchObject({ result: 'run' });
    expect(await app.jobAfter('failed', stopped!.id)).toMatchObject({
      lastError: 'refused by ScopedGuard',
      attempt: 1,
    });
  });
});
