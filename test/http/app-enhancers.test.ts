/** @matrix nest-11 */

import type {
  ArgumentsHost,
  CallHandler,
  CanActivate,
  ExceptionFilter,
  ExecutionContext,
  NestInterceptor,
  PipeTransform,
} from '@nestjs/common';
import {
  Catch,
  Controller,
  Get,
  Inject,
  Injectable,
  Param,
  ServiceUnavailableException,
  SetMetadata,
  UnauthorizedException,
  ValidationPipe,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, HttpAdapterHost, Reflector } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { map, of, tap } from 'rxjs';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { textWith } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import { expectToWork } from './support/expect-to-work.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

const IS_PUBLIC = 'isPublic';
const Public = (): ClassDecorator & MethodDecorator => SetMetadata(IS_PUBLIC, true);

interface UserRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: { readonly role: string };
}

/** Signs users in by a header, and rejects requests without one, as a global JWT guard does. */
@Injectable()
class UserGuard implements CanActivate {
  constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.getAllAndOverride<boolean>(IS_PUBLIC, [context.getHandler(), context.getClass()])) return true;
    const request = context.switchToHttp().getRequest<UserRequest>();
    const role = request.headers['x-role'];
    if (role === undefined) throw new UnauthorizedException('sign in first');
    request.user = { role };
    return true;
  }
}

/** Admits administrators among the users that {@link UserGuard} has signed in. */
class RoleGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<UserRequest>().user?.role === 'admin';
  }
}

const globalGuard = { provide: APP_GUARD, useClass: UserGuard };

@Injectable()
class Shredder implements PipeTransform {
  transform(): never {
    throw new ServiceUnavailableException('the pipe');
  }
}

@Injectable()
class Wrapper implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((wrapped: unknown) => ({ wrapped })));
  }
}

/** Returns the response of an earlier request to the same path, as Nest's CacheInterceptor does. */
@Injectable()
class Cache implements NestInterceptor {
  private readonly values = new Map<string, unknown>();

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { method, url } = context.switchToHttp().getRequest<{ method: string; url: string }>();
    const value = this.values.get(url);
    if (method !== 'GET' || value !== undefined) return value === undefined ? next.handle() : of(value);
    return next.handle().pipe(tap((response) => this.values.set(url, response)));
  }
}

@Catch()
class Rewriter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { rewritten: true }, 418);
  }
}

const pipe = { provide: APP_PIPE, useClass: Shredder };
const filter = {
  provide: APP_FILTER,
  useFactory: (host: HttpAdapterHost) => new Rewriter(host),
  inject: [HttpAdapterHost],
};
const wrapper = { provide: APP_INTERCEPTOR, useClass: Wrapper };

const enhancers = {
  pipe: [pipe],
  ValidationPipe: [
    {
      provide: APP_PIPE,
      useFactory: () => new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }),
    },
  ],
  'response-wrapping interceptor': [wrapper],
  'caching interceptor': [{ provide: APP_INTERCEPTOR, useClass: Cache }],
  'catch-all filter': [filter],
  'pipe, filter and interceptor': [pipe, filter, wrapper],
};

@Controller('own')
class OwnController {
  @Get()
  show(): string[] {
    return ['own'];
  }

  @Get(':id')
  one(@Param('id') id: string): string[] {
    return [id];
  }
}

describe.each(everyAdapter)("the API beside the application's enhancers on $adapter", (adapter) => {
  const apps = useHttpApps(sqliteFile, adapter);

  it.each(Object.entries(enhancers))('responds the same with a global %s', async (_, providers) => {
    const app = await apps.listen({ providers, controllers: [OwnController] });
    await expectToWork(app, app.api);
    await expectToWork(app, app.api);
  });

  it('responds the same with what main.ts makes global, which changes the other routes', async () => {
    const app = await apps.listen({
      controllers: [OwnController],
      before: (nest) =>
        nest
          .useGlobalPipes(new Shredder())
          .useGlobalInterceptors(new Wrapper())
          .useGlobalFilters(new Rewriter(nest.get(HttpAdapterHost))),
    });
    await expectToWork(app, app.api);
    expect((await fetch(`${app.url}/own/1`)).status).toBe(418);
  });

  it('is protected by a global guard, whose request.user http.adminGuard reads', async () => {
    const http = { adminGuard: RoleGuard };
    const app = await apps.listen({ providers: [globalGuard], options: { http } });
    const status = async (role?: string) =>
      (await app.api.as().get('/stats', { headers: role === undefined ? {} : { 'X-Role': role } })).status;
    expect([await status(), await status('clerk'), await status('admin')]).toEqual([401, 403, 200]);
    expect(await app.api.as().get('/stats')).toMatchObject({
      body: { status: 401, code: 'UNAUTHORIZED', message: 'sign in first', data: {} },
    });
    expect((await fetch(`${app.url}/admin/jobs`)).status).toBe(401);
    expect(apps.log.of('log', 'UserGuard')).toEqual([textWith('http.decorators')]);
  });

  it('opts out of a global guard by http.decorators, the admin UI too', async () => {
    const http = { adminToken: ADMIN_TOKEN, decorators: [Public()] };
    const app = await apps.listen({ providers: [globalGuard], controllers: [OwnController], options: { http } });
    await expectToWork(app, app.api);
    expect((await fetch(`${app.url}/own`)).status).toBe(401);
    expect([200, 503]).toContain((await fetch(`${app.url}/admin/jobs`)).status);
    expect(apps.log.of('log', 'UserGuard')).toEqual([]);
  });

  it('needs both a global guard and the admin token without http.decorators', async () => {
    const app = await apps.listen({
      options: { http: { adminToken: ADMIN_TOKEN } },
      before: (nest) => nest.useGlobalGuards(new UserGuard(nest.get(Reflector))),
    });
    const headers = { 'X-Role': 'clerk' };
    const statuses = [
      await app.api.get(''),
      await app.api.as().get('', { headers }),
      await app.api.get('', { headers }),
    ];
    expect(statuses.map(({ status }) => status)).toEqual([401, 401, 200]);
    expect(apps.log.of('log', 'UserGuard')).toHaveLength(1);
  });
});
