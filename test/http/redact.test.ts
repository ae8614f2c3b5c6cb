/** @matrix nest-11 */

import type { JobsEngine } from 'nestjs-jobs';
import { Job } from 'nestjs-jobs';
import type { ErrorGroups } from '../../client/report-wire.js';
import type { Job as WireJob, JobPage } from '../../client/wire.js';
import type { HttpSettings } from '../../lib/core/http-options.js';
import { JobSerializer } from '../../lib/http/job-serializer.js';
import { ADMIN_TOKEN, everyPlace, useHttpApps } from './support/http-apps.js';

const fails = (): never => {
  throw new Error('token abc123 was refused');
};

describe.each(everyPlace)('jobs over HTTP on $adapter with $database', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it('are redacted wherever a job or its error is returned', async () => {
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
      options: { maxRetries: 0, http: { adminToken: ADMIN_TOKEN, redact } },
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
    const { text: exported } = await api.get('/export?format=ndjson');
    expect(exported.split('\n', 2).map((line) => JSON.parse(line) as unknown)).toMatchObject([shown, shown]);
    expect((await api.get('/export?format=csv')).text).not.toMatch(/s3|internal/);
    expect(await api.post(`/${id}/cancel`)).toMatchObject({ body: { ...shown, status: 'cancelled' } });
    expect(await api.post(`/${id}/requeue`)).toMatchObject({ body: { ...shown, status: 'pending' } });
    expect(await jobs.get(id)).toMatchObject({ payload: { secret: 's3' }, metadata: { internal: 1 } });
    expect(seen[0]!.constructor.name).toBe('Job');

    const failed = await jobs.enqueue('mail', {}, { metadata: {} });
    await app.event('failed', failed.id);
    const errors = await api.get<ErrorGroups>('/errors');
    expect(errors.body.items).toMatchObject([
      { message: 'token *** was refused', pattern: 'token *** was refused', name: null, count: 1 },
    ]);
    expect(errors.text).not.toContain('abc123');
    const group = { topic: 'mail', error_key: errors.body.items[0]!.key };
    expect(await api.post('/bulk', { action: 'requeue', filter: group, dry_run: true })).toMatchObject({
      body: { matched: 1, skipped: 0 },
    });
    expect((await api.get(`/${failed.id}`)).text).not.toContain('abc123');
  });

  it.each<[boolean | undefined, boolean]>([
    [undefined, false],
    [true, true],
  ])('are searched by what redact hides only with searchPayloads: true (here %p)', async (searchPayloads, isFound) => {
    const redact = (job: Job): Job => ({ ...job, payload: null, metadata: null, uniqueKey: null });
    const { api, jobs } = await apps.listen({
      options: { http: { adminToken: ADMIN_TOKEN, redact, searchPayloads } },
    });
    const options = { delay: '1h', uniqueKey: 'key-s3cret', metadata: { pin: 1234 } } as const;
    const { id } = await jobs.enqueue('later', { card: { number: '4111 1111' } }, options);
    const found = isFound ? [{ id, payload: null }] : [];
    for (const q of ['4111', 'card.number:"4111 1111"', 'number', 'pin:1234', 'key-s3cret', 'unique:key-s3cret']) {
      const { body } = await api.get<JobPage>(`?q=${encodeURIComponent(q)}`);
      expect({ q, ...body }).toMatchObject({ items: found, total: found.length, search: { window: found.length } });
      const dryRun = { action: 'cancel', filter: { q }, dry_run: true };
      expect(await api.post('/bulk', dryRun)).toMatchObject({ body: { matched: found.length } });
    }
    expect(await api.get(`?q=${id}`)).toMatchObject({ body: { items: [{ id }], search: { complete: isFound } } });
    expect(await api.get('/capabilities')).toMatchObject({ body: { search_payloads: isFound } });
  });

  it.each<[string, (job: Job) => unknown]>([
    ['throws', fails],
    ['gives nothing', () => undefined],
  ])('are not returned at all if redact %s', async (_, redact) => {
    const { api, jobs } = await apps.listen({
      options: { http: { adminToken: ADMIN_TOKEN, redact: redact as never } },
    });
    const { id } = await jobs.enqueue('later', 's3cret', { delay: '1h' });
    for (const path of ['', `/${id}`]) {
      const answer = await api.get(path);
      expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL', data: {} } });
      expect(answer.text).not.toMatch(/s3cret|abc123/);
    }
  });
});

describe('a job of which redact leaves little', () => {
  it('keeps why it failed, its due time as text, and no members that were removed', async () => {
    const runAt = new Date('2030-01-31T10:00:00.000Z');
    const members = {
      id: 'a',
      topic: 't',
      status: 'failed',
      attempt: 2,
      rescuedAttempt: 1,
      retries: 0,
      maxRetries: 0,
      runAt,
    };
    const redact = ({ id, topic, status }: Job): Job => ({ id, topic, status, runAt: runAt.toISOString() }) as never;
    const engine = { graphs: { waitingOn: () => Promise.resolve(new Map()) } } as unknown as JobsEngine;
    const wire = new JobSerializer({ redact } as Partial<HttpSettings> as HttpSettings, engine);
    const dto = await wire.job(Object.assign(new Job(), members));
    expect(dto).toMatchObject({ run_at: runAt.toISOString(), failed_because: { code: 'no_retries_left' } });
    expect(JSON.parse(JSON.stringify(dto))).not.toHaveProperty('attempt');
  });
});

describe('an error group', () => {
  it.each(['timeout', null, 'token abc123 was refused'])(
    'hides redacted text, even after its newest job ended with %p',
    async (lastError) => {
      const redact = (job: Job): Job => Object.assign(job, { lastError: job.lastError?.replace('abc123', '***') });
      const stands = Object.assign(new Job(), { id: 'a', lastError });
      const engine = { jobs: { get: () => Promise.resolve(stands) } };
      const wire = new JobSerializer(
        { redact } as Partial<HttpSettings> as HttpSettings,
        engine as unknown as JobsEngine,
      );
      const group = { message: 'token abc123 was refused', sampleId: 'a' };
      expect(await wire.errorGroups([group] as never)).toMatchObject([{ message: 'token *** was refused' }]);
    },
  );
});
