/**
 * @npm-test fastify
 * @matrix nest-11
 */

import { randomUUID } from 'node:crypto';
import { some, textLike, textWith } from '../nest/support/matchers.js';
import { waitForAbort } from '../nest/support/wait-for-abort.js';
import type { ApiErrorBody, Job, JobPage, WorkerList } from '../../client/wire.js';
import { everyPlace, useOneHttpApp } from './support/http-apps.js';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const WORKER_MEMBERS =
  'worker host pid version schema_version topics running concurrency is_draining is_notified last_seen is_alive';

describe.each(everyPlace)('the routes on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: { maxRetries: 0, http: { adminToken: 'a-token-for-tests' } },
    handlers: {
      work: (job) => ({ done: job.payload as unknown }),
      fail: () => {
        throw new Error('broken pipe');
      },
      hold: waitForAbort,
    },
  });
  const api = () => app().api;

  it('POST /enqueue stores a job and returns its location', async () => {
    const answer = await api().post<Job>('/enqueue', {
      topic: 'later',
      payload: { to: 'anna' },
      run_at: '2035-01-31T09:30:00+02:00',
      expires_at: '2035-02-01T00:00:00Z',
      max_retries: 7,
      priority: -5,
      timeout: '3m',
      unique_key: 'k',
      metadata: { by: 'test' },
    });
    expect(answer).toMatchObject({ status: 201 });
    expect(answer.body).toEqual({
      id: textLike(UUID),
      topic: 'later',
      payload: { to: 'anna' },
      status: 'pending',
      run_at: '2035-01-31T07:30:00.000Z',
      locked_until: null,
      locked_by: null,
      attempt: 0,
      retries: 0,
      max_retries: 7,
      priority: -5,
      timeout_ms: 180_000,
      last_error: null,
      errors: [],
      result: null,
      progress: null,
      steps: [],
      actions: [],
      unique_key: 'k',
      concurrency_key: null,
      labels: [],
      metadata: { by: 'test' },
      expires_at: '2035-02-01T00:00:00.000Z',
      cancel_requested: false,
      started: null,
      finished: null,
      created: textLike(TIME),
      updated: textLike(TIME),
      waiting_because: null,
      failed_because: null,
    });
    expect(answer.headers.get('Location')).toBe(`/api/jobs/${answer.body.id}`);
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    expect(await app().jobs.get(answer.body.id)).toMatchObject({ topic: 'later', uniqueKey: 'k' });
  });

  it('POST /enqueue returns the holder of the unique key with 200', async () => {
    const first = await api().post<Job>('/enqueue', { topic: 'later', payload: 1, delay: '1h', unique_key: 'one' });
    const second = await api().post<Job>('/enqueue', { topic: 'later', payload: 2, unique_key: 'one' });
    expect(second).toMatchObject({ status: 200, body: { id: first.body.id, payload: 1, deduplicated: true } });
  });

  it('POST /enqueue frees, keeps and debounces unique keys', async () => {
    const request = { topic: 'later', payload: 1, unique_key: 'modes' };
    const debounce = { wait: '1h', max: '2h' };
    const first = await api().post<Job>('/enqueue', { ...request, debounce });
    expect(first).toMatchObject({ status: 201, body: { unique_key: 'modes' } });
    expect(first.body).not.toHaveProperty('replaced');
    const second = await api().post<Job>('/enqueue', { ...request, payload: 2, debounce: '1h' });
    const { id } = first.body;
    expect(second).toMatchObject({ status: 200, body: { id, payload: 2, deduplicated: true, replaced: true } });
    const third = await api().post<Job>('/enqueue', { ...request, payload: 3, unique_until: 'started' });
    expect(third).toMatchObject({ status: 200, body: { id, payload: 2, deduplicated: true } });
    expect(third.body).not.toHaveProperty('replaced');
    const kept = await api().post<Job>('/enqueue', { ...request, unique_for: '1d', delay: '1h' });
    expect(kept).toMatchObject({ status: 201 });
    expect(await api().post<ApiErrorBody>('/enqueue', { ...request, unique_for: '1d', debounce })).toMatchObject({
      status: 400,
      body: { data: { unique_for: textWith('contradicts debounce') } },
    });
    expect(
      await api().post<ApiErrorBody>('/enqueue', { ...request, debounce: { wait: '2s', max: '1s' } }),
    ).toMatchObject({
      status: 400,
      body: { data: { debounce: textWith('at least wait') } },
    });
    const many = {
      jobs: [
        { ...request, payload: 'many', debounce },
        { topic: 'later', payload: 1, unique_for: '1d' },
      ],
    };
    expect(await api().post<ApiErrorBody>('/enqueue-many', many)).toMatchObject({
      status: 400,
      body: { data: { 'jobs[1].unique_for': textWith('needs uniqueKey') } },
    });
  });

  it('POST /enqueue returns the same job for the same idempotency key, and 422 for another body', async () => {
    const headers = { 'Idempotency-Key': 'request-1' };
    const first = await api().post<Job>(
      '/enqueue',
      { topic: 'later', payload: { a: 1, b: 2 }, delay: '1h' },
      { headers },
    );
    const again = await api().post<Job>(
      '/enqueue',
      { delay: '1h', payload: { b: 2, a: 1 }, topic: 'later' },
      { headers },
    );
    expect([first.status, again.status, again.body.id]).toEqual([201, 200, first.body.id]);
    const other = await api().post('/enqueue', { topic: 'later', payload: { a: 2 } }, { headers });
    expect(other).toMatchObject({ status: 422, body: { status: 422, code: 'IDEMPOTENCY_CONFLICT', data: {} } });
  });

  it.each([
    [{}, []],
    [{ a: 1 }, [['a', 1]]],
    [null, {}],
    ['1', 1],
  ])('POST /enqueue distinguishes the payloads %j and %j under one idempotency key', async (one, other) => {
    const headers = { 'Idempotency-Key': randomUUID() };
    const ask = async (payload: unknown): Promise<number> =>
      (await api().post('/enqueue', { topic: 'later', payload, delay: '1h' }, { headers })).status;
    expect([await ask(one), await ask(other), await ask(one)]).toEqual([201, 422, 200]);
  });

  it('POST /enqueue accepts the spellings of the original client', async () => {
    const runAt = new Date(Date.now() + 3_600_000).toISOString();
    const answer = await api().post<Job>('/enqueue', { topic: 'later', payload: null, runAt, maxRetries: 2 });
    expect(answer).toMatchObject({ status: 201, body: { run_at: runAt, max_retries: 2, payload: null } });
  });

  it('POST /enqueue-many stores all jobs or none', async () => {
    const jobs = [1, 2].map((payload) => ({ topic: 'many', payload, delay: '1h' }));
    const answer = await api().post<{ items: Job[] }>('/enqueue-many', { jobs });
    expect(answer.status).toBe(201);
    expect(answer.body.items.map(({ payload }) => payload)).toEqual([1, 2]);

    const refused = await api().post<ApiErrorBody>('/enqueue-many', { jobs: [...jobs, { topic: 'many' }] });
    expect(refused).toMatchObject({ status: 400, body: { data: { 'jobs[2].payload': textLike('missing') } } });
    const large = { topic: 'many', payload: 'x'.repeat(1_048_576) };
    expect(await api().post('/enqueue-many', { jobs: [...jobs, large] })).toMatchObject({
      status: 413,
      body: { code: 'PAYLOAD_TOO_LARGE', data: { 'jobs[2].payload': textWith('1048576 bytes') } },
    });
    expect(await api().post('/enqueue-many', { jobs: [] })).toMatchObject({ status: 201, body: { items: [] } });
    expect((await app().jobs.list({ topic: 'many' })).total).toBe(2);
  });

  it('GET lists jobs by page, newest first', async () => {
    const ids: string[] = [];
    for (const payload of [1, 2, 3]) {
      ids.unshift((await app().jobs.enqueue('listed', payload, { delay: '1h' })).id);
    }
    const first = await api().get<JobPage>('?topic=listed&topic=other&status=pending&limit=2');
    expect(first).toMatchObject({
      status: 200,
      body: { total: 3, total_capped: false, limit: 2, offset: 0, next_cursor: some(String) },
    });
    expect(first.body.items.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    const cursor = encodeURIComponent(first.body.next_cursor!);
    const second = await api().get<JobPage>(`?topic=other&topic=listed&status=pending&limit=2&cursor=${cursor}`);
    expect(second.body.items.map(({ id }) => id)).toEqual(ids.slice(2));
    expect(second.body.next_cursor).toBeNull();
  });

  it('GET /workers lists the processes that run jobs', async () => {
    const answer = await api().get<WorkerList>('/workers');
    expect(answer).toMatchObject({
      status: 200,
      body: { items: [{ pid: process.pid, topics: ['fail', 'hold', 'work'] }] },
    });
    const [{ handlers, ...worker } = {} as never, ...others] = answer.body.items;
    expect(others).toEqual([]);
    expect(Object.keys(worker)).toEqual(WORKER_MEMBERS.split(' '));
    expect(handlers).toMatchObject(
      ['fail', 'hold', 'work'].map((topic) => ({ topic, concurrency: null, batch_size: null })),
    );
  });

  it('GET /stats, /topics, /timeseries and /errors return statistics', async () => {
    const done = await app().jobs.enqueue('work', 1);
    const failed = await app().jobs.enqueue('fail', 1);
    await app().event('completed', done.id);
    await app().event('failed', failed.id);

    const stats = await api().get('/stats?topic=work&topic=fail');
    expect(stats).toMatchObject({
      status: 200,
      body: { pending: 0, processing: 0, completed: 1, failed: 1, cancelled: 0, total: 2, success_rate: 0.5 },
    });
    const topics = await api().get<{ items: object[] }>('/topics');
    expect(topics.status).toBe(200);
    expect(topics.body.items).toContainEqual({
      topic: 'work',
      pending: 0,
      retrying: 0,
      next_due_ms: null,
      recent: { completed: expect.any(Number) as number, attempts_failed: 0 },
      processing: 0,
      completed: 1,
      failed: 0,
      cancelled: 0,
      total: 1,
      success_rate: 1,
      oldest_pending_ms: null,
      has_handler: some(Boolean),
      paused_since: null,
      ...{ limits: null, limits_source: null, code_limits: null, limited_by: null, retention: null },
      ...{ dead_letters: [], live_definitions: {}, counted_at: some(String) },
      running: 0,
      waiting_keys: 0,
    });
    const timeseries = await api().get<{ minutes: number; items: object[] }>('/timeseries?minutes=5');
    expect(timeseries).toMatchObject({ status: 200, body: { minutes: 5 } });
    expect(timeseries.body.items).toHaveLength(5);
    expect(timeseries.body).toMatchObject({
      window: { completed: some(Number), p50: some(Number), p99: some(Number) },
    });
    const errors = await api().get('/errors?topic=fail');
    expect(errors).toMatchObject({
      status: 200,
      body: {
        items: [{ topic: 'fail', message: 'broken pipe', count: 1, sample_id: failed.id }],
        window: { jobs: 1, jobs_max: 10_000 },
      },
    });
  });

  it('POST /topics/pause stops a topic, and POST /topics/resume continues it', async () => {
    const pausedSince = async (): Promise<unknown> => {
      const { body } = await api().get<{ items: { topic: string; paused_since: string | null }[] }>('/topics');
      return body.items.find(({ topic }) => topic === 'work')?.paused_since;
    };
    expect(await api().post('/topics/pause', { topic: 'work' })).toMatchObject({ status: 204 });
    expect(await pausedSince()).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const { id } = await app().jobs.enqueue('work', 1);
    const other = await app().jobs.enqueue('fail', 1);
    await app().event('failed', other.id);
    await app().jobs.whenIdle();
    expect(await app().job(id)).toMatchObject({ status: 'pending', attempt: 0 });

    expect(await api().post('/topics/resume', { topic: 'work' })).toMatchObject({ status: 204 });
    expect(await app().jobAfter('completed', id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(await pausedSince()).toBeNull();
  });

  it('GET /capabilities returns what the caller may do', async () => {
    expect(await api().get('/capabilities')).toMatchObject({
      status: 200,
      body: {
        admin: true,
        authenticated: true,
        enqueue: true,
        read: true,
        manage: true,
        topics: null,
        database: kind.canRunTransactionalHandlers ? 'postgres' : 'sqlite',
        version: some(String),
        limits: { page: 200, bulk: 10_000, payload_bytes: 1_048_576 },
        search_payloads: true,
      },
    });
  });

  it('GET /:id returns a job, or 404', async () => {
    const { id } = await app().jobs.enqueue('later', { a: 1 }, { delay: '1h' });
    expect(await api().get(`/${id}`)).toMatchObject({ status: 200, body: { id, payload: { a: 1 } } });
    for (const absent of [randomUUID(), 'nonsense', '%20']) {
      expect(await api().get(`/${absent}`)).toMatchObject({ body: { status: 404, message: some(String), data: {} } });
    }
  });

  it('POST /:id/requeue re-queues a failed job with changes', async () => {
    const { id } = await app().jobs.enqueue('fail', 1);
    await app().event('failed', id);
    const changes = { payload: 2, run_at: '2035-01-01T00:00:00Z', max_retries: 1 };
    expect(await api().post(`/${id}/requeue`, changes)).toMatchObject({
      status: 200,
      body: { ...changes, run_at: '2035-01-01T00:00:00.000Z', status: 'pending', retries: 0 },
    });
    expect(await api().post(`/${id}/requeue`)).toMatchObject({ status: 409, body: { code: 'JOB_STATE' } });
  });

  it('POST /:id/promote runs a delayed job now', async () => {
    const { id } = await app().jobs.enqueue('fail', 1, { delay: '1h' });
    const { status, body } = await api().post<Job>(`/${id}/promote`);
    expect({ status, body }).toMatchObject({ status: 200, body: { id, status: 'pending', attempt: 0 } });
    expect(Date.parse(body.run_at!)).toBeLessThan(Date.parse(body.created) + 60_000);
    await app().event('failed', id);
    expect(await api().post(`/${id}/promote`)).toMatchObject({ status: 409, body: { code: 'JOB_STATE' } });
  });

  it('POST /:id/cancel ends a pending job with 200 and requests the end of a running one with 202', async () => {
    const waiting = await app().jobs.enqueue('later', 1, { delay: '1h' });
    expect(await api().post(`/${waiting.id}/cancel`)).toMatchObject({ status: 200, body: { status: 'cancelled' } });

    const running = await app().jobs.enqueue('hold', 1);
    await app().event('started', running.id);
    expect(await api().post(`/${running.id}/cancel`)).toMatchObject({
      status: 202,
      body: { status: 'processing', cancel_requested: true },
    });
    await app().event('cancelled', running.id);
    expect((await api().post(`/${running.id}/cancel`)).status).toBe(409);
  });

  it('DELETE /:id deletes a job', async () => {
    const { id } = await app().jobs.enqueue('later', 1, { delay: '1h' });
    expect(await api().delete(`/${id}`)).toMatchObject({ status: 204, text: '' });
    expect(await api().delete(`/${id}`)).toMatchObject({ status: 404, body: { code: 'JOB_NOT_FOUND' } });
  });

  it('POST /bulk changes jobs by filter or ids, or previews the change', async () => {
    const jobs = await app().jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'bulk', payload, delay: '1h' })));
    const filter = { topic: 'bulk', status: ['pending'] };
    expect(await api().post('/bulk', { action: 'cancel', filter, dry_run: true })).toMatchObject({
      status: 200,
      body: { matched: 3, changed: 0, skipped: 0, more: false, skipped_reasons: [] },
    });
    const ids = jobs.slice(0, 2).map(({ id }) => id);
    expect(await api().post('/bulk', { action: 'cancel', ids })).toMatchObject({ body: { matched: 2, changed: 2 } });
    expect(await api().post('/bulk', { action: 'requeue', ids: jobs.map(({ id }) => id) })).toMatchObject({
      status: 200,
      body: { matched: 3, changed: 2, skipped: 1, skipped_reasons: [{ count: 1, ids: [jobs[2]!.id] }] },
    });
  });

  it('POST /bulk promotes delayed jobs', async () => {
    const jobs = await app().jobs.enqueueMany([1, 2].map((payload) => ({ topic: 'waits', payload, delay: '1h' })));
    const ids = jobs.map(({ id }) => id).reverse();
    const listed = async (due: boolean): Promise<string[]> =>
      (await api().get<JobPage>(`?topic=waits&due=${due}`)).body.items.map(({ id }) => id);
    expect([await listed(false), await listed(true)]).toEqual([ids, []]);
    const filter = { topic: 'waits', due: false };
    expect(await api().post('/bulk', { action: 'promote', filter })).toMatchObject({
      status: 200,
      body: { matched: 2, changed: 2, skipped: 0, more: false },
    });
    expect([await listed(false), await listed(true)]).toEqual([[], ids]);
    expect(await api().post('/bulk', { action: 'promote', ids })).toMatchObject({
      body: { changed: 0, skipped_reasons: [{ reason: 'it is due already', count: 2 }] },
    });
  });

  it('GET /stream sends changes', async () => {
    const stream = await api().open('/stream');
    expect(stream.type).toBe('text/event-stream; charset=utf-8');
    expect(await stream.event('stats')).toMatchObject({ data: { pending: some(Number) } });
    await app().jobs.enqueue('streamed', 1, { delay: '1h' });
    await stream.until('event: changed\ndata: {"topics":["streamed"]}\n\n');
    stream.close();
  });

  it('GET /openapi.json returns the API description', async () => {
    expect((await api().get('/openapi.json')).status).toBe(200);
  });

  it('HEAD responds like GET without a body', async () => {
    const answer = await api().send('HEAD', '/stats');
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(answer.headers.get('Content-Type')).toBe('application/json; charset=utf-8');
    expect((await api().send('HEAD', '/stream')).status).toBe(200);
  });

  const guarded = ['', '/stats', '/stream', '/openapi.json', '/capabilities'];
  it.each(guarded)('GET %s reveals nothing to an unknown caller', async (path) => {
    for (const token of [undefined, 'wrong']) {
      const answer = await api().as(token).get(path);
      expect(answer).toMatchObject({ status: 401, body: { status: 401, code: 'UNAUTHORIZED', data: {} } });
    }
  });

  it('unknown routes are left to the application', async () => {
    for (const unknown of ['GET /nothing/here', 'PUT /stats', 'DELETE ']) {
      const [method, path] = unknown.split(' ');
      expect(await api().send(method!, path!)).toMatchObject({ status: 404, body: { statusCode: 404 } });
    }
  });
});
