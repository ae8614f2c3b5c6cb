/** @matrix nest-11 */

import type { CanActivate, ExecutionContext, INestApplication, Type } from '@nestjs/common';
import {
  ForbiddenException,
  HttpException,
  Inject,
  Injectable,
  Module,
  Scope,
  UnauthorizedException,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import type { HttpOptions } from 'nestjs-jobs';
import { of } from 'rxjs';
import { JobsClient } from '../../client/index.js';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { some, textWith } from '../nest/support/matchers.js';
import type { AdapterKind } from './support/adapters.js';
import { everyAdapter } from './support/adapters.js';
import type { HttpApp, HttpAppParts } from './support/http-apps.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The application's own session. */
  session?: { readonly role: string };
}

interface FastifyHooks {
  addHook(name: 'onRequest', hook: (request: AnyRequest) => Promise<void>): void;
}

/** Reads a session from each request, as an application's middleware or hook does. */
function withSessions(app: INestApplication): void {
  const read = (request: AnyRequest): void => {
    const role = /(?:^|; )role=(\w+)/.exec(request.headers.cookie ?? '')?.[1];
    if (role) request.session = { role };
  };
  const server = app.getHttpAdapter();
  if (server.getType() === 'express') {
    app.use((request: AnyRequest, _response: unknown, next: () => void) => {
      read(request);
      next();
    });
  } else {
    const fastify = server.getInstance() as FastifyHooks;
    fastify.addHook('onRequest', async (request) => read(request));
  }
}

/** Headers with a session of this role, or without a session. */
const as = (role?: string): Record<string, string> => (role === undefined ? {} : { Cookie: `role=${role}` });
const isOperator = (request: AnyRequest): boolean => request.session?.role === 'operator';
const requestIn = (context: ExecutionContext): AnyRequest => context.switchToHttp().getRequest<AnyRequest>();

/** A provider of the application, injected into its guard. */
@Injectable()
class Roles {
  mayOperate(role: string | undefined): boolean {
    return role === 'operator';
  }
}

@Module({ providers: [Roles], exports: [Roles] })
class RolesModule {}

@Injectable()
class OperatorGuard implements CanActivate {
  readonly contexts: ExecutionContext[] = [];

  constructor(@Inject(Roles) private readonly roles: Roles) {}

  canActivate(context: ExecutionContext): boolean {
    this.contexts.push(context);
    return this.roles.mayOperate(requestIn(context).session?.role);
  }
}

@Module({ imports: [RolesModule], providers: [OperatorGuard] })
class GuardModule {}

@Injectable({ scope: Scope.REQUEST })
class ScopedGuard implements CanActivate {
  constructor(@Inject(REQUEST) private readonly request: AnyRequest) {}

  canActivate(): boolean {
    return isOperator(this.request);
  }
}

@Module({ providers: [ScopedGuard] })
class ScopedModule {}

/** Has no dependencies, and no module provides it. */
class LooseGuard implements CanActivate {
  canActivate(context: ExecutionContext) {
    return of(isOperator(requestIn(context)));
  }
}

class FieldGuard implements CanActivate {
  canActivate = (context: ExecutionContext): boolean => isOperator(requestIn(context));
}

/** Callers who may only enqueue need a topic that exists. */
const handlers = { a: () => undefined };

/** Starts applications with these HTTP options. */
function useWays(adapterKind: AdapterKind) {
  const apps = useHttpApps(sqliteMemory, adapterKind);
  const listen = (http: HttpOptions, parts: HttpAppParts = {}): Promise<HttpApp> =>
    apps.listen({ before: withSessions, ...parts, options: { role: 'producer', http } });
  return { apps, listen };
}

