/** @matrix nest-11 */

import type { ExecutionContext } from '@nestjs/common';
import { ForbiddenException, UnauthorizedException } from '@nestjs/common';
import type { HttpOptions } from 'nestjs-jobs';
import { API_CONTROLLERS } from '../../lib/http/jobs-discovery.controller.js';
import { describeRoutes } from '../../lib/http/route-info.js';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { some } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import type { RouteResponse, RouteRequest } from './support/every-route.js';
import {
  sendToRoute,
  ENQUEUED_TOPIC,
  everyRoute,
  toRouteName,
  SECRET,
  SECRET_TOPIC,
  storeGroup,
  storeSchedule,
  toRoutePath,
} from './support/every-route.js';
import { ADMIN_TOKEN, useOneHttpApp } from './support/http-apps.js';
import { sendRaw } from './support/raw-request.js';

const USER_TOKEN = 'a-token-of-a-user';

/** The headers of each kind of caller. */
const callers = {
  stranger: {},
  liar: { Authorization: 'Bearer a-wrong-token' },
  user: { Authorization: `Bearer ${USER_TOKEN}` },
  admin: { Authorization: `Bearer ${ADMIN_TOKEN}` },
} as const;

type CallerName = keyof typeof callers;

/** The outcomes of a caller on routes with `enqueueRule`, on routes with `manageRule`, and on routes for any right. */
type Outcome = readonly [enqueue: Entry, manage: Entry, any: Entry];
/** `in`: the caller is admitted. A number: the status of the rejection. */
type Entry = 'in' | 401 | 403 | 500;

/** One configuration, and its outcomes for each caller. */
interface Way extends Readonly<Record<CallerName, Outcome>> {
  /** The outcomes of routes with `readRule`, where they differ from those with `manageRule`. */
  readonly reads?: Readonly<Record<CallerName, Entry>>;
  readonly name: string;
  readonly http?: HttpOptions;
  /** The environment variable `JOBS_ADMIN_TOKEN`. */
  readonly variable?: string;
  /** Tested on every route. These ways differ for each right; the others are tested on one or two routes for each. */
  readonly isOnEveryRoute?: true;
}

const OPEN: Outcome = ['in', 'in', 'in'];
const UNKNOWN: Outcome = [401, 401, 401];
const REFUSED: Outcome = [403, 403, 403];
/** A known caller without rights: only routes for any right admit them. */
const KNOWN: Outcome = [403, 403, 'in'];
const CLOSED = { stranger: UNKNOWN, liar: UNKNOWN, user: UNKNOWN, admin: UNKNOWN };
const BY_TOKEN = { ...CLOSED, admin: OPEN };
const BY_GUARD = { stranger: REFUSED, liar: REFUSED, user: REFUSED, admin: OPEN };
const BY_USER = { ...BY_TOKEN, user: KNOWN };

interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

const adminToken = ADMIN_TOKEN;

const authenticate = ({ headers }: AnyRequest) =>
  ({
    [callers.user.Authorization]: { id: 'ute', admin: false },
    [callers.admin.Authorization]: { id: 'ada', admin: true },
  })[headers.authorization ?? ''] ?? null;

const guard = {
  canActivate: (context: ExecutionContext) =>
    context.switchToHttp().getRequest<AnyRequest>().headers.authorization === callers.admin.Authorization,
};

/** A guard that throws its own errors. */
class StrictGuard {
  canActivate(context: ExecutionContext): boolean {
    const { authorization } = context.switchToHttp().getRequest<AnyRequest>().headers;
    if (authorization === undefined) throw new UnauthorizedException('log in first');
    if (!guard.canActivate(context)) throw new ForbiddenException('for operators only');
    return true;
  }
}

/** An asynchronous rule: admits users and administrators. */
const isKnown = async ({ request }: { request: AnyRequest }) => Promise.resolve(authenticate(request) !== null);
const isUser = ({ request }: { request: AnyRequest }) => authenticate(request)?.id === 'ute';
const saysYes = () => 'yes' as unknown as boolean;
const saysNo = () => false;
const breaks = () => {
  throw new Error(`${SECRET}: cannot decide`);
};
const isStern = (): boolean => {
  throw new ForbiddenException('not today');
};

