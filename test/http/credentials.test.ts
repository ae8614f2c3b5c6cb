import type { ExecutionContext, INestApplication } from '@nestjs/common';
import { HttpException, Injectable, UnauthorizedException } from '@nestjs/common';
import type { HttpOptions } from 'nestjs-jobs';
import { of } from 'rxjs';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { some, textWith } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps, useOneHttpApp } from './support/http-apps.js';
import { sendRaw } from './support/raw-request.js';

const TOKEN = 'Secret-Token_0123456789.~+/=';

interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** What the application's own session keeps. */
  session?: { readonly role: string };
}

interface FastifyHooks {
  addHook(name: 'onRequest', hook: (request: AnyRequest) => Promise<void>): void;
}

/** Reads a session for each request, as an application's middleware or hook does. */
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

@Injectable()
class Roles {
  mayOperate(role: string | undefined): boolean {
    return role === 'operator';
  }
}

@Injectable()
class OperatorGuard {
  constructor(readonly roles: Roles) {}

  canActivate(context: ExecutionContext): boolean {
    return this.roles.mayOperate(context.switchToHttp().getRequest<AnyRequest>().session?.role);
  }
}

describe.each(everyAdapter)('the token of administrators on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer', http: { adminToken: TOKEN } } });

  const ask = async (headers: Record<string, string>, path = '/api/jobs'): Promise<number> =>
    (await sendRaw(app().url, { path, headers })).status;

  it.each([`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `BEARER ${TOKEN}`, `Bearer   ${TOKEN}`, `Bearer ${TOKEN} `])(
    'is taken as %p',
    async (Authorization) => {
      expect(await ask({ Authorization })).toBe(200);
    },
  );

  it.each([
    '',
    'Bearer',
    'Bearer ',
    TOKEN,
    `Bearer${TOKEN}`,
    `Bearer ${TOKEN.toLowerCase()}`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN}0`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer ${TOKEN}, Bearer ${TOKEN}`,
    `Bearer "${TOKEN}"`,
    `Bearer ${encodeURIComponent(TOKEN)}`,
    `Bearer wrong ${TOKEN}`,
    `Token ${TOKEN}`,
    `Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`,
    `Basic ${TOKEN}`,
    'Bearer undefined',
    'Bearer null',
    'Bearer [object Object]',
    `Bearer ${'x'.repeat(8_000)}`,
  ])('is not taken as %p', async (Authorization) => {
    expect(await ask({ Authorization })).toBe(401);
  });

  it('is taken from the header Authorization alone', async () => {
    const token = encodeURIComponent(TOKEN);
    const queries = ['token', 'access_token', 'authorization', 'auth', 'adminToken', 'JOBS_ADMIN_TOKEN'];
    for (const name of queries) {
      expect([name, await ask({}, `/api/jobs?${name}=${token}`)]).toEqual([name, 401]);
    }
    const headers = [
      'X-Authorization',
      'Proxy-Authorization',
      'X-Api-Key',
      'X-Admin-Token',
      'X-Forwarded-Authorization',
    ];
    for (const name of headers) {
      expect([name, await ask({ [name]: `Bearer ${TOKEN}` })]).toEqual([name, 401]);
    }
    expect(await ask({ Cookie: `token=${token}; Authorization=Bearer ${token}` })).toBe(401);
    expect(await ask({}, `//admin:${token}@127.0.0.1/api/jobs`)).toBeGreaterThanOrEqual(400);
    const inBody = JSON.stringify({ topic: 'a', payload: 1, token: TOKEN, adminToken: TOKEN });
    const post = { method: 'POST', path: '/api/jobs/enqueue', headers: { 'Content-Type': 'application/json' } };
    expect((await sendRaw(app().url, { ...post, body: inBody })).status).toBe(401);
  });
});