describe.each(everyAdapter)("the application's own guard on $adapter", (adapterKind) => {
  const { apps, listen } = useWays(adapterKind);

  it.each<[string, { imports?: Type[]; adminGuard: NonNullable<HttpOptions['adminGuard']> }]>([
    ['a provider of some module', { imports: [GuardModule], adminGuard: OperatorGuard }],
    ['a provider in request scope', { imports: [ScopedModule], adminGuard: ScopedGuard }],
    ['a class that no module has', { adminGuard: LooseGuard }],
    ['a class whose canActivate is a field', { adminGuard: FieldGuard }],
    ['an instance', { adminGuard: new LooseGuard() }],
  ])('may be %s, and reads the session that middleware has set', async (_, { imports = [], adminGuard }) => {
    const { api } = await listen({ adminGuard }, { imports });
    const status = async (role?: string) => (await api.as().get('', { headers: as(role) })).status;
    expect([await status('operator'), await status('customer'), await status()]).toEqual([200, 403, 403]);
  });

  it('stops the application by its name when its dependencies are missing', async () => {
    await expect(listen({ adminGuard: OperatorGuard })).rejects.toThrow(/OperatorGuard/);
  });

  it.each<[string, unknown, string]>([
    ['a class without canActivate', Roles, 'got Roles, which has no canActivate'],
    ['a function', isOperator, "got the function 'isOperator'"],
    ['an object', {}, 'got an object'],
    ['text', 'admin', "got 'admin'"],
  ])('must not be %s; the error names it', async (_, guard, got) => {
    const options = { http: { adminGuard: guard as never } };
    const message = textWith(`http.adminGuard: expected a guard or its class, ${got}`);
    expect(await apps.refusal({ options })).toMatchObject({
      code: 'INVALID_OPTIONS',
      option: 'http.adminGuard',
      message,
    });
  });

  it("receives Nest's own ExecutionContext", async () => {
    const { api, module } = await listen({ adminGuard: OperatorGuard }, { imports: [GuardModule] });
    await api.as().get('/stats', { headers: { 'X-Mine': 'yes' } });
    const context = module.get(OperatorGuard, { strict: false }).contexts[0]!;
    expect(context.getType()).toBe('http');
    expect(context.getHandler().name).toBe('stats');
    expect(context.getClass().name).toBe('JobsReportsController');
    expect(requestIn(context).headers).toMatchObject({ 'x-mine': 'yes' });
    const http = context.switchToHttp();
    expect(http.getRequest()).toHaveProperty(adapterKind.adapter === 'Express' ? 'originalUrl' : 'routeOptions');
    expect(http.getResponse()).toHaveProperty(adapterKind.adapter === 'Express' ? 'req' : 'raw');
  });
});

