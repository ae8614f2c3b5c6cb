import type { ApiCaller } from './api-caller.js';
import type { HttpApp } from './http-apps.js';

/** Checks every kind of response of the API once, and leaves no job behind. */
export async function expectToWork({ jobs }: HttpApp, api: ApiCaller): Promise<void> {
  const stored = await api.post<{ id: string }>('/enqueue', { topic: 'later', payload: { a: 1 }, delay: '1h' });
  expect(stored).toMatchObject({ status: 201, body: { topic: 'later', payload: { a: 1 } } });
  const path = new URL(api.base).pathname;
  expect(stored.headers.get('Location')).toBe(`${path}/${stored.body.id}`);
  expect(await api.get(`/${stored.body.id}`)).toMatchObject({ status: 200, body: { id: stored.body.id } });
  expect(await api.get('/stats')).toMatchObject({ status: 200, body: { pending: 1 } });
  expect(await api.get('?limit=many')).toMatchObject({ status: 400, body: { code: 'INVALID_REQUEST' } });
  expect(await api.as('wrong').get('')).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } });
  expect((await api.get('/nothing/here')).status).toBeGreaterThanOrEqual(400);
  expect(await api.post(`/${stored.body.id}/requeue`)).toMatchObject({ status: 409, body: { code: 'JOB_STATE' } });
  expect(await api.delete(`/${stored.body.id}`)).toMatchObject({ status: 204 });
  expect(await api.get('/openapi.json')).toMatchObject({
    status: 200,
    body: { paths: { [path]: { get: { operationId: 'getList' } } } },
  });
  const stream = await api.open('/stream');
  expect(await stream.event('stats')).toMatchObject({ type: 'stats' });
  stream.close();
  expect(await jobs.stats()).toMatchObject({ total: 0 });
}
