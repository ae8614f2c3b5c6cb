import type { Job, JobsModuleOptions } from 'nestjs-jobs';
import type { ErrorGroups, Job as WireJob, JobPage, TopicList } from '../../client/wire.js';
import { everyPlace, useHttpApps } from './support/http-apps.js';

const http = { adminToken: 'a-token-for-tests', allowedTopics: ['mail', 'report', 'new'] };
const options: JobsModuleOptions = { maxRetries: 0, http };

const fails = (): never => {
  throw new Error('token abc123 was refused');
};

const ABSENT = '018f4d2e-7b0a-7cc0-8000-000000000000';

describe.each(everyPlace)('what leaves over HTTP on $adapter with $database', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it('is of allowed topics only, whoever asks', async () => {
    const app = await apps.listen({ options, handlers: { mail: fails, secret: fails } });
    const { api, jobs } = app;
    const later = { delay: '1h' };
    const [mail, secret] = [await jobs.enqueue('mail', 1), await jobs.enqueue('secret', 1)];
    for (const { id } of [mail, secret]) await app.event('failed', id);
    const hidden = await jobs.enqueue('secret', 2, later);
    await jobs.enqueue('report', 1, later);

    const refused = { status: 403, body: { code: 'TOPIC_NOT_ALLOWED', data: { topic: 'not allowed here' } } };
    expect(await api.post('/enqueue', { topic: 'secret', payload: 1 })).toMatchObject(refused);
    const many = [{ topic: 'mail', payload: 1 }, { topic: 'secret', payload: 1 }]; // prettier-ignore
    expect(await api.post('/enqueue-many', { jobs: many })).toMatchObject(refused);
    for (const path of ['', '/stats', '/timeseries', '/errors']) {
      expect(await api.get(`${path}?topic=mail&topic=secret`)).toMatchObject(refused);
    }
    expect(await api.post('/bulk', { action: 'delete', filter: { topic: 'secret' } })).toMatchObject(refused);
    for (const ask of [
      () => api.get(`/${hidden.id}`),
      () => api.post(`/${hidden.id}/cancel`),
      () => api.delete(`/${hidden.id}`),
      () => api.post(`/${secret.id}/requeue`),
    ]) {
      expect(await ask()).toMatchObject(refused);
    }
    expect((await api.get(`/${ABSENT}`)).status).toBe(404);

    expect(topicsOf((await api.get<JobPage>('')).body.items)).toEqual(['mail', 'report']);
    expect((await api.get<JobPage>(`?q=${hidden.id}`)).body.items).toEqual([]);
    expect(await api.get('/stats')).toMatchObject({ body: { pending: 1, failed: 1, total: 2 } });
    expect(topicsOf((await api.get<TopicList>('/topics')).body.items)).toEqual(['mail', 'report']);
    expect(topicsOf((await api.get<ErrorGroups>('/errors')).body.items)).toEqual(['mail']);
    expect(await api.get('/capabilities')).toMatchObject({ body: { topics: ['mail', 'report', 'new'] } });
    const minutes = (await api.get<{ items: { failed: number }[] }>('/timeseries')).body.items;
    expect(minutes.reduce((sum, { failed }) => sum + failed, 0)).toBeLessThanOrEqual(1);

    const bulk = await api.post('/bulk', { action: 'requeue', filter: { status: 'failed' } });
    expect(bulk).toMatchObject({ status: 200, body: { matched: 1, changed: 1 } });
    expect(await api.post('/bulk', { action: 'delete', ids: [hidden.id] })).toMatchObject({
      body: { matched: 1, changed: 0, skipped: 1, skipped_reasons: [{ reason: 'its topic is not allowed' }] },
    });
    expect(await jobs.get(hidden.id)).not.toBeNull();
  });

  it('is of allowed topics in the stream, too', async () => {
    const { api, jobs } = await apps.listen({ options });
    const stream = await api.open('/stream');
    await stream.event('stats');
    await jobs.enqueue('secret', 1, { delay: '1h' });
    await jobs.enqueue('new', 1, { delay: '1h' });
    await stream.until('"new"');
    expect(stream.text).not.toContain('secret');
    expect(stream.text).toContain('{"topics":["new"]}');
    stream.close();
  });

  it('is what redact makes of it, everywhere a job or its error is shown', async () => {
    const seen: Job[] = [];
    const redact = (job: Job): Promise<Job> => {
      seen.push(job);
      (job.payload as { secret?: string }).secret = '***';
      delete job.metadata!.internal;
      return Promise.resolve({
        ...job,
        lastError: job.lastError?.replace('abc123', '***') ?? null,
        errors: [],
        uniqueKey: null,
      });
    };
    const app = await apps.listen({
      options: { maxRetries: 0, http: { adminToken: 'a-token-for-tests', redact } },
      handlers: { mail: fails },
    });
    const { api, jobs } = app;
    const request = {
      topic: 'later',
      payload: { to: 'anna', secret: 's3' },
      metadata: { internal: 1, a: 2 },
      delay: '1h',
      unique_key: 'k',
    };
    const shown = { payload: { to: 'anna', secret: '***' }, metadata: { a: 2 }, unique_key: null };
    const stored = await api.post<WireJob>('/enqueue', request);
    expect(stored).toMatchObject({ status: 201, body: shown });
    const { id } = stored.body;
    expect(await api.post('/enqueue', request)).toMatchObject({
      status: 200,
      body: { ...shown, id, deduplicated: true },
    });
    expect(await api.post('/enqueue-many', { jobs: [{ ...request, unique_key: 'l' }] })).toMatchObject({
      body: { items: [shown] },
    });
    expect(await api.get(`/${id}`)).toMatchObject({ body: shown });
    expect((await api.get<JobPage>('')).body.items).toMatchObject([shown, shown]);
    expect(await api.post(`/${id}/cancel`)).toMatchObject({ body: { ...shown, status: 'cancelled' } });
    expect(await api.post(`/${id}/requeue`)).toMatchObject({ body: { ...shown, status: 'pending' } });
    expect(await jobs.get(id)).toMatchObject({ payload: { secret: 's3' }, metadata: { internal: 1 } });
    expect(seen[0]!.constructor.name).toBe('Job');

    const failed = await jobs.enqueue('mail', {}, { metadata: {} });
    await app.event('failed', failed.id);
    const errors = await api.get<ErrorGroups>('/errors');
    expect(errors.body.items).toMatchObject([{ message: 'token *** was refused', count: 1 }]);
    expect(errors.text).not.toContain('abc123');
    const group = { topic: 'mail', error_key: errors.body.items[0]!.key };
    expect(await api.post('/bulk', { action: 'requeue', filter: group, dry_run: true })).toMatchObject({
      body: { matched: 1, skipped: 0 },
    });
    expect((await api.get(`/${failed.id}`)).text).not.toContain('abc123');
  });

  it.each<[string, (job: Job) => unknown]>([
    ['throws', fails],
    ['gives nothing', () => undefined],
  ])('is nothing at all when redact %s', async (_, redact) => {
    const { api, jobs } = await apps.listen({
      options: { http: { adminToken: 'a-token-for-tests', redact: redact as never } },
    });
    const { id } = await jobs.enqueue('later', 's3cret', { delay: '1h' });
    for (const path of ['', `/${id}`]) {
      const answer = await api.get(path);
      expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL', data: {} } });
      expect(answer.text).not.toMatch(/s3cret|abc123/);
    }
  });
});

function topicsOf(items: readonly { topic: string }[]): string[] {
  return [...new Set(items.map(({ topic }) => topic))].sort();
}
