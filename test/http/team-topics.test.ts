import type { AccessQuestion } from 'nestjs-jobs';
import type { RouteRequest } from './support/every-route.js';
import { everyRoute, SECRET, sendToRoute, storeGroup, toRouteName } from './support/every-route.js';
import { authenticate } from './support/header-users.js';
import { everyPlace, useOneHttpApp } from './support/http-apps.js';

/** The team `classified` owns the topics of these requests, its viewer reads them, `blue` owns others, and `green` owns none. */
const USERS = ['ada', SECRET, `${SECRET}-viewer`, 'blue', 'green', undefined] as const;

const allowedTopics = ({ caller, topic, action }: AccessQuestion): boolean => {
  const [team, role] = caller?.id.split('-') ?? [];
  return team !== undefined && topic.startsWith(`${team}.`) && (role === undefined || action === 'read');
};

/** The status of the response to each of {@link USERS}. */
const STATUSES: Readonly<Record<string, readonly number[]>> = {
  'POST /enqueue': [201, 201, 403, 403, 403, 401],
  'POST /enqueue-many': [201, 201, 403, 403, 403, 401],
  'GET /': [200, 200, 200, 200, 403, 401],
  'GET /export': [200, 200, 200, 200, 403, 401],
  'GET /stats': [200, 200, 200, 200, 403, 401],
  'GET /timeseries': [200, 200, 200, 200, 403, 401],
  'GET /topics': [200, 200, 200, 200, 403, 401],
  'POST /topics/pause': [204, 204, 403, 403, 403, 401],
  'POST /topics/resume': [204, 204, 403, 403, 403, 401],
  'PUT /topics/limits': [200, 200, 403, 403, 403, 401],
  'GET /schedules': [200, 200, 200, 200, 403, 401],
  'PUT /schedules/:name': [200, 200, 403, 403, 403, 401],
  'GET /schedules/:name': [200, 200, 200, 404, 403, 401],
  'GET /schedules/:name/next': [200, 200, 200, 404, 403, 401],
  'POST /schedules/:name/pause': [204, 204, 403, 404, 403, 401],
  'POST /schedules/:name/resume': [204, 204, 403, 404, 403, 401],
  'POST /schedules/:name/run': [201, 201, 403, 404, 403, 401],
  'DELETE /schedules/:name': [204, 204, 403, 404, 403, 401],
  'POST /groups': [201, 201, 403, 403, 403, 401],
  'GET /groups': [200, 200, 200, 200, 403, 401],
  'GET /groups/:id': [200, 200, 200, 404, 403, 401],
  'POST /groups/:id/cancel': [202, 202, 403, 404, 403, 401],
  'GET /:id/graph': [200, 200, 200, 404, 403, 401],
  'GET /workers': [200, 200, 200, 200, 403, 401],
  'GET /errors': [200, 200, 200, 200, 403, 401],
  'GET /capabilities': [200, 200, 200, 200, 200, 401],
  'GET /:id': [200, 200, 200, 404, 403, 401],
  'GET /:id/logs': [200, 200, 200, 404, 403, 401],
  'POST /:id/requeue': [200, 200, 403, 404, 403, 401],
  'POST /:id/promote': [200, 200, 403, 404, 403, 401],
  'POST /:id/cancel': [200, 200, 403, 404, 403, 401],
  'DELETE /:id': [204, 204, 403, 404, 403, 401],
  'POST /bulk': [200, 200, 403, 200, 403, 401],
  'GET /stream': [200, 200, 200, 200, 403, 401],
  'GET /openapi.json': [200, 200, 200, 200, 200, 401],
};

describe.each(everyPlace)('allowedTopics that is a function on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: {
      maxRetries: 0,
      http: {
        adminToken: undefined,
        authenticate,
        enqueueRule: 'authenticated',
        manageRule: 'authenticated',
        allowedTopics,
      },
    },
    handlers: {
      'blue.mail': () => undefined,
      [`${SECRET}.fails`]: () => Promise.reject(new Error(`${SECRET} reason`)),
    },
  });

  const send = (request: RouteRequest, user: string | undefined) =>
    sendToRoute(app(), request, user === undefined ? {} : { 'X-User': user });

  beforeAll(async () => {
    const failed = await app().jobs.enqueue(`${SECRET}.fails`, 1);
    await app().event('failed', failed.id);
    await app().jobs.enqueue('blue.mail', 1, { delay: '1h' });
    await storeGroup(app());
  });

  it('has a row for each route', () => {
    expect(Object.keys(STATUSES)).toEqual(everyRoute.map(toRouteName));
  });

  it.each(everyRoute.map((request) => ({ request, name: toRouteName(request) })))(
    'decides $name',
    async ({ request, name }) => {
      const statuses: number[] = [];
      for (const user of USERS) {
        statuses.push((await send(request, user)).status);
      }
      expect(statuses).toEqual(STATUSES[name]);
    },
  );

  it.each(everyRoute.map((request) => ({ request, name: toRouteName(request) })))(
    'shows and changes nothing of another team in $name',
    async ({ request }) => {
      for (const user of ['blue', 'green', undefined]) {
        const { text, job } = await send(request, user);
        // A response may repeat the topic that the request named.
        const shown = text.replace(/topic '[\w.]+' is not allowed here/, '');
        expect([user, shown]).not.toEqual([user, expect.stringContaining(SECRET)]);
        expect(await app().job(job.id)).toEqual(job);
      }
    },
  );
});
