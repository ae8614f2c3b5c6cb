import type { CanActivate, ExecutionContext } from '@nestjs/common';
import {
  ForbiddenException,
  Inject,
  Injectable,
  Module,
  Scope,
  ServiceUnavailableException,
  UnauthorizedException,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { of } from 'rxjs';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { some } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import type { ApiCaller } from './support/api-caller.js';
import { useHttpApps } from './support/http-apps.js';

interface AnyRequest {
  headers: Record<string, string | undefined>;
}

/** What the application itself knows of its users. */
@Injectable()
class Users {
  isAdmin(name: string | undefined): boolean {
    return name === 'root';
  }
}

@Module({ providers: [Users], exports: [Users] })
class UsersModule {}

@Injectable()
class AdminOnly implements CanActivate {
  readonly contexts: ExecutionContext[] = [];

  constructor(@Inject(Users) private readonly users: Users) {}

  canActivate(context: ExecutionContext): boolean {
    this.contexts.push(context);
    return this.users.isAdmin(context.switchToHttp().getRequest<AnyRequest>().headers['x-user']);
  }
}

@Module({ imports: [UsersModule], providers: [AdminOnly], exports: [AdminOnly] })
class GuardModule {}

@Injectable({ scope: Scope.REQUEST })
class ScopedGuard implements CanActivate {
  constructor(@Inject(REQUEST) private readonly request: AnyRequest) {}

  canActivate(): boolean {
    return this.request.headers['x-user'] === 'root';
  }
}

@Module({ providers: [ScopedGuard] })
class ScopedModule {}

/** Without anything injected; no module has it. */
class Anyone implements CanActivate {
  canActivate(context: ExecutionContext) {
    return of(context.switchToHttp().getRequest<AnyRequest>().headers['x-user'] === 'root');
  }
}

const guardThat = (canActivate: () => boolean | Promise<boolean>): CanActivate => ({ canActivate });

/** The API as a user of the application sees it. */
function asUser(api: ApiCaller, name?: string) {
  const headers: Record<string, string> = name === undefined ? {} : { 'X-User': name };
  return {
    stats: () => api.as().get('/stats', { headers }),
    capabilities: () => api.as().get('/capabilities', { headers }),
    enqueue: () => api.as().post('/enqueue', { topic: 'later', payload: 1, delay: '1h' }, { headers }),
  };
}

describe.each(everyAdapter)('who may use the API on $adapter', (adapter) => {
  const apps = useHttpApps(sqliteFile, adapter);

  it.each([
    ['a provider of some module', { imports: [GuardModule], guard: AdminOnly }],
    ['a provider in request scope', { imports: [ScopedModule], guard: ScopedGuard }],
    ['a class that no module has', { imports: [], guard: Anyone }],
    ['an instance', { imports: [], guard: new Anyone() }],
  ])('is up to a guard that is %s', async (_, { imports, guard }) => {
    const { api } = await apps.listen({ imports, options: { http: { guard } } });
    expect((await asUser(api, 'root').stats()).status).toBe(200);
    expect((await asUser(api, 'root').enqueue()).status).toBe(201);
    for (const user of [asUser(api, 'anna'), asUser(api)]) {
      expect(await user.stats()).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
      expect(await user.capabilities()).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    }
  });

  it('is told to a guard with the method that is asked, and the request of the adapter', async () => {
    const { api, module } = await apps.listen({ imports: [GuardModule], options: { http: { guard: AdminOnly } } });
    await asUser(api, 'root').stats();
    const context = module.get(AdminOnly, { strict: false }).contexts[0]!;
    expect(context.getType()).toBe('http');
    expect(context.getHandler().name).toBe('stats');
    expect(context.getClass().name).toBe('ReportsController');
    const http = context.switchToHttp();
    expect(http.getRequest()).toHaveProperty(adapter.adapter === 'Express' ? 'originalUrl' : 'routeOptions');
    expect(http.getResponse()).toHaveProperty(adapter.adapter === 'Express' ? 'req' : 'raw');
    expect(http.getNext()).toEqual(some(Function));
  });

  it.each([
    [401, () => Promise.reject(new UnauthorizedException('log in'))],
    [403, () => Promise.reject(new ForbiddenException('not you'))],
    [503, () => Promise.reject(new ServiceUnavailableException('session store of 10.0.0.7 away'))],
    [500, () => Promise.reject(new Error('secret detail'))],
  ])('is %i when the guard or authenticate throws so', async (status, fails) => {
    for (const http of [
      { guard: guardThat(fails) },
      { authenticate: fails },
      { authenticate: () => null, manageRule: fails },
    ]) {
      const app = await apps.listen({ options: { http } });
      for (const path of ['/stats', '']) {
        const answer = await app.api.as().get(path);
        expect(answer).toMatchObject({ status, body: { status, code: some(String), data: {} } });
        expect(answer.text).not.toMatch(/secret|10\.0/);
      }
      // A rule that refuses has not said who somebody is: he stays unknown.
      const isUnknown = 'manageRule' in http && status < 500;
      expect((await app.api.as().get('/capabilities')).status).toBe(isUnknown ? 401 : status);
      await app.close();
    }
    expect(apps.log.of('error', 'secret detail')).toHaveLength(status === 500 ? 9 : 0);
  });

  it('is up to authenticate and the rules', async () => {
    const authenticate = ({ headers }: AnyRequest) => {
      const id = headers['x-user'];
      return Promise.resolve(id === undefined ? null : { id, admin: id === 'root' });
    };
    const { api } = await apps.listen({ options: { http: { authenticate, enqueueRule: 'authenticated' } } });
    expect((await asUser(api).enqueue()).status).toBe(401);
    expect((await asUser(api, 'anna').enqueue()).status).toBe(201);
    expect((await asUser(api).stats()).status).toBe(401);
    expect((await asUser(api, 'anna').stats()).status).toBe(403);
    expect((await asUser(api, 'root').stats()).status).toBe(200);
    expect((await asUser(api).capabilities()).status).toBe(401);
    expect(await asUser(api, 'anna').capabilities()).toMatchObject({
      body: { admin: false, authenticated: true, enqueue: true, manage: false },
    });
  });

  it('is open where a rule says so, and nowhere else', async () => {
    const { api } = await apps.listen({ options: { http: { adminToken: 't', enqueueRule: 'public' } } });
    expect((await asUser(api).enqueue()).status).toBe(201);
    expect((await asUser(api).stats()).status).toBe(401);
    expect(await asUser(api).capabilities()).toMatchObject({
      status: 200,
      body: { admin: false, authenticated: false, enqueue: true, manage: false },
    });
    expect((await api.as().get('/nothing/here')).status).toBe(404);
  });

  it('is open to everybody with a guard, where a rule says so', async () => {
    const { api } = await apps.listen({ options: { http: { guard: guardThat(() => false), enqueueRule: 'public' } } });
    const headers = { 'Idempotency-Key': 'k' };
    expect((await api.as().post('/enqueue', { topic: 'a', payload: 1, delay: 9e6 }, { headers })).status).toBe(201);
    expect((await asUser(api).stats()).status).toBe(403);
    expect(await asUser(api).capabilities()).toMatchObject({ body: { enqueue: true, manage: false } });
  });

  it('is up to a function of the request', async () => {
    const manageRule = ({ headers }: AnyRequest) => Promise.resolve(headers['x-user'] === 'auditor');
    const { api } = await apps.listen({ options: { http: { adminToken: 't', manageRule } } });
    expect((await asUser(api, 'auditor').stats()).status).toBe(200);
    expect((await asUser(api, 'anna').stats()).status).toBe(401);
    expect((await api.as('t').get('/stats')).status).toBe(403);
    expect((await asUser(api, 'auditor').enqueue()).status).toBe(401);
    expect(await asUser(api, 'auditor').capabilities()).toMatchObject({
      status: 200,
      body: { admin: false, authenticated: false, enqueue: false, manage: true },
    });
  });

  it("is the environment's token, unless the options say otherwise, and never the empty one", async () => {
    process.env.JOBS_ADMIN_TOKEN = 'from-the-environment';
    try {
      const open = await apps.listen({ options: { http: {} } });
      expect((await open.api.as('from-the-environment').get('/stats')).status).toBe(200);
      await open.close();
      const other = await apps.listen({ options: { http: { authenticate: () => null } } });
      expect((await other.api.as('from-the-environment').get('/stats')).status).toBe(401);
      await other.close();
      process.env.JOBS_ADMIN_TOKEN = '';
      const closed = await apps.listen({ options: { http: { adminToken: '' } } });
      expect((await closed.api.as('').get('/stats')).status).toBe(401);
      expect((await closed.api.as().get('/stats')).status).toBe(401);
    } finally {
      delete process.env.JOBS_ADMIN_TOKEN;
    }
  });

  it('keeps tokens out of the log, and takes none from the URL', async () => {
    const { api } = await apps.listen();
    const headers = { Authorization: 'Bearer my-secret-guess' };
    expect((await api.get('/stats', { headers })).status).toBe(401);
    expect((await api.as().get(`/stats?token=${api.token}&access_token=${api.token}`)).status).toBe(401);
    for (const scheme of ['Basic', 'bearer ', '']) {
      const asked = api.as().get('/stats', { headers: { Authorization: `${scheme} ${api.token}` } });
      expect((await asked).status).toBe(scheme === 'bearer ' ? 200 : 401);
    }
    expect(apps.log.lines.filter(({ text }) => text.includes('secret') || text.includes(api.token!))).toEqual([]);
  });

  it('is no page of another origin', async () => {
    const authenticate = ({ headers }: AnyRequest) => ({ id: headers.cookie ?? 'none', admin: true });
    const { api, url } = await apps.listen({ options: { http: { authenticate } } });
    const { host } = new URL(url);
    const asks = (headers: Record<string, string>, method = 'POST', path = '/enqueue') =>
      api.as().ask(method, path, {
        headers: { 'Content-Type': 'application/json', ...headers },
        ...(method === 'POST' && { text: '{"topic":"a","payload":1,"delay":"1h"}' }),
      });
    const Cookie = 'session=1';
    const refused = { status: 403, body: { code: 'CROSS_ORIGIN' } };
    const foreign: Record<string, string>[] = [
      { Origin: 'https://evil.example' },
      { Origin: `https://${host}.evil.example` },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site', Origin: `http://${host}` },
      { Origin: 'https://evil.example', 'X-Forwarded-Host': 'evil.example' },
    ];
    for (const headers of foreign) {
      expect(await asks({ Cookie, ...headers })).toMatchObject(refused);
      expect(await asks({ Cookie, ...headers }, 'DELETE', '/x')).toMatchObject(refused);
      expect((await asks({ ...headers })).status).toBe(201);
      expect((await asks({ Cookie, ...headers }, 'GET', '/stats')).status).toBe(200);
    }
    expect((await asks({ Cookie, Origin: `http://${host}` })).status).toBe(201);
    expect((await asks({ Cookie, Origin: `http://${host}`, 'Sec-Fetch-Site': 'same-origin' })).status).toBe(201);
    expect((await asks({ Cookie })).status).toBe(201);
  });

  it('with a token is nobody who was tricked, whatever the origin', async () => {
    const { api } = await apps.listen();
    const headers = { Cookie: 'session=1', Origin: 'https://ui.example' };
    const job = { topic: 'a', payload: 1, delay: '1h' };
    expect((await api.post('/enqueue', job, { headers })).status).toBe(201);
    expect((await api.as('wrong').post('/enqueue', job, { headers })).status).toBe(401);
  });

  it('has idempotency keys of his own', async () => {
    const authenticate = ({ headers }: AnyRequest) => ({ id: headers['x-user']!, admin: false });
    const { api } = await apps.listen({ options: { http: { authenticate, enqueueRule: 'authenticated' } } });
    const store = (user: string, payload: number) => {
      const headers = { 'X-User': user, 'Idempotency-Key': 'first' };
      return api.as().post<{ id: string }>('/enqueue', { topic: 'a', payload, delay: '1h' }, { headers });
    };
    const [anna, bert, again] = [await store('anna', 1), await store('bert', 2), await store('anna', 1)];
    expect([anna.status, bert.status, again.status]).toEqual([201, 201, 200]);
    expect(again.body.id).toBe(anna.body.id);
    const other = await store('bert', 3);
    expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_CONFLICT' } });
    expect(other.text).toContain("'first'");
  });
});
