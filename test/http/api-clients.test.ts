import type { Job, JobStats } from 'nestjs-jobs/client';
import { JobsApiError, JobsClient, JobsService } from 'nestjs-jobs/client';
import { some, textWith } from '../nest/support/matchers.js';
import { waitForAbort } from '../nest/support/wait-for-abort.js';
import type { JobsApi } from '../../client/jobs-api.js';
import { ADMIN_TOKEN, everyPlace, useOneHttpApp } from './support/http-apps.js';

const ABSENT = '018f4d2e-7b0a-7cc0-8000-000000000000';

interface SentOptions {
  method?: string;
  body?: unknown;
  query?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** A client as pages have it already: it knows the server and who is logged in, and calls everything JSON. */
class PageClient {
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  async send(path: string, { method = 'GET', body, query = {}, headers }: SentOptions): Promise<unknown> {
    const url = new URL(path, this.url);
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
    }
    const response = await fetch(url, {
      method,
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.token}`, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer: unknown = response.status === 204 ? undefined : await response.json();
    if (!response.ok) throw Object.assign(new Error('refused'), { status: response.status, response: answer });
    return answer;
  }
}

describe.each(everyPlace)('clients of the API on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: { maxRetries: 0, http: { adminToken: ADMIN_TOKEN } },
    handlers: { work: () => 'done', fail: () => Promise.reject(new Error('broken pipe')), hold: waitForAbort },
    before: (nest) => nest.setGlobalPrefix('shop'),
  });

  const clients: [string, () => JobsApi][] = [
    ['JobsClient', () => new JobsClient({ baseUrl: `${app().url}/shop/`, token: async () => ADMIN_TOKEN })],
    ['JobsService', () => new JobsService(new PageClient(app().url, ADMIN_TOKEN), { path: 'shop/api/jobs' })],
  ];

  describe.each(clients)('%s', (name, connect) => {
    let jobs: JobsApi;
    beforeAll(() => {
      jobs = connect();
    });

    it('enqueue a job', async () => {
      const runAt = new Date(Date.now() + 3_600_000);
      const options = {
        runAt,
        maxRetries: 2,
        priority: -1,
        timeout: '1m',
        expiresIn: '2h',
        uniqueKey: name,
        metadata: { a: 1 },
      } as const;
      const job = await jobs.enqueue('later', { to: 'anna' }, options);
      expect(job).toMatchObject({ topic: 'later', payload: { to: 'anna' }, run_at: runAt.toISOString(), priority: -1 });
      expect(job).toMatchObject({ max_retries: 2, timeout_ms: 60_000, unique_key: name, metadata: { a: 1 } });
      expect(Date.parse(job.expires_at!) - Date.parse(job.created)).toBe(7_200_000);
      expect(await jobs.enqueue('later', 2, { unique_key: name })).toMatchObject({ id: job.id, deduplicated: true });
      const once = { idempotencyKey: `once ${name}`, delay: '1h' } as const;
      const first = await jobs.enqueue('later', 3, once);
      expect((await jobs.enqueue('later', 3, once)).id).toBe(first.id);
      await expect(jobs.enqueue('later', 4, once)).rejects.toMatchObject({ status: 422 });
    });

    it('enqueue many jobs', async () => {
      const { items } = await jobs.enqueueMany([
        { topic: 'work', payload: 1 },
        { topic: 'later', payload: 2, delay: '1h', maxRetries: 9 },
      ]);
      expect(items).toMatchObject([{ payload: 1 }, { payload: 2, max_retries: 9 }]);
      await app().event('completed', items[0]!.id);
      expect(await jobs.get(items[0]!.id)).toMatchObject({ status: 'completed', result: 'done' });
    });

    it('list jobs over all pages', async () => {
      const topic = `listed by ${name}`;
      const stored = await app().jobs.enqueueMany([1, 2, 3, 4, 5].map((payload) => ({ topic, payload, delay: '1h' })));
      const ids = stored.map(({ id }) => id).reverse();
      const page = await jobs.list({ topic: [topic, 'none'], status: ['pending'], limit: 2, offset: 1 });
      expect(page).toMatchObject({ total: 5, total_capped: false, limit: 2, offset: 1, next_cursor: some(String) });
      expect(page.items.map(({ id }) => id)).toEqual(ids.slice(1, 3));
      const walked: string[] = [];
      const createdFrom = new Date(stored[0]!.created.getTime() - 1);
      for await (const { id } of jobs.iterate({ topic, limit: 2, createdFrom })) walked.push(id);
      expect(walked).toEqual(ids);
      expect((await jobs.list({ q: ids[0]! })).items).toHaveLength(1);
    });

    it('re-queue, cancel and delete jobs', async () => {
      const { id } = await jobs.enqueue('fail', 1);
      await app().event('failed', id);
      const changes = { payload: 2, runAt: new Date('2035-01-01'), maxRetries: 4 };
      expect(await jobs.requeue(id, changes)).toMatchObject({
        payload: 2,
        run_at: '2035-01-01T00:00:00.000Z',
        max_retries: 4,
      });
      expect(await jobs.cancel(id)).toMatchObject({ status: 'cancelled' });
      expect(await jobs.requeue(id, { run_at: '2035-01-01T00:00:00Z' })).toMatchObject({ status: 'pending' });
      expect(await jobs.delete(id)).toBeUndefined();
      await expect(jobs.get(id)).rejects.toMatchObject({ status: 404 });

      const running = await jobs.enqueue('hold', 1);
      await app().event('started', running.id);
      expect(await jobs.cancel(running.id)).toMatchObject({ status: 'processing', cancel_requested: true });
      await app().event('cancelled', running.id);
    });

    it('run bulk actions', async () => {
      const topic = `changed by ${name}`;
      const stored = await app().jobs.enqueueMany([1, 2].map((payload) => ({ topic, payload, delay: '1h' })));
      const filter = { topic, status: 'pending' as const, createdTo: new Date(Date.now() + 60_000) };
      expect(await jobs.bulk({ action: 'cancel', filter, dryRun: true })).toMatchObject({ matched: 2, changed: 0 });
      expect(await jobs.bulk({ action: 'cancel', filter })).toMatchObject({ matched: 2, changed: 2, more: false });
      const ids = [...stored.map(({ id }) => id), ABSENT];
      expect(await jobs.bulk({ action: 'delete', ids })).toMatchObject({ matched: 3, changed: 2, skipped: 1 });
    });

    it('read stats and capabilities', async () => {
      await app().event('failed');
      expect(await jobs.stats()).toMatchObject({ total: some(Number), success_rate: some(Number) });
      expect(await jobs.stats('nobody')).toMatchObject({ total: 0, oldest_pending_ms: null });
      expect((await jobs.topics()).items.map(({ topic }) => topic)).toContain('later');
      expect((await jobs.timeseries({ topic: 'work', minutes: 2 })).items).toHaveLength(2);
      const { id } = await jobs.enqueue('fail', 1);
      await app().event('failed', id);
      const options = { topic: ['fail'], sort: 'count', limit: 1, offset: 0 } as const;
      const { items: groups, groups_total: total, window } = await jobs.errors(options);
      expect([groups.length, total, window.jobs_max]).toEqual([1, 1, 10_000]);
      expect((await jobs.list({ topic: 'fail', errorKey: groups[0]!.key })).total).toBe(groups[0]!.count);
      expect(await jobs.capabilities()).toMatchObject({ admin: true, manage: true });
    });
  });

  it('throw the error of the API', async () => {
    const jobs = new JobsClient({ baseUrl: `${app().url}/shop`, token: ADMIN_TOKEN });
    const wrong = await jobs.enqueue('later', 1, { priority: 5_000 }).catch((error: unknown) => error);
    expect(wrong).toBeInstanceOf(JobsApiError);
    expect(wrong).toMatchObject({ status: 400, code: 'INVALID_REQUEST', data: { priority: textWith('-1000') } });
    const stranger = new JobsClient({ baseUrl: `${app().url}/shop` });
    await expect(stranger.stats()).rejects.toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
    await expect(stranger.stream().next()).rejects.toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
    const large = jobs.enqueue('later', 'x'.repeat(1_048_577));
    await expect(large).rejects.toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
  });

  it('read the stream', async () => {
    const jobs = new JobsClient({ baseUrl: `${app().url}/shop`, token: ADMIN_TOKEN });
    const leave = new AbortController();
    const seen: unknown[] = [];
    for await (const { type, data } of jobs.stream({ signal: leave.signal, topics: ['watched'] })) {
      seen.push(type === 'stats' ? type : data);
      if (type === 'changed') {
        leave.abort();
      } else if (seen.length === 1) {
        await jobs.enqueueMany(['other', 'watched'].map((topic) => ({ topic, payload: 1, delay: '1h' })));
      }
    }
    expect(seen[0]).toBe('stats');
    expect(seen.at(-1)).toEqual({ topics: ['watched'] });
  });

  it('support the calls of the earlier client', async () => {
    const page = new PageClient(app().url, ADMIN_TOKEN);
    const send = <T>(path: string, options: SentOptions): Promise<T> =>
      page.send(`/shop/api/jobs${path}`, options) as Promise<T>;
    const runAt = new Date();
    const body = { topic: 'before', payload: { a: 1 }, runAt, maxRetries: 5 };
    const job = await send<Job>('/enqueue', { method: 'POST', body });
    expect(job).toMatchObject({ topic: 'before', payload: { a: 1 }, max_retries: 5, run_at: runAt.toISOString() });
    expect(await send('/enqueue', { method: 'POST', body: { topic: 'before', payload: 2 } })).toMatchObject({
      payload: 2,
    });
    expect(await send(`/${job.id}`, { method: 'GET' })).toMatchObject({ id: job.id, status: 'pending' });
    const query = { topic: 'before', status: 'pending', limit: 1, offset: 1 };
    expect(await send('', { method: 'GET', query })).toMatchObject({
      total: 2,
      items: [{ id: job.id }],
      limit: 1,
      offset: 1,
    });
    expect(await send<JobStats>('/stats', { method: 'GET' })).toMatchObject({ pending: some(Number) });
    await send(`/${job.id}/cancel`, { method: 'POST' });
    expect(await send(`/${job.id}/requeue`, { method: 'POST' })).toMatchObject({ status: 'pending', retries: 0 });
    expect(await send(`/${job.id}`, { method: 'DELETE' })).toBeUndefined();
    await expect(send(`/${job.id}`, {})).rejects.toMatchObject({ status: 404, response: { code: 'JOB_NOT_FOUND' } });
  });
});