describe.each(everyAdapter)('those who know callers on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteMemory, adapterKind);

  const listen = (http: HttpOptions, parts: Parameters<typeof apps.listen>[0] = {}) =>
    apps.listen({ ...parts, options: { role: 'producer', http } });

  const authenticate = (): null => null;
  const guard = { canActivate: (): boolean => true };

  it.each([
    ['http.guard', { adminToken: 'a', guard }],
    ['http.authenticate', { adminToken: 'a', authenticate }],
    ['http.authenticate', { guard, authenticate }],
  ])('are one at most: %s is refused beside another', async (option, http) => {
    expect(await apps.refusal({ options: { http } })).toMatchObject({ code: 'INVALID_OPTIONS', option });
  });

  it('are missed at start, in words that say what to do, and not when there is one', async () => {
    await listen({});
    expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([textWith('http.adminToken, http.guard')]);
    apps.log.lines.splice(0);
    await listen({ adminToken: ADMIN_TOKEN });
    await listen({ authenticate: () => null });
    await listen({ guard: { canActivate: () => false } });
    expect(apps.log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([]);
  });

  it('never stand in the log with what they were given', async () => {
    const app = await listen({ adminToken: TOKEN });
    await app.api.as('a-wrong-secret').get('');
    await app.api.as(TOKEN).get('');
    await app.api.as(TOKEN).post('/enqueue', { topic: 1 });
    const log = apps.log.lines.map(({ text }) => text).join('\n');
    expect(log).not.toContain(TOKEN);
    expect(log).not.toContain('a-wrong-secret');
  });

  it("may be a guard with dependencies of the application, told by the application's own session", async () => {
    const app = await listen({ guard: OperatorGuard }, { providers: [Roles, OperatorGuard], before: withSessions });
    const operator = await app.api.as().get('', { headers: { Cookie: 'role=operator' } });
    const customer = await app.api.as().get('', { headers: { Cookie: 'role=customer' } });
    expect([operator.status, customer.status, (await app.api.as().get('')).status]).toEqual([200, 403, 403]);
  });

  it('may be a guard that nobody has provided, as long as its dependencies are there', async () => {
    class LooseGuard {
      canActivate(context: ExecutionContext) {
        return of(context.switchToHttp().getRequest<AnyRequest>().session?.role === 'operator');
      }
    }
    const app = await listen({ guard: LooseGuard }, { before: withSessions });
    expect((await app.api.as().get('', { headers: { Cookie: 'role=operator' } })).status).toBe(200);
    expect((await app.api.as().get('')).status).toBe(403);
  });

  it('stop the application when the dependencies of a guard are missing', async () => {
    await expect(listen({ guard: OperatorGuard })).rejects.toThrow(/OperatorGuard/);
  });

  it('give a guard what Nest gives its guards', async () => {
    const contexts: ExecutionContext[] = [];
    const app = await listen({ guard: { canActivate: (context: ExecutionContext) => contexts.push(context) > 0 } });
    const headers = { 'X-Mine': 'yes' };
    await app.api.as().get('/stats', { headers });
    const [context] = contexts as [ExecutionContext];
    expect(context.getType()).toBe('http');
    expect(context.switchToHttp().getRequest<AnyRequest>().headers).toMatchObject({ 'x-mine': 'yes' });
    expect(context.switchToHttp().getResponse()).toEqual(some(Object));
    expect(context.getClass().name).toMatch(/Controller$/);
    expect(context.getHandler().name).toBe('stats');
  });

  it("may be a function that is given the adapter's request, and waits", async () => {
    const app = await listen(
      {
        authenticate: async ({ session }: AnyRequest) =>
          Promise.resolve(session ? { id: session.role, admin: session.role === 'operator' } : null),
      },
      { before: withSessions },
    );
    const status = async (headers: Record<string, string>) => (await app.api.as().get('', { headers })).status;
    expect(await status({ Cookie: 'role=operator' })).toBe(200);
    expect(await status({ Cookie: 'role=customer' })).toBe(403);
    expect(await status({})).toBe(401);
  });

  const refusals = [
    ['401', new UnauthorizedException('the session has ended'), 401, 'UNAUTHORIZED'],
    ['403', new HttpException('blocked', 403), 403, 'FORBIDDEN'],
    ['429', new HttpException('too many requests', 429), 429, 'TOO_MANY_REQUESTS'],
  ] as const;

  it.each(refusals)('may throw what Nest answers with: %s', async (_, error, status, code) => {
    const breaks = () => {
      throw error;
    };
    for (const http of [{ authenticate: breaks }, { guard: { canActivate: breaks } }]) {
      const app = await listen(http);
      expect(await app.api.get('')).toMatchObject({ status, body: { status, code, message: some(String), data: {} } });
      expect(apps.log.of('error')).toEqual([]);
    }
  });

  it('answer 500 without details when they break, and the log says why', async () => {
    const broken: HttpOptions[] = [
      { authenticate: () => Promise.reject(new Error('the session store at 10.1.2.3 is down')) },
      { guard: { canActivate: () => Promise.reject(new Error('the session store at 10.1.2.3 is down')) } },
      { authenticate: () => ({ id: 'the session store', admin: 'yes' }) as never },
      { authenticate: () => ({ admin: true, name: 'the session store' }) as never },
      { authenticate: () => true as never },
    ];
    for (const http of broken) {
      const app = await listen(http);
      apps.log.lines.splice(0);
      const answer = await app.api.get('');
      expect(answer).toMatchObject({ status: 500, body: { status: 500, code: 'INTERNAL', data: {} } });
      expect(answer.text).not.toMatch(/session store|10\.1|at \w+ \(/);
      expect(apps.log.of('error')).toHaveLength(1);
    }
  });
});
