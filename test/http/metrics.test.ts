import { readSeries } from '../telemetry/support/series.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

const http = { adminToken: ADMIN_TOKEN, metrics: true };

describe.each(everyAdapter)('GET /metrics on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('returns the metrics of the queue to callers that may read', async () => {
    const app = await apps.listen({ options: { http }, handlers: { work: () => null } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    const url = `${app.url}/api/jobs/metrics`;
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const response = await fetch(url, { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const series = readSeries(await response.text());
    expect(series('nestjs_jobs_attempts_total')).toEqual({ 'topic=work outcome=completed': 1 });
    expect(series('nestjs_jobs_workers')).toEqual({ '': 1 });

    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(`${url}?topic=work`, { headers })).status).toBe(400);
    const { body } = await app.api.get<{ paths: object }>('/openapi.json');
    expect(body.paths).toHaveProperty('/api/jobs/metrics');
  });

  it('leaves out topics that the caller may not read', async () => {
    const readRule = ({ topic }: { topic: string }): boolean => topic !== 'hidden';
    const options = { http: { ...http, readRule } };
    const app = await apps.listen({
      options,
      handlers: { work: () => null, hidden: () => null, 'odd"\\\n': () => null, other: () => null },
    });
    for (const topic of ['work', 'hidden', 'odd"\\\n', 'other']) {
      const { id } = await app.jobs.enqueue(topic, null);
      await app.event('completed', id);
    }
    const text = await (await fetch(`${app.url}/api/jobs/metrics`)).text();
    expect(text).toContain('topic="work"');
    expect(text).toContain(String.raw`topic="odd\"\\\n"`);
    expect(text).toContain('nestjs_jobs_workers 1');
    expect(text).not.toContain('hidden');
    // The sum of all topics without a label of their own.
    expect(text).not.toContain('topic="other"');
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const whole = await fetch(`${app.url}/api/jobs/metrics`, { headers });
    const shown = await whole.text();
    expect(shown).toContain('topic="hidden"');
    expect(shown).toContain('topic="other"');
  });

  it('is 404 by default, and 403 for callers that may not read', async () => {
    const app = await apps.listen();
    expect((await app.api.get('/metrics')).status).toBe(404);
    const authenticate = (): { id: string; admin: boolean } => ({ id: 'ute', admin: false });
    const closed = await apps.listen({ options: { http: { metrics: true, adminToken: undefined, authenticate } } });
    expect((await closed.api.get('/metrics')).status).toBe(403);
  });
});