const ways: readonly Way[] = [
  { name: 'nothing', isOnEveryRoute: true, http: {}, ...CLOSED },
  { name: 'an empty token', http: { adminToken: '' }, ...CLOSED },
  { name: 'an empty JOBS_ADMIN_TOKEN', http: {}, variable: '', ...CLOSED },
  { name: 'an admin token', isOnEveryRoute: true, http: { adminToken }, ...BY_TOKEN },
  { name: 'JOBS_ADMIN_TOKEN', http: {}, variable: ADMIN_TOKEN, ...BY_TOKEN },
  { name: 'a token that wins over JOBS_ADMIN_TOKEN', http: { adminToken }, variable: 'a-wrong-token', ...BY_TOKEN },
  { name: 'a guard', isOnEveryRoute: true, http: { adminGuard: guard }, ...BY_GUARD },
  { name: 'a guard beside JOBS_ADMIN_TOKEN', http: { adminGuard: guard }, variable: 'a-wrong-token', ...BY_GUARD },
  { name: 'the class of a guard that throws', http: { adminGuard: StrictGuard }, ...BY_GUARD, stranger: UNKNOWN },
  { name: 'authenticate', http: { authenticate }, ...BY_USER },
  { name: 'authenticate beside JOBS_ADMIN_TOKEN', http: { authenticate }, variable: 'a-wrong-token', ...BY_USER },

  {
    name: 'a token, and both rules for administrators',
    http: { adminToken, enqueueRule: 'admin', manageRule: 'admin' },
    ...BY_TOKEN,
  },
  {
    name: 'a token, and a rule for authenticated callers',
    http: { adminToken, enqueueRule: 'authenticated' },
    ...BY_TOKEN,
  },
  {
    name: 'a token, and a public enqueueRule',
    http: { adminToken, enqueueRule: 'public' },
    stranger: ['in', 401, 'in'],
    liar: ['in', 401, 'in'],
    user: ['in', 401, 'in'],
    admin: OPEN,
  },
  {
    name: 'only a public enqueueRule',
    isOnEveryRoute: true,
    http: { enqueueRule: 'public' },
    stranger: ['in', 401, 'in'],
    liar: ['in', 401, 'in'],
    user: ['in', 401, 'in'],
    admin: ['in', 401, 'in'],
  },
  {
    name: 'a guard, and a public enqueueRule',
    http: { adminGuard: guard, enqueueRule: 'public' },
    stranger: ['in', 403, 'in'],
    liar: ['in', 403, 'in'],
    user: ['in', 403, 'in'],
    admin: OPEN,
  },
  {
    name: 'a guard, and a rule for authenticated callers',
    http: { adminGuard: guard, enqueueRule: 'authenticated' },
    ...BY_GUARD,
  },
  {
    name: 'an enqueueRule for authenticated callers',
    http: { authenticate, enqueueRule: 'authenticated' },
    ...BY_USER,
    user: ['in', 403, 'in'],
  },
  {
    name: 'a manageRule for authenticated callers',
    http: { authenticate, manageRule: 'authenticated' },
    ...BY_USER,
    user: [403, 'in', 'in'],
  },
  {
    name: 'a public manageRule',
    http: { authenticate, manageRule: 'public' },
    stranger: [401, 'in', 'in'],
    liar: [401, 'in', 'in'],
    user: [403, 'in', 'in'],
    admin: OPEN,
  },
  {
    name: 'public rules only',
    http: { enqueueRule: 'public', manageRule: 'public' },
    stranger: OPEN,
    liar: OPEN,
    user: OPEN,
    admin: OPEN,
  },
  {
    name: 'an enqueueRule function that is not called for administrators',
    isOnEveryRoute: true,
    http: { authenticate, enqueueRule: isUser },
    stranger: UNKNOWN,
    liar: UNKNOWN,
    user: ['in', 403, 'in'],
    admin: OPEN,
  },
  {
    name: 'an asynchronous manageRule function',
    isOnEveryRoute: true,
    http: { authenticate, manageRule: isKnown },
    ...BY_USER,
    user: [403, 'in', 'in'],
  },
  {
    name: 'rules for no caller',
    isOnEveryRoute: true,
    http: { authenticate, enqueueRule: 'nobody', manageRule: 'nobody' },
    reads: { stranger: 401, liar: 401, user: 403, admin: 'in' },
    ...BY_USER,
    admin: KNOWN,
  },
  {
    name: 'a readRule for authenticated callers',
    http: { authenticate, readRule: 'authenticated' },
    reads: { stranger: 401, liar: 401, user: 'in', admin: 'in' },
    ...BY_USER,
  },
  {
    name: 'a guard, and a public readRule',
    isOnEveryRoute: true,
    http: { adminGuard: guard, readRule: 'public' },
    reads: { stranger: 'in', liar: 'in', user: 'in', admin: 'in' },
    stranger: [403, 403, 'in'],
    liar: [403, 403, 'in'],
    user: [403, 403, 'in'],
    admin: OPEN,
  },
  {
    name: 'a readRule function, and a manageRule function that throws',
    http: { authenticate, readRule: isUser, manageRule: isStern },
    reads: { stranger: 403, liar: 403, user: 'in', admin: 'in' },
    stranger: [401, 403, 401],
    liar: [401, 403, 401],
    user: [403, 403, 'in'],
    admin: OPEN,
  },
  {
    name: 'a readRule function that rejects managers',
    isOnEveryRoute: true,
    http: { authenticate, readRule: saysNo, manageRule: isUser },
    reads: { stranger: 401, liar: 401, user: 'in', admin: 'in' },
    stranger: UNKNOWN,
    liar: UNKNOWN,
    user: [403, 'in', 'in'],
    admin: OPEN,
  },
  {
    name: 'a public readRule, and an authenticate that fails',
    http: { authenticate: breaks, readRule: 'public' },
    reads: { stranger: 'in', liar: 'in', user: 'in', admin: 'in' },
    stranger: [500, 500, 500],
    liar: [500, 500, 500],
    user: [500, 500, 500],
    admin: [500, 500, 500],
  },
  {
    name: 'a readRule function, and a guard that fails',
    http: { adminGuard: { canActivate: breaks }, readRule: isUser },
    reads: { stranger: 500, liar: 500, user: 500, admin: 500 },
    stranger: [500, 500, 500],
    liar: [500, 500, 500],
    user: [500, 500, 500],
    admin: [500, 500, 500],
  },
  {
    name: 'functions that do not return true',
    http: { adminToken, enqueueRule: saysYes, manageRule: saysNo },
    stranger: UNKNOWN,
    liar: UNKNOWN,
    user: UNKNOWN,
    admin: OPEN,
  },
  {
    name: 'a function that throws an HttpException',
    http: { adminToken, enqueueRule: isStern },
    stranger: [403, 401, 401],
    liar: [403, 401, 401],
    user: [403, 401, 401],
    admin: OPEN,
  },
  {
    name: 'a function that fails',
    http: { adminToken, manageRule: breaks },
    stranger: [401, 500, 500],
    liar: [401, 500, 500],
    user: [401, 500, 500],
    admin: OPEN,
  },
  {
    name: 'a guard that fails',
    http: { adminGuard: { canActivate: breaks } },
    stranger: [500, 500, 500],
    liar: [500, 500, 500],
    user: [500, 500, 500],
    admin: [500, 500, 500],
  },
];