describe.each(everyAdapter)('identifying callers on $adapter', (adapterKind) => {
  const { apps, listen } = useWays(adapterKind);

  const authenticate = ({ session }: AnyRequest) =>
    Promise.resolve(session ? { id: session.role, admin: session.role === 'operator' } : null);
  const guard = { canActivate: (): boolean => false };

  it.each([
    ['http.adminGuard', { adminToken: 'a', adminGuard: guard }],
    ['http.authenticate', { adminToken: 'a', authenticate }],
    ['http.authenticate', { adminGuard: guard, authenticate }],
  ])('rejects %s beside another way', async (option, http) => {
    expect(await apps.refusal({ options: { http } })).toMatchObject({ code: 'INVALID_OPTIONS', option });
  });

  it('logs a warning at start if no administrator is configured, and none otherwise', async () => {
    await listen({});
    expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([
      textWith('The jobs API and admin UI are closed: no administrator is configured. Set JOBS_ADMIN_TOKEN, or'),
    ]);
    apps.log.lines.splice(0);
    await listen({ adminToken: ADMIN_TOKEN });
    await listen({ authenticate });
    await listen({ adminGuard: guard });
    expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([]);
  });

  it('logs at start which rules admit no request without an administrator', async () => {
    await listen({ enqueueRule: 'public', readRule: () => true });
    expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([textWith('http.manageRule admits no request')]);
    apps.log.lines.splice(0);
    await listen({ enqueueRule: 'public', manageRule: () => true });
    expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([]);
  });

  it('logs that JOBS_ADMIN_TOKEN has no effect beside authenticate', async () => {
    process.env.JOBS_ADMIN_TOKEN = ADMIN_TOKEN;
    try {
      const { api } = await listen({ authenticate });
      expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([textWith('has no effect')]);
      expect((await api.as(ADMIN_TOKEN).get('')).status).toBe(401);
    } finally {
      delete process.env.JOBS_ADMIN_TOKEN;
    }
  });

  it("accepts an asynchronous function of the adapter's request", async () => {
    const { api } = await listen({ authenticate });
    const status = async (role?: string) => (await api.as().get('', { headers: as(role) })).status;
    expect([await status('operator'), await status('customer'), await status()]).toEqual([200, 403, 401]);
  });

  const refusals: [what: string, error: Error, status: number, code: string][] = [
    ['401', new UnauthorizedException('the session has ended'), 401, 'UNAUTHORIZED'],
    ['403', new HttpException('blocked', 403), 403, 'FORBIDDEN'],
    ['429', new HttpException('too many requests', 429), 429, 'TOO_MANY_REQUESTS'],
    ['503', new HttpException('the session store at 10.1.2.3 is away', 503), 503, 'SERVICE_UNAVAILABLE'],
    ['an error', new Error('the session store at 10.1.2.3 is down'), 500, 'INTERNAL'],
    ['a success', new HttpException('the session store says yes', 200), 500, 'INTERNAL'],
    ['a redirection', new HttpException('log in at the session store', 302), 500, 'INTERNAL'],
    ['a status that is none', new HttpException('the session store is odd', 0), 500, 'INTERNAL'],
    ['nothing', undefined as never, 500, 'INTERNAL'],
    ['null', null as never, 500, 'INTERNAL'],
  ];

  it.each(refusals)(
    'responds with the status of an HttpException, or with 500 without details: %s',
    async (_, error, status, code) => {
      const breaks = () => Promise.reject(error);
      for (const http of [
        { authenticate: breaks },
        { adminGuard: { canActivate: breaks } },
        { authenticate: () => null, manageRule: breaks },
      ]) {
        const { api } = await listen(http);
        apps.log.lines.splice(0);
        const answer = await api.get('/stats');
        expect(answer).toMatchObject({ status, body: { status, code, message: some(String), data: {} } });
        expect(answer.text).not.toMatch(/session store|10\.1|at \w+ \(/);
        expect(apps.log.of('error')).toHaveLength(status === 500 ? 1 : 0);
        expect(apps.log.of('warn', `with 503: ${error?.message}`)).toHaveLength(status === 503 ? 1 : 0);
        // A rule that rejects does not identify the caller, who stays unknown.
        const isUnknown = 'manageRule' in http && status < 500;
        expect((await api.get('/capabilities')).status).toBe(isUnknown ? 401 : status);
      }
    },
  );

  const texts: [what: string, error: HttpException, status: number, message: string][] = [
    ['a text for 401', new UnauthorizedException('bad token'), 401, 'bad token'],
    ['a text for 403', new ForbiddenException('operators only'), 403, 'operators only'],
    ['a text for 429', new HttpException('too many requests', 429), 429, 'too many requests'],
    ['no text', new UnauthorizedException(), 401, 'Unauthorized'],
    ['an object', new ForbiddenException({ message: 'operators only', tenant: 'secret-1' }), 403, 'operators only'],
    ['an object without a message', new UnauthorizedException({ tenant: 'secret-1' }), 401, 'Unauthorized Exception'],
    ['a cause', new UnauthorizedException('bad token', { cause: new Error('secret-1') }), 401, 'bad token'],
  ];

  it.each(texts)(
    'keeps the message of an HttpException, and nothing else of it: %s',
    async (_, error, status, message) => {
      const rejects = () => Promise.reject(error);
      for (const http of [{ authenticate: rejects }, { adminGuard: { canActivate: rejects } }]) {
        const { api } = await listen(http);
        const response = await api.as().get('/stats');
        const code = { 401: 'UNAUTHORIZED', 403: 'FORBIDDEN', 429: 'TOO_MANY_REQUESTS' }[status];
        expect([response.status, response.body]).toEqual([status, { status, code, message, data: {} }]);
        expect([...response.headers.values()].join()).not.toContain('secret-1');
      }
    },
  );

  it('responds with 500 to an invalid result of authenticate, and logs why', async () => {
    const nonsense: unknown[] = [{ id: 'ada', admin: 'yes' }, { admin: true, name: 'ada' }, true];
    for (const user of nonsense) {
      const { api } = await listen({ authenticate: () => user as never });
      apps.log.lines.splice(0);
      expect(await api.get('')).toMatchObject({ status: 500, body: { status: 500, code: 'INTERNAL', data: {} } });
      expect(apps.log.of('error', 'http.authenticate must return { id, admin } or null')).toHaveLength(1);
    }
  });

  const auditor = ({ request }: { request: AnyRequest }) => Promise.resolve(request.session?.role === 'auditor');

  it.each<[string, HttpOptions, string | undefined, object]>([
    [
      'an operator',
      { authenticate },
      'operator',
      { admin: true, authenticated: true, enqueue: true, read: true, manage: true },
    ],
    [
      'a user who may enqueue',
      { authenticate, enqueueRule: 'authenticated' },
      'customer',
      { admin: false, authenticated: true, enqueue: true, read: false, manage: false },
    ],
    [
      'an unknown caller under a public enqueueRule',
      { adminToken: 't', enqueueRule: 'public' },
      undefined,
      { admin: false, authenticated: false, enqueue: true, read: false, manage: false },
    ],
    [
      'a caller whom the guard rejects, under a public enqueueRule',
      { adminGuard: guard, enqueueRule: 'public' },
      undefined,
      { admin: false, authenticated: false, enqueue: true, read: false, manage: false },
    ],
    [
      'a caller whom a manageRule function admits',
      { adminToken: 't', manageRule: auditor },
      'auditor',
      { admin: false, authenticated: false, enqueue: false, read: true, manage: true },
    ],
    [
      'a caller whom a readRule function admits',
      { adminToken: 't', readRule: auditor },
      'auditor',
      { admin: false, authenticated: false, enqueue: false, read: true, manage: false },
    ],
  ])('decides what GET /capabilities returns to %s', async (_, http, role, capabilities) => {
    const { api } = await listen(http);
    const answer = await api.as().get('/capabilities', { headers: as(role) });
    expect(answer).toMatchObject({ status: 200, body: capabilities });
    expect((await api.as().get('/nothing/here', { headers: as(role) })).status).toBe(404);
  });

  it('gives each caller separate idempotency keys', async () => {
    const { api } = await listen({ authenticate, enqueueRule: 'authenticated' }, { handlers });
    const store = (role: string, payload: number) => {
      const headers = { ...as(role), 'Idempotency-Key': 'first' };
      return api.as().post<{ id: string }>('/enqueue', { topic: 'a', payload, delay: '1h' }, { headers });
    };
    const [anna, bert, again] = [await store('anna', 1), await store('bert', 2), await store('anna', 1)];
    expect([anna.status, bert.status, again.status]).toEqual([201, 201, 200]);
    expect(again.body.id).toBe(anna.body.id);
    const other = await store('bert', 3);
    expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_CONFLICT' } });
    expect(other.text).toContain("'first'");
  });

  describe.each<[string, HttpOptions['enqueueRule']]>([
    ['a public rule', 'public'],
    ['a function', () => true],
  ])('the idempotency key of a caller without an identity, admitted by %s', (_, enqueueRule) => {
    const enqueue = (api: HttpApp['api'], key: string, payload: number) => {
      const job = { topic: 'a', payload, delay: '1h' };
      return api.as().post<{ id: string }>('/enqueue', job, { headers: { 'Idempotency-Key': key } });
    };

    it('is rejected if another caller could use the same', async () => {
      const { api, jobs } = await listen({ adminGuard: guard, enqueueRule }, { handlers });
      expect((await api.as().post('/enqueue', { topic: 'a', payload: 1, delay: '1h' })).status).toBe(201);
      for (const key of ['1', 'order-7', 'x'.repeat(19)]) {
        const refused = { status: 400, body: { code: 'INVALID_REQUEST', data: { idempotency_key: some(String) } } };
        expect(await enqueue(api, key, 1)).toMatchObject(refused);
      }
      expect((await jobs.list()).total).toBe(1);
    });

    it('identifies a repetition if it is long, and neither blocks nor reveals the job of another body', async () => {
      const { api, jobs, url } = await listen({ adminGuard: guard, enqueueRule }, { handlers });
      const key = '7d1f0a52-9a0e-4c5e-8f5d-0d8f6a1b2c3d';
      const [first, again, other] = [
        await enqueue(api, key, 1),
        await enqueue(api, key, 1),
        await enqueue(api, key, 2),
      ];
      expect([first.status, again.status, other.status]).toEqual([201, 200, 201]);
      expect([again.body.id === first.body.id, other.body.id === first.body.id]).toEqual([true, false]);
      const sent = await new JobsClient({ baseUrl: url }).enqueue('a', 3, { delay: '1h' });
      expect((await jobs.list()).items.map(({ id }) => id)).toEqual([sent.id, other.body.id, first.body.id]);
    });
  });

  it('stores no second job for a repetition while the guard fails', async () => {
    let isAway = false;
    const admin = { canActivate: () => (isAway ? Promise.reject(new Error('away')) : true) };
    const { api, jobs } = await listen({ adminGuard: admin, enqueueRule: 'public' }, { handlers });
    const headers = { 'Idempotency-Key': '7d1f0a52-9a0e-4c5e-8f5d-0d8f6a1b2c3d' };
    const enqueue = () => api.as().post('/enqueue', { topic: 'a', payload: 1, delay: '1h' }, { headers });
    const first = await enqueue();
    isAway = true;
    const second = await enqueue();
    isAway = false;
    const third = await enqueue();
    expect([first.status, second.status, third.status]).toEqual([201, 500, 200]);
    expect((await jobs.list()).total).toBe(1);
  });
});
