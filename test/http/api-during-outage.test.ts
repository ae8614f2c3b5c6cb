import type { ApiErrorBody } from '../../client/wire.js';
import { postgres, sqliteFile } from '../nest/support/database-kinds.js';
import { some } from '../nest/support/matchers.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { signal } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import type { ApiResponse, ApiCaller } from './support/api-caller.js';
import { useHttpApps } from './support/http-apps.js';

const JOB = { topic: 'later', payload: 1, delay: '1h' };

/** Every route that reads the database. */
function requests(api: ApiCaller, id: string): Promise<ApiResponse<ApiErrorBody>>[] {
  return [
    api.post('/enqueue', JOB),
    api.post('/enqueue', JOB, { headers: { 'Idempotency-Key': 'k' } }),
    api.post('/enqueue-many', { jobs: [JOB] }),
    api.get(''),
    api.get('?q=la'),
    api.get('/stats'),
    api.get('/topics'),
    api.get('/timeseries'),
    api.get('/errors'),
    api.get('/workers'),
    api.get(`/${id}`),
    api.post(`/${id}/requeue`),
    api.post(`/${id}/promote`),
    api.post(`/${id}/cancel`),
    api.delete(`/${id}`),
    api.post('/bulk', { action: 'cancel', ids: [id] }),
    api.post('/bulk', { action: 'cancel', filter: {} }),
  ];
}

describe.each(everyAdapter)('the API on $adapter during a database outage', (adapter) => {
  describe('PostgreSQL', () => {
    const apps = useHttpApps(postgres, adapter);

    it('responds with 503 and Retry-After without details, and recovers', async () => {
      const proxy = TcpProxy.before((apps.address as { url: string }).url);
      await proxy.open();
      apps.afterEverything(() => proxy.close());
      const { api, jobs } = await apps.listen({ typeOrm: { url: proxy.url } as object });
      const { id } = await jobs.enqueue('later', 1, { delay: '1h' });
      await proxy.close();
      const answers = await Promise.all(requests(api, id));
      for (const { status, headers, body, text } of answers) {
        expect([status, body]).toEqual([
          503,
          { status: 503, code: 'QUEUE_UNAVAILABLE', message: some(String), data: {} },
        ]);
        expect(headers.get('Retry-After')).toBe('1');
        expect(text).not.toMatch(/127\.0\.0\.1|ECONN|at /);
      }
      const told = apps.log.of('warn', 'responded with 503: ');
      expect(told.length).toBeGreaterThanOrEqual(1);
      expect(told[0]).toMatch(/^(GET|POST|DELETE) \/api\/jobs/);
      expect(told.length).toBeLessThan(answers.length);
      expect((await api.get('/capabilities')).status).toBe(200);
      expect((await api.as('wrong').get('/stats')).status).toBe(401);
      await proxy.open();
      expect((await api.get('/stats')).status).toBe(200);
      expect(await api.post(`/${id}/cancel`)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    });

    it('keeps streams open and continues them afterwards', async () => {
      const proxy = TcpProxy.before((apps.address as { url: string }).url);
      await proxy.open();
      apps.afterEverything(() => proxy.close());
      const { api, jobs } = await apps.listen({ typeOrm: { url: proxy.url } as object });
      const stream = await api.open('/stream');
      await stream.event('stats');
      await proxy.close();
      expect((await api.get('/stats')).status).toBe(503);
      await proxy.open();
      await jobs.enqueue('back', 1, { delay: '1h' });
      await stream.until('{"topics":["back"]}');
      stream.close();
    });
  });

  describe('a SQLite file', () => {
    const apps = useHttpApps(sqliteFile, adapter);

    it('responds with 503 to writes while another process holds the write lock', async () => {
      const options = { http: { adminToken: 'a-token-for-tests' }, sqlite: { lockTimeout: '150ms' } } as const;
      const { api, jobs, dataSource } = await apps.listen({ options });
      const { id } = await jobs.enqueue('later', 1, { delay: '1h' });
      const [isLocked, isOver] = [signal(), signal()];
      const holding = dataSource.transaction(async (manager) => {
        await manager.query('CREATE TABLE locked (id integer)');
        isLocked.resolve();
        await isOver.promise;
      });
      await isLocked.promise;
      const writes = [api.post('/enqueue', JOB), api.post(`/${id}/cancel`), api.delete(`/${id}`)];
      for (const { status, headers } of await Promise.all(writes)) {
        expect([status, headers.get('Retry-After')]).toEqual([503, '1']);
      }
      expect((await api.get(`/${id}`)).status).toBe(200);
      isOver.resolve();
      await holding;
      expect((await api.post('/enqueue', JOB)).status).toBe(201);
    });
  });
});
