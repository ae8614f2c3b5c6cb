/** @matrix nest-11 */

import { Validator } from '@seriousme/openapi-schema-validator';
import { waitForAbort } from '../nest/support/wait-for-abort.js';
import { postgres, sqliteFile } from '../nest/support/database-kinds.js';
import { express, fastify } from './support/adapters.js';
import type { OpenApi } from './support/documented-responses.js';
import { DocumentedResponses } from './support/documented-responses.js';
import { useOneHttpApp } from './support/http-apps.js';

const ABSENT = '018f4d2e-7b0a-7cc0-8000-000000000000';

/** The response of `POST /groups`. */
interface GroupBody {
  id: string;
  jobs: { id: string }[];
}

describe.each([
  { kind: postgres, ...express, adapterKind: express },
  { kind: sqliteFile, ...fastify, adapterKind: fastify },
])('openapi.json on $adapter with $kind.label', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: { maxRetries: 0, http: { adminToken: 'a-token-for-tests' } },
    handlers: {
      work: (job) => {
        job.log('begin', { a: 1 });
        return 'done';
      },
      fail: () => Promise.reject(new Error('broken pipe')),
      hold: waitForAbort,
    },
    before: (nest) => nest.setGlobalPrefix('shop'),
  });
  let document: OpenApi;
  let responses: DocumentedResponses;

  beforeAll(async () => {
    const { url, api } = app();
    Object.assign(api, { base: `${url}/shop/api/jobs` });
    document = (await api.get<OpenApi>('/openapi.json')).body;
    responses = new DocumentedResponses(document, '/shop/api/jobs');
  });

  it('is a valid OpenAPI 3.1 document', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
    expect(document.openapi).toBe('3.1.0');
  });

  it('lists every route below the global prefix', () => {
    const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace('/shop/api/jobs', '')}`),
    );
    expect(routes.sort()).toEqual(
      [
        'POST /enqueue',
        'POST /enqueue-many',
        'GET ',
        'GET /export',
        'GET /stats',
        'GET /timeseries',
        'GET /topics',
        'POST /topics/pause',
        'POST /topics/resume',
        'PUT /topics/limits',
        'GET /schedules',
        'GET /schedules/{name}',
        'GET /schedules/{name}/next',
        'PUT /schedules/{name}',
        'DELETE /schedules/{name}',
        'POST /schedules/{name}/pause',
        'POST /schedules/{name}/resume',
        'POST /schedules/{name}/run',
        'POST /groups',
        'GET /groups',
        'GET /groups/{id}',
        'POST /groups/{id}/cancel',
        'GET /{id}/graph',
        'GET /{id}/logs',
        'GET /workers',
        'GET /errors',
        'GET /capabilities',
        'GET /{id}',
        'POST /{id}/requeue',
        'POST /{id}/promote',
        'POST /{id}/cancel',
        'DELETE /{id}',
        'POST /bulk',
        'GET /stream',
        'GET /openapi.json',
      ].sort(),
    );
  });

  it('describes the successful response of each route', async () => {
    const { api, jobs } = app();
    const done = await jobs.enqueue('work', { a: 1 }, { metadata: { b: 2 } });
    const failed = await jobs.enqueue('fail', null, { timeout: '1m' });
    const running = await jobs.enqueue('hold', [1]);
    await app().event('completed', done.id);
    await app().event('failed', failed.id);
    await app().event('started', running.id);

    const later = { topic: 'later', payload: 1, delay: '1h', unique_key: 'k' };
    const stored = await responses.check(201, '/enqueue', api.post<{ id: string }>('/enqueue', later));
    await responses.check(200, '/enqueue', api.post('/enqueue', later));
    await responses.check(201, '/enqueue-many', api.post('/enqueue-many', { jobs: [{ topic: 'later', payload: {} }] }));
    await responses.check(200, '', api.get('?limit=1'));
    await responses.check(200, '/{id}', api.get(`/${done.id}`));
    const logs = await responses.check(200, '/{id}/logs', api.get(`/${done.id}/logs`));
    expect(logs.body).toMatchObject({ items: [{ message: 'begin', data: { a: 1 } }] });
    await responses.check(200, '/{id}', api.get(`/${failed.id}`));
    await responses.check(200, '/{id}', api.get(`/${running.id}`));
    await responses.check(200, '/stats', api.get('/stats'));
    await responses.check(204, '/topics/pause', api.post('/topics/pause', { topic: 'later' }));
    const limits = { concurrency: 2, per_key: 1, rate: { limit: 5, per: '1m', spread: true } };
    await responses.check(
      200,
      '/topics/limits',
      api.send('PUT', '/topics/limits', { body: { topic: 'later', limits } }),
    );
    await responses.check(200, '/topics', api.get('/topics'));
    const none = { topic: 'later', limits: null };
    await responses.check(200, '/topics/limits', api.send('PUT', '/topics/limits', { body: none }));
    await responses.check(204, '/topics/resume', api.post('/topics/resume', { topic: 'later' }));
    const schedule = { pattern: { every: '1d' }, topic: 'later', payload: [1], metadata: { a: 1 }, missed: 'all' };
    await responses.check(201, '/schedules/{name}', api.send('PUT', '/schedules/s', { body: schedule }));
    await responses.check(200, '/schedules/{name}', api.send('PUT', '/schedules/s', { body: schedule }), 'put');
    await responses.check(200, '/schedules', api.get('/schedules'));
    await responses.check(200, '/schedules/{name}', api.get('/schedules/s'));
    await responses.check(200, '/schedules/{name}/next', api.get('/schedules/s/next?count=2'));
    await responses.check(204, '/schedules/{name}/pause', api.post('/schedules/s/pause'));
    await responses.check(204, '/schedules/{name}/resume', api.post('/schedules/s/resume'));
    await responses.check(201, '/schedules/{name}/run', api.post('/schedules/s/run'));
    await responses.check(204, '/schedules/{name}', api.delete('/schedules/s'));
    const members = [
      { ref: 'a', topic: 'later', payload: 1, delay: '1h' },
      { topic: 'later', payload: 2, depends_on: ['a'], on_parent_failure: 'run' },
    ];
    const group = { jobs: members, name: 'g', on_finish: { topic: 'later', payload: 3, delay: '1h' } };
    const grouped = await responses.check(201, '/groups', api.post<GroupBody>('/groups', group));
    const [first, second] = grouped.body.jobs;
    expect(second).toMatchObject({ blocked: true, waiting_on: 1, run_at: null });
    await responses.check(200, '/groups', api.get('/groups?limit=1'));
    await responses.check(200, '/groups/{id}', api.get(`/groups/${grouped.body.id}`));
    const graph = await responses.check(200, '/{id}/graph', api.get(`/${first!.id}/graph`));
    expect(graph.body).toMatchObject({
      links: [{ parent_id: first!.id, child_id: second!.id, on_parent_failure: 'run', open: true }],
      cut: false,
    });
    await responses.check(202, '/groups/{id}/cancel', api.post(`/groups/${grouped.body.id}/cancel`));
    await responses.check(200, '/export', api.get('/export?format=json'));
    await responses.check(200, '/timeseries', api.get('/timeseries?minutes=3'));
    await responses.check(200, '/workers', api.get('/workers'));
    await responses.check(200, '/errors', api.get('/errors'));
    await responses.check(200, '/capabilities', api.get('/capabilities'));
    await responses.check(200, '/openapi.json', api.get('/openapi.json'));
    await responses.check(200, '/{id}/promote', api.post(`/${stored.body.id}/promote`));
    await responses.check(202, '/{id}/cancel', api.post(`/${running.id}/cancel`));
    await responses.check(200, '/{id}/cancel', api.post(`/${stored.body.id}/cancel`));
    await responses.check(200, '/{id}/requeue', api.post(`/${stored.body.id}/requeue`));
    await responses.check(
      200,
      '/bulk',
      api.post('/bulk', { action: 'cancel', ids: [ABSENT, done.id, stored.body.id] }),
    );
    await responses.check(204, '/{id}', api.delete(`/${done.id}`));
    await responses.checkStream(await api.open('/stream'));
    expect(responses.problems).toEqual([]);
    expect(responses.missing()).toEqual([]);
  });

  it('describes error responses', async () => {
    const { api, jobs } = app();
    const { id } = await jobs.enqueue('later', 1, { delay: '1h' });
    const over = await jobs.cancel((await jobs.enqueue('later', 1)).id);
    const headers = { 'Idempotency-Key': 'once' };
    await api.post('/enqueue', { topic: 'later', payload: 1, delay: '1h' }, { headers });
    await responses.check(422, '/enqueue', api.post('/enqueue', { topic: 'later', payload: 2 }, { headers }));
    await responses.check(400, '/enqueue', api.post('/enqueue', { topic: 1, payloud: 2 }));
    await responses.check(413, '/enqueue', api.post('/enqueue', { topic: 'a', payload: 'x'.repeat(1_048_577) }));
    await responses.check(
      415,
      '/enqueue',
      api.send('POST', '/enqueue', { text: 'a', headers: { 'Content-Type': 'a/b' } }),
    );
    await responses.check(401, '/stats', api.as().get('/stats'));
    const foreign = { Origin: 'https://evil.example', Cookie: 'a=b' };
    await responses.check(401, '/bulk', api.as().post('/bulk', {}, { headers: foreign }));
    await responses.check(404, '/{id}', api.get(`/${ABSENT}`));
    await responses.check(404, '/{id}/cancel', api.post(`/${ABSENT}/cancel`));
    await responses.check(409, '/{id}/promote', api.post(`/${over.id}/promote`));
    await responses.check(409, '/{id}/requeue', api.post(`/${id}/requeue`));
    await responses.check(400, '', api.get('?limit=0'));
    expect(responses.problems).toEqual([]);
  });

  it('accepts and rejects the same requests as the API', () => {
    const enqueue = responses.schema('EnqueueRequest');
    expect(enqueue({ topic: 'a', payload: null, runAt: '2030-01-01T00:00:00Z', maxRetries: 3, delay: '1h' })).toBe(
      true,
    );
    expect(enqueue({ topic: 'a' })).toBe(false);
    expect(enqueue({ topic: 'a', payload: 1, uniqueKey: 'k' })).toBe(false);
    const bulk = responses.schema('BulkRequest');
    expect(bulk({ action: 'delete', filter: { status: ['failed'], topic: 'a' }, dry_run: true })).toBe(true);
    expect(bulk({ action: 'delete', filter: { limit: 1 } })).toBe(false);
  });
});