/** A caller who may only enqueue needs a topic that exists. */
const handlers = { [ENQUEUED_TOPIC]: () => undefined };

const FEW_ROUTES = ['POST /enqueue', 'GET /', 'GET /:id', 'POST /bulk', 'DELETE /:id', 'GET /capabilities'];
const fewRoutes = everyRoute.filter((route) => FEW_ROUTES.includes(toRouteName(route)));

const callerNames = Object.keys(callers) as CallerName[];
const kinds = ['enqueue', 'manage', 'any'] as const;

function entryOf({ reads, ...outcomes }: Omit<Way, 'name'>, caller: CallerName, access: RouteRequest['access']): Entry {
  return access === 'read' ? (reads?.[caller] ?? outcomes[caller][1]) : outcomes[caller][kinds.indexOf(access)]!;
}

describe.each(everyAdapter)('access on $adapter', (adapterKind) => {
  const { JOBS_ADMIN_TOKEN: variableBefore } = process.env;

  describe.each(ways)('with $name', ({ http, variable, isOnEveryRoute, ...outcomes }) => {
    const routes = isOnEveryRoute ? everyRoute : fewRoutes;
    const enqueuing = routes.filter(({ access }) => access === 'enqueue');
    beforeAll(() => {
      if (variable !== undefined) process.env.JOBS_ADMIN_TOKEN = variable;
    });
    const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer', http }, handlers });
    afterAll(() => {
      if (variableBefore === undefined) delete process.env.JOBS_ADMIN_TOKEN;
      else process.env.JOBS_ADMIN_TOKEN = variableBefore;
    });

    it.each(callerNames)('allows or rejects routes for a caller: %s', async (caller) => {
      const answers = await Promise.all(routes.map((route) => sendToRoute(app(), route, callers[caller])));
      const entries = routes.map((route) => ({ route, entry: entryOf(outcomes, caller, route.access) }));
      expect(routes.map((route, index) => [toRouteName(route), answers[index]!.status])).toEqual(
        entries.map(({ route, entry }) => [toRouteName(route), entry === 'in' ? route.status : entry]),
      );
      await Promise.all(answers.filter((_, index) => entries[index]!.entry !== 'in').map(expectRefusal));
      const { items } = await app().jobs.list({ topic: ENQUEUED_TOPIC });
      expect(items).toHaveLength(outcomes[caller][0] === 'in' ? enqueuing.length : 0);
      await Promise.all(items.map(({ id }) => app().jobs.delete(id)));
    });

    it.each(callerNames)('treats HEAD like GET and returns no data for OPTIONS: %s', async (caller) => {
      const { id } = await app().jobs.enqueue(SECRET_TOPIC, { [SECRET]: true }, { delay: '1h' });
      await storeSchedule(app(), id);
      const groupId = await storeGroup(app());
      const ask = async (request: RouteRequest): Promise<void> => {
        const { route, access, status } = request;
        const entry = entryOf(outcomes, caller, access);
        const path = toRoutePath(request, route.startsWith('/groups') ? groupId : id) + (request.query ?? '');
        const head = await sendRaw(app().url, { method: 'HEAD', path, headers: callers[caller] });
        expect([route, head.status, head.text]).toEqual([route, entry === 'in' ? status : entry, '']);
        const options = await sendRaw(app().url, { method: 'OPTIONS', path, headers: callers[caller] });
        expect([401, 403, 404, 500]).toContain(options.status);
        expect(options.text).not.toContain(SECRET);
      };
      await Promise.all(routes.filter(({ method }) => method === 'GET').map(ask));
    });

    /** Checks that the response shows no data, and that the job has not changed. */
    async function expectRefusal({ status, headers, text, job }: RouteResponse): Promise<void> {
      const code = { 401: 'UNAUTHORIZED', 403: 'FORBIDDEN', 500: 'INTERNAL' }[status];
      expect(JSON.parse(text)).toEqual({ status, code, message: some(String), data: {} });
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['www-authenticate'] !== undefined).toBe(status === 401);
      expect(text).not.toContain(SECRET);
      expect(await app().jobs.get(job.id)).toEqual(job);
    }
  });

  const openApp = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer' }, handlers });

  it('is tested on every route', () => {
    const names = describeRoutes(API_CONTROLLERS).map(({ method, path }) => `${method} ${path || '/'}`);
    expect(everyRoute.map(toRouteName).sort()).toEqual(names.sort());
  });

  it('would be detected in a response that holds data', async () => {
    const answers = await Promise.all(everyRoute.map((route) => sendToRoute(openApp(), route, callers.admin)));
    const silent = [
      '/stats',
      '/timeseries',
      '/workers',
      '/errors',
      '/capabilities',
      '/:id/logs',
      '/stream',
      '/openapi.json',
      '/schedules/:name/next',
    ];
    const showing = everyRoute.filter((_, index) => answers[index]!.text.includes(SECRET));
    expect(showing).toEqual(everyRoute.filter(({ route, status }) => !silent.includes(route) && status !== 204));
  });
});
