/**
 * @npm-test fastify
 * @matrix nest-11
 */

import type { Job } from 'nestjs-jobs';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { SECRET, SECRET_TOPIC } from './support/every-route.js';
import { ADMIN_TOKEN, useOneHttpApp } from './support/http-apps.js';
import type { RawResponse } from './support/raw-request.js';
import { sendRaw } from './support/raw-request.js';

/** Spellings of the list route that some servers accept. */
const spellings = [
  '/api/jobs/',
  '/api/jobs//',
  '//api/jobs',
  '/api//jobs',
  '/api/jobs//stats',
  '/api/jobs/stats/',
  '/api/jobs/stats//',
  '/%61pi/jobs',
  '/api/%6aobs',
  '/api%2fjobs',
  '/api%2Fjobs/stats',
  '/api/jobs%2fstats',
  '/api/jobs/%73tats',
  '/api/jobs/stats%20',
  '/api/jobs/stats%00',
  '/api/jobs/stats.json',
  '/api/jobs.json',
  '/api/jobs;a=b',
  '/api/jobs;/stats',
  '/api/jobs/;/stats',
  '/API/JOBS',
  '/Api/Jobs/Stats',
  '/api/jobs/STATS',
  '/api/jobs/../jobs',
  '/api/jobs/../jobs/stats',
  '/api/jobs/./stats',
  '/api/jobs/%2e/stats',
  '/api/jobs/%2e%2e/jobs/stats',
  '/api/x/../jobs',
  '/api\\jobs',
  '/api/jobs\\stats',
  '/api/jobs/%5cstats',
  '/api/jobs?',
  '/api/jobs??',
  '/api/jobs/stats?/capabilities',
  '/api/jobs#/stats',
  '/api/jobs/%zz',
  '/api/jobs/%c0%af',
  '/api/jobs/%E0%A4%A',
  '/api/jobs/enqueue',
  '/api/jobs/%65nqueue',
  '/api/jobs/enqueue/',
  '/api/jobs/enqueue/..',
  '/api/jobs/enqueue/../stats',
  '/api/jobs/enqueue%2f..%2fstats',
  '/api/jobs/capabilities/../stats',
  '/api/jobs/capabilities%2f..',
  '/api/jobs/openapi.json/../../jobs',
  'http://127.0.0.1/api/jobs',
  'http://127.0.0.1/api/jobs/stats',
] as const;

/** Spellings of the route of one job. */
const jobSpellings = [
  '/api/jobs/:id',
  '/api/jobs/:id/',
  '/api/jobs//:id',
  '/api/jobs/%20:id',
  '/api/jobs/enqueue/../:id',
  '/api/jobs/enqueue%2f..%2f:id',
  '/api/jobs/:id/requeue',
  '/api/jobs/:id/requeue/',
  '/api/jobs/:id/%72equeue',
  '/api/jobs/:id%2frequeue',
  '/api/jobs/:id/cancel',
  '/api/jobs/:id//cancel',
  '/api/jobs/:id/Cancel',
  '/api/jobs/:id/cancel/../../enqueue',
  '/api/jobs/enqueue/:id/cancel',
  '/api/jobs/bulk',
  '/api/jobs/%62ulk',
] as const;

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'];

/** Headers and parameters that override the request on some servers. */
const overrides: readonly { what: string; headers?: Readonly<Record<string, string>>; query?: string }[] = [
  { what: 'X-HTTP-Method-Override', headers: { 'X-HTTP-Method-Override': 'DELETE' } },
  { what: 'X-HTTP-Method', headers: { 'X-HTTP-Method': 'DELETE' } },
  { what: 'X-Method-Override', headers: { 'X-Method-Override': 'GET' } },
  { what: 'a parameter _method', query: '?_method=DELETE' },
  { what: 'another URL', headers: { 'X-Original-URL': '/api/jobs/stats', 'X-Rewrite-URL': '/api/jobs/stats' } },
  { what: 'a prefix', headers: { 'X-Forwarded-Prefix': '/api/jobs', 'X-Forwarded-Path': '/api/jobs/stats' } },
  { what: 'a near address', headers: { 'X-Forwarded-For': '127.0.0.1', Forwarded: 'for=127.0.0.1' } },
  { what: 'a near host', headers: { Host: 'localhost', Origin: 'http://localhost' } },
];

describe.each(everyAdapter)('request paths on $adapter', (adapterKind) => {
  // The most open ordinary configuration: everyone may enqueue, so nothing is refused at the base path.
  const app = useOneHttpApp(sqliteMemory, adapterKind, {
    options: { role: 'producer', http: { adminToken: ADMIN_TOKEN, enqueueRule: 'public' } },
  });
  let job: Job;

  beforeAll(async () => {
    const { id } = await app().jobs.enqueue(SECRET_TOPIC, { [SECRET]: true }, { delay: '1h' });
    job = (await app().jobs.get(id))!;
  });

  async function expectNoChange(): Promise<void> {
    expect((await app().jobs.list()).items).toEqual([job]);
  }

  const send = (method: string, path: string, headers = {}, body?: string): Promise<RawResponse> =>
    sendRaw(app().url, {
      method,
      path: path.replaceAll(':id', job.id),
      headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
      body,
    });

  function expectNoData(what: string, { status, text }: RawResponse): void {
    expect({ what, isRefused: status >= 400 && status < 500, text }).toMatchObject({ isRefused: true });
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain('success_rate');
  }

  it.each(methods)('in any spelling give an unauthorised caller no access: %s', async (method) => {
    for (const path of [...spellings, ...jobSpellings]) {
      // Preflight requests belong to the application and hold no data.
      expectNoData(`${method} ${path}`, await send(method, path));
      expectNoData(`${method} ${path} of a liar`, await send(method, path, { Authorization: 'Bearer wrong' }));
    }
    await expectNoChange();
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'in any spelling change nothing for an unauthorised caller with a body: %s',
    async (method) => {
      const body = JSON.stringify({ action: 'delete', filter: {}, ids: [job.id] });
      for (const path of [...spellings, ...jobSpellings]) {
        expectNoData(`${method} ${path}`, await send(method, path, {}, body));
      }
      await expectNoChange();
    },
  );

  it.each(overrides)('cannot be overridden by $what', async ({ headers = {}, query = '' }) => {
    for (const path of ['/api/jobs', '/api/jobs/stats', '/api/jobs/:id', '/api/jobs/:id/cancel', '/api/jobs/enqueue']) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        expectNoData(`${method} ${path}${query}`, await send(method, path + query, headers));
      }
    }
    await expectNoChange();
  });

  it('may end with a slash if the adapter ignores it', async () => {
    const Authorization = `Bearer ${ADMIN_TOKEN}`;
    for (const path of ['/api/jobs', '/api/jobs/stats', `/api/jobs/${job.id}`]) {
      expect([path, (await send('GET', path, { Authorization })).status]).toEqual([path, 200]);
      const status = adapterKind.adapter === 'Express' ? 200 : 404;
      expect([path, (await send('GET', `${path}/`, { Authorization })).status]).toEqual([path, status]);
    }
    for (const path of ['/api/jobs//', '/api/jobs//stats', '/api/jobs/stats//', '/api/jobs/x/../stats']) {
      expect([path, (await send('GET', path, { Authorization })).status]).toEqual([path, 404]);
    }
  });
});
