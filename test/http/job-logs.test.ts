import type { Job } from 'nestjs-jobs';
import type { StreamJob } from 'nestjs-jobs/client';
import { JobsClient } from 'nestjs-jobs/client';
import type { JobLog } from '../../client/log-wire.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { signal } from '../support/wait.js';
import { express } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

const ABSENT = '018f4d2e-7b0a-7cc0-8000-000000000000';
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string;

describe('the log of a job over HTTP', () => {
  const apps = useHttpApps(sqliteFile, express);

  it('is read in pages, by the client too', async () => {
    const app = await apps.listen({
      handlers: {
        work: (job) => {
          job.log('begin', { rows: 3 });
          job.log('slow', undefined, 'warn');
          job.log('end');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.jobAfter('completed', id);
    const first = await app.api.get<JobLog>(`/${id}/logs?limit=2`);
    expect(first).toMatchObject({ status: 200 });
    expect(first.body).toEqual({
      items: [
        { id: '1.1', attempt: 1, level: 'info', message: 'begin', data: { rows: 3 }, time },
        { id: '1.2', attempt: 1, level: 'warn', message: 'slow', data: null, time },
      ],
    });
    const client = new JobsClient({ baseUrl: app.url, token: ADMIN_TOKEN });
    expect((await client.logs(id, { after: '1.2' })).items).toMatchObject([{ id: '1.3', message: 'end' }]);
    expect((await client.logs(id, { after: '1.3' })).items).toEqual([]);
  });

  it('is refused with wrong fields, for an unknown job and without a token', async () => {
    const { api, jobs } = await apps.listen();
    const { id } = await jobs.enqueue('later', 1, { delay: '1h' });
    expect(await api.get(`/${id}/logs`)).toMatchObject({ status: 200, body: { items: [] } });
    for (const [query, field] of [
      ['after=5', 'after'],
      ['limit=0', 'limit'],
      ['limit=1001', 'limit'],
      ['level=info', 'level'],
    ] as const) {
      const answer = await api.get<{ data: object }>(`/${id}/logs?${query}`);
      expect([query, answer.status, Object.keys(answer.body.data)]).toEqual([query, 400, [field]]);
    }
    expect(await api.get(`/${ABSENT}/logs`)).toMatchObject({ status: 404 });
    expect(await api.get(`/stream?job=${ABSENT}`)).toMatchObject({ status: 404 });
    expect(await api.as().get(`/${id}/logs`)).toMatchObject({ status: 401 });
  });

  it('of a job of another topic is not shown, nor is the job in the stream', async () => {
    const http = { adminToken: undefined, readRule: 'public', allowedTopics: ['shown'] } as const;
    const { api, jobs } = await apps.listen({ options: { http } });
    const { id } = await jobs.enqueue('hidden', 1, { delay: '1h' });
    expect(await api.get(`/${id}/logs`)).toMatchObject({ status: 404, body: { code: 'JOB_NOT_FOUND' } });
    expect(await api.get(`/stream?job=${id}`)).toMatchObject({ status: 404, body: { code: 'JOB_NOT_FOUND' } });
  });

  it.each<[string, (job: Job) => Job, string[]]>([
    [
      'the lines that redact returns',
      (job) => Object.assign(job, { logs: job.logs?.map((line) => ({ ...line, message: `${job.topic} ***` })) }),
      ['work ***'],
    ],
    ['no lines when redact returns none', ({ id, topic }) => ({ id, topic }) as Job, []],
  ])('has %s', async (_, redact, messages) => {
    const http = { adminToken: ADMIN_TOKEN, redact };
    const app = await apps.listen({ options: { http }, handlers: { work: (job) => job.log('password 123') } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.jobAfter('completed', id);
    const { items } = (await app.api.get<JobLog>(`/${id}/logs`)).body;
    expect(items.map(({ message }) => message)).toEqual(messages);
  });

  it('and the progress and status of the job send an event to the stream of the job', async () => {
    const [more, end] = [signal(), signal()];
    const app = await apps.listen({
      handlers: {
        work: async (job) => {
          await more.promise;
          job.log('one');
          await job.progress(50);
          await end.promise;
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const client = new JobsClient({ baseUrl: app.url, token: ADMIN_TOKEN });
    const leave = new AbortController();
    const events = client.watch(id, { signal: leave.signal });
    const next = async (): Promise<StreamJob> => (await events.next()).value!;
    const first = await next();
    expect(first).toEqual({ id, status: 'processing', updated: time, last_line: null });
    more.resolve();
    // The line and the progress may come with one event or with two.
    for (let job = first; job.last_line !== '1.1' || job.updated === first.updated;) {
      job = await next();
      expect(job.status).toBe('processing');
    }
    expect(await client.get(id)).toMatchObject({ progress: 50 });
    end.resolve();
    expect(await next()).toMatchObject({ status: 'completed' });
    await client.delete(id);
    expect(await next()).toEqual({ id, status: 'deleted', updated: null, last_line: null });
    leave.abort();
    expect(await events.next()).toMatchObject({ done: true });
  });
});
