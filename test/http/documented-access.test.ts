/** @matrix nest-11 */

import { createHmac } from 'node:crypto';
import type { CanActivate, DynamicModule, ExecutionContext, Type } from '@nestjs/common';
import { Inject, Injectable, SetMetadata } from '@nestjs/common';
import { APP_GUARD, Reflector } from '@nestjs/core';
import { JobsModule } from 'nestjs-jobs';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { textWith } from '../nest/support/matchers.js';
import { useBuiltPackage } from '../processes/support/built-package.js';
import { GuideCode } from '../support/guide-code.js';
import { everyAdapter } from './support/adapters.js';
import type { HttpApp, HttpAppParts } from './support/http-apps.js';
import { useHttpApps } from './support/http-apps.js';

const JWT_SECRET = 'the-secret-of-the-documented-applications';
const BILLING_KEY = 'the-key-of-billing';
const SHOP_KEY = 'the-key-of-the-shop';
const QUEUE_TOKEN = 'the-admin-token-of-the-page';
Object.assign(process.env, { JWT_SECRET, BILLING_KEY, SHOP_KEY, QUEUE_TOKEN });

const page = new GuideCode('access-control.md');
const base64Url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs a JSON Web Token without the library that the application checks it with. */
function sign(claims: object, secret = JWT_SECRET): string {
  const content = `${base64Url({ alg: 'HS256', typ: 'JWT' })}.${base64Url(claims)}`;
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
}

const tokens = {
  admin: sign({ sub: 'ada', role: 'admin' }),
  user: sign({ sub: 'ute', role: 'user' }),
  expired: sign({ sub: 'ada', role: 'admin', exp: 1 }),
  forged: sign({ sub: 'ada', role: 'admin' }, 'another-secret'),
  unsigned: `${base64Url({ alg: 'none' })}.${base64Url({ sub: 'ada', role: 'admin' })}.`,
};

/** A user of the application in the headers of a request, for {@link UserGuard}. */
const as = (user: object): Record<string, string> => ({ 'x-user': JSON.stringify(user) });

interface UserRequest extends Record<string, unknown> {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** A global guard that reads the user from a header, and sets `request.user` and `request.session`. */
class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<UserRequest>();
    const user = request.headers['x-user'];
    if (user !== undefined)
      Object.assign(request, { user: JSON.parse(user) as object, session: JSON.parse(user) as object });
    return true;
  }
}

const userGuard = { provide: APP_GUARD, useClass: UserGuard };

const Roles = (...roles: string[]): ClassDecorator => SetMetadata('roles', roles);

/** The guard of Nest's guide to authorization. */
@Injectable()
class RolesGuard implements CanActivate {
  constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const required = this.reflector.getAllAndOverride<string[] | undefined>('roles', [
      context.getHandler(),
      context.getClass(),
    ]);
    if (!required) return true;
    const { user } = context.switchToHttp().getRequest<{ user?: { roles?: string[] } }>();
    return required.some((role) => user?.roles?.includes(role));
  }
}

/** Callers who may only enqueue need topics that exist. */
const handlers = Object.fromEntries(
  ['send_receipt', 'ship_order', 'billing.invoice', 'shop.order'].map((topic) => [topic, () => undefined]),
);

useBuiltPackage();

describe.each(everyAdapter)('docs/access-control.md on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteMemory, adapterKind);

  /** Starts an application of the page. */
  const listen = (jobsModule: Type | DynamicModule, parts: HttpAppParts = {}): Promise<HttpApp> =>
    apps.listen({ ...parts, jobsModule: 'module' in jobsModule ? jobsModule : { module: jobsModule } });

  const statusOf = async ({ api }: HttpApp, token?: string): Promise<number> =>
    (await api.as(token).get('/stats')).status;

  /** Returns the statuses of a read, of an enqueue and of a deletion. */
  async function statusesOf({ api }: HttpApp, headers: Record<string, string> = {}): Promise<number[]> {
    const enqueued = await api
      .as()
      .post<{ id?: string }>('/enqueue', { topic: 'a', payload: 1, delay: '1h' }, { headers });
    const id = enqueued.body.id ?? '018f3f5e-7b5a-7000-8000-000000000000';
    const read = await api.as().get('/stats', { headers });
    const deleted = await api.as().delete(`/${id}`, { headers });
    return [read, enqueued, deleted].map(({ status }) => status);
  }

  it.each([
    ['AppModule', 'Unauthorized'],
    ['QueueAdminModule', 'the token is missing, wrong or expired'],
  ])('admits only administrators by their tokens: %s', async (name, message) => {
    const app = await listen(page.exportOf<Type>(name));
    expect(await statusOf(app, tokens.admin)).toBe(200);
    expect(await statusOf(app, tokens.user)).toBe(403);
    expect(await statusOf(app)).toBe(401);
    for (const invalid of [tokens.expired, tokens.forged, tokens.unsigned, 'nonsense']) {
      const { status, body } = await app.api.as(invalid).get('/stats');
      expect([status, body]).toEqual([401, { status: 401, code: 'UNAUTHORIZED', message, data: {} }]);
    }
    expect((await fetch(`${app.url}/admin/jobs`)).status).toBe(200);
    expect(await (await fetch(`${app.url}/admin/jobs`)).text()).toContain('name="jobs-auth" content="application"');
    expect(apps.log.of('log', 'http.decorators')).toEqual([]);
  });

  it('is right that AuthGuard alone makes every user an administrator', async () => {
    const { AuthGuard } = page.import('@nestjs/passport') as { AuthGuard: (type: string) => Type<CanActivate> };
    const app = await listen(JobsModule.forRoot({ http: { adminGuard: AuthGuard('jwt') } }), {
      providers: [page.exportOf<Type>('JwtStrategy')],
    });
    expect([await statusOf(app, tokens.user), await statusOf(app)]).toEqual([200, 401]);
  });

  it('is right that a global guard rejects the pages of the admin UI without Public()', async () => {
    const JwtAuthGuard = page.exportOf<Type<CanActivate>>('JwtAuthGuard');
    const app = await listen(
      JobsModule.forRoot({ http: { adminGuard: page.exportOf<Type<CanActivate>>('QueueAdminGuard') } }),
      {
        providers: [page.exportOf<Type>('JwtStrategy'), { provide: APP_GUARD, useClass: JwtAuthGuard }],
      },
    );
    expect((await fetch(`${app.url}/admin/jobs`)).status).toBe(401);
    expect(await statusOf(app, tokens.admin)).toBe(200);
    expect(apps.log.of('log', 'http.decorators')).toEqual([textWith('JwtAuthGuard is a global guard')]);
  });

  it('admits an admin token beside a global guard with SkipAuth()', async () => {
    const SkipAuth = page.exportOf<() => ClassDecorator>('SkipAuth');
    const app = await listen(JobsModule.forRoot({ http: { adminToken: QUEUE_TOKEN, decorators: [SkipAuth()] } }), {
      providers: [
        page.exportOf<Type>('JwtStrategy'),
        { provide: APP_GUARD, useClass: page.exportOf<Type>('JwtAuthGuard') },
      ],
    });
    expect([await statusOf(app, QUEUE_TOKEN), await statusOf(app, tokens.admin), await statusOf(app)]).toEqual([
      200, 401, 401,
    ]);
    expect((await fetch(`${app.url}/admin/jobs`)).status).toBe(200);
  });

  it('admits operators by a guard of the application, with its text for others', async () => {
    const app = await listen(page.exportOf<Type>('OperatorsModule'), { providers: [userGuard] });
    const respond = (user?: object) => app.api.as().get('/stats', { headers: user ? as(user) : {} });
    const statuses = [await respond({ role: 'operator' }), await respond({ role: 'user' }), await respond()];
    expect(statuses.map(({ status }) => status)).toEqual([200, 403, 401]);
    expect(statuses[2]!.body).toEqual({ status: 401, code: 'UNAUTHORIZED', message: 'sign in first', data: {} });
    expect(await (await fetch(`${app.url}/admin/jobs`)).text()).toContain('name="jobs-sign-in" content="/login"');
  });

  it('lets each user enqueue the topics of his role', async () => {
    const jobsModule = page.exportOf<DynamicModule>('JobsForUsers');
    const { api } = await listen(jobsModule, { providers: [userGuard], handlers });
    const enqueue = async (topic: string, role?: string): Promise<number> => {
      const headers = role === undefined ? {} : as({ id: 'ute', role });
      return (await api.as().post('/enqueue', { topic, payload: 1, delay: '1h' }, { headers })).status;
    };
    const statuses = async (role?: string) => [await enqueue('send_receipt', role), await enqueue('ship_order', role)];
    expect(await statuses('admin')).toEqual([201, 201]);
    expect(await statuses('clerk')).toEqual([201, 201]);
    expect(await statuses('buyer')).toEqual([201, 403]);
    expect(await statuses('guest')).toEqual([403, 403]);
    expect(await statuses()).toEqual([401, 401]);
    for (const path of ['', '/stats', '/topics', '/stream']) {
      expect((await api.as().get(path, { headers: as({ id: 'ute', role: 'clerk' }) })).status).toBe(403);
    }
    expect((await api.as().get('/stats', { headers: as({ id: 'ada', role: 'admin' }) })).status).toBe(200);
  });

  it('lets a team see and manage only its topics', async () => {
    const { api, jobs } = await listen(page.exportOf<DynamicModule>('JobsForTeams'), { providers: [userGuard] });
    const own = await jobs.enqueue('billing.mail', 1, { delay: '1h' });
    const other = await jobs.enqueue('shop.mail', 1, { delay: '1h' });
    const headers = as({ userId: 'ute', team: 'billing', isOperator: false });
    const caller = { get: <T>(path: string) => api.as().get<T>(path, { headers }) };
    for (const path of [
      '',
      '?q=mail',
      '/stats',
      '/topics',
      '/errors',
      '/timeseries',
      '/groups',
      '/export?format=csv',
    ]) {
      const response = await caller.get(path);
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.text).not.toContain('shop');
    }
    expect((await caller.get('/stats')).body).toMatchObject({ total: 1 });
    expect((await caller.get(`/${own.id}`)).status).toBe(200);
    expect((await caller.get(`/${other.id}`)).status).toBe(404);
    expect((await caller.get('?topic=shop.mail')).status).toBe(403);
    const cancelled = await api.as().post('/bulk', { action: 'cancel', filter: {} }, { headers });
    expect(cancelled.body).toMatchObject({ matched: 1, changed: 1 });
    expect(await jobs.get(other.id)).toMatchObject({ status: 'pending' });
    const operator = { headers: as({ userId: 'ada', team: 'none', isOperator: true }) };
    expect((await api.as().get('/stats', operator)).body).toMatchObject({ total: 2 });
    expect((await api.as().get('/stats')).status).toBe(401);
  });

  it('lets a service enqueue and read only its own jobs', async () => {
    const { api, jobs } = await listen(page.exportOf<DynamicModule>('JobsForServices'), { handlers });
    const of = (key: string) => ({ headers: { 'x-key': key } });
    const job = { topic: 'billing.invoice', payload: 1, delay: '1h' };
    const { status, body } = await api.as().post<{ id: string }>('/enqueue', job, of(BILLING_KEY));
    expect(status).toBe(201);
    expect((await api.as().post('/enqueue', { ...job, topic: 'shop.order' }, of(BILLING_KEY))).status).toBe(403);
    const other = await jobs.enqueue('shop.order', 1, { delay: '1h' });
    expect((await api.as().get(`/${body.id}`, of(BILLING_KEY))).status).toBe(200);
    expect((await api.as().get(`/${body.id}`, of(SHOP_KEY))).status).toBe(404);
    expect((await api.as().get(`/${other.id}`, of(BILLING_KEY))).status).toBe(404);
    expect((await api.as().get('', of(BILLING_KEY))).body).toMatchObject({ total: 1, items: [{ id: body.id }] });
    expect((await api.as().delete(`/${body.id}`, of(BILLING_KEY))).status).toBe(403);
    expect((await api.as().get('', of('another'))).status).toBe(401);
    expect((await api.as().get('', of(QUEUE_TOKEN))).body).toMatchObject({ total: 2 });
  });

  it('lets viewers read', async () => {
    const staff = await listen(page.exportOf<DynamicModule>('JobsForStaff'), { providers: [userGuard] });
    expect(await statusesOf(staff, as({ userId: 'ada', role: 'operator' }))).toEqual([200, 201, 204]);
    expect(await statusesOf(staff, as({ userId: 'vic', role: 'viewer' }))).toEqual([200, 403, 403]);
    expect(await statusesOf(staff)).toEqual([401, 401, 401]);
  });

  it("admits every caller by Nest's RolesGuard unless http.decorators names a role", async () => {
    const open = await listen(JobsModule.forRoot({ http: { adminGuard: RolesGuard } }));
    expect(await statusOf(open)).toBe(200);
    const http = { adminGuard: RolesGuard, decorators: [Roles('admin')] };
    const app = await listen(JobsModule.forRoot({ http }), { providers: [userGuard] });
    const respond = (roles: string[]) => app.api.as().get('/stats', { headers: as({ roles }) });
    expect([(await respond(['admin'])).status, (await respond(['user'])).status, await statusOf(app)]).toEqual([
      200, 403, 403,
    ]);
  });
});
