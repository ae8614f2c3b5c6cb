import type { ApiErrorBody, Job, Schedule, ScheduleList, ScheduleTicks } from '../../client/wire.js';
import { JobsEngine } from 'nestjs-jobs';
import { JobsClient } from '../../client/index.js';
import { until } from '../support/wait.js';
import { ADMIN_TOKEN, everyPlace, useHttpApps } from './support/http-apps.js';

const daily = { pattern: '30 2 * * *', tz: 'Europe/Berlin', topic: 'report' };

describe.each(everyPlace)('schedules over HTTP on $adapter with $database', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);
  const producer = { options: { role: 'producer' } } as const;

  it('PUT creates a schedule with 201 and replaces it with 200', async () => {
    const { api } = await apps.listen(producer);
    const put = (body: object) => api.send<Schedule>('PUT', '/schedules/s', { body });
    const created = await put({
      ...daily,
      payload: { a: 1 },
      missed: { policy: 'all', within: '2h' },
      jitter: '5m',
      max_retries: 2,
    });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      name: 's',
      pattern: '30 2 * * *',
      tz: 'Europe/Berlin',
      topic: 'report',
      payload: { a: 1 },
      missed: { policy: 'all', within_ms: 7_200_000, max: 100 },
      overlap: 'allow',
      jitter_ms: 300_000,
      max_retries: 2,
      priority: null,
      source: 'api',
      revision: 1,
      last_tick: null,
      paused_since: null,
      is_declared: true,
      live_definitions: 0,
    });
    expect(await put({ ...daily, payload: 2 })).toMatchObject({ status: 200, body: { revision: 2, payload: 2 } });
    expect(await api.get('/schedules/s')).toMatchObject({ status: 200, body: { revision: 2 } });
    expect((await api.get<ScheduleList>('/schedules')).body.items.map(({ name }) => name)).toEqual(['s']);
  });

  it('lists the next ticks', async () => {
    const { api } = await apps.listen(producer);
    await api.send('PUT', '/schedules/s', { body: { ...daily, start_at: '2098-03-29T00:00:00Z' } });
    const { body } = await api.get<ScheduleTicks>('/schedules/s/next?count=2');
    expect(body.items).toEqual(
      ['2098-03-29T00:30:00.000Z', '2098-03-30T01:00:00.000Z'].map(
        (tick) => expect.stringContaining(tick.slice(0, 10)) as string,
      ),
    );
    expect((await api.get('/schedules/s/next?count=101')).status).toBe(400);
  });

  it('accepts an interval with an anchor', async () => {
    const { api } = await apps.listen(producer);
    const pattern = { every: '90m', anchor: '2030-01-01T00:00:00Z' };
    const { body } = await api.send<Schedule>('PUT', '/schedules/s', { body: { pattern, topic: 'report' } });
    expect(body).toMatchObject({
      pattern: { every: 5_400_000, anchor: '2030-01-01T00:00:00.000Z' },
      next_tick: '2030-01-01T00:00:00.000Z',
    });
  });

  it('pauses, resumes, runs and removes a schedule', async () => {
    const { api } = await apps.listen(producer);
    await api.send('PUT', '/schedules/s', { body: daily });
    expect((await api.post('/schedules/s/pause')).status).toBe(204);
    expect((await api.get<Schedule>('/schedules/s')).body.paused_since).not.toBeNull();
    expect((await api.post('/schedules/s/resume')).status).toBe(204);
    expect((await api.get<Schedule>('/schedules/s')).body.paused_since).toBeNull();
    expect(await api.post<Job>('/schedules/s/run')).toMatchObject({
      status: 201,
      body: { topic: 'report', status: 'pending', metadata: { $schedule: { name: 's' } } },
    });
    expect((await api.delete('/schedules/s')).status).toBe(204);
    expect(await api.get('/schedules/s')).toMatchObject({ status: 404, body: { code: 'SCHEDULE_NOT_FOUND' } });
  });

  it.each<[string, object, string]>([
    ['a wrong pattern', { ...daily, pattern: '61 * * * *' }, 'pattern'],
    ['a long pattern', { ...daily, pattern: `${'0,'.repeat(200)}0 * * * *` }, 'pattern'],
    ['a short interval', { ...daily, pattern: { every: '1ms' } }, 'pattern.every'],
    ['no pattern', { topic: 'report' }, 'pattern'],
    ['no topic', { pattern: '* * * * *' }, 'topic'],
    ['an unknown zone', { ...daily, tz: 'Mars/Base' }, 'tz'],
    ['an unknown field', { ...daily, timezone: 'UTC' }, 'timezone'],
    ['a member of the queue', { ...daily, metadata: { $schedule: {} } }, 'metadata.$schedule'],
  ])('PUT refuses %s with 400', async (_, body, field) => {
    const { api } = await apps.listen(producer);
    const response = await api.send<ApiErrorBody>('PUT', '/schedules/s', { body });
    expect(response.status).toBe(400);
    expect(Object.keys(response.body.data)).toEqual([field]);
  });

  it('PUT refuses a bad name with 400', async () => {
    const { api } = await apps.listen(producer);
    expect(await api.send('PUT', '/schedules/a%20b', { body: daily })).toMatchObject({
      status: 400,
      body: { data: { name: expect.any(String) as string } },
    });
  });

  it('refuses to change a schedule that the code of a process declares, with 409', async () => {
    const { api, app } = await apps.listen();
    app.get(JobsEngine, { strict: false }).declareSchedule('nightly', '0 3 * * *', { topic: 'report' });
    await until(async () => (await api.get('/schedules/nightly')).status === 200, { message: 'the declaration' });
    for (const response of [
      await api.send('PUT', '/schedules/nightly', { body: daily }),
      await api.delete('/schedules/nightly'),
    ]) {
      expect(response).toMatchObject({ status: 409, body: { code: 'SCHEDULE_STATE' } });
    }
    expect((await api.post('/schedules/nightly/pause')).status).toBe(204);
  });

  it('shows and changes only schedules of allowed topics', async () => {
    const http = { adminToken: undefined, manageRule: 'public', allowedTopics: ['mail'] } as const;
    const { api, jobs } = await apps.listen({ options: { role: 'producer', http } });
    await jobs.schedules.upsert('hidden', '0 3 * * *', { topic: 'report' });
    expect((await api.get<ScheduleList>('/schedules')).body.items).toEqual([]);
    expect((await api.get('/schedules/hidden')).status).toBe(404);
    expect((await api.delete('/schedules/hidden')).status).toBe(404);
    expect((await api.send('PUT', '/schedules/hidden', { body: { ...daily, topic: 'mail' } })).status).toBe(403);
    expect((await api.send('PUT', '/schedules/s', { body: daily })).status).toBe(403);
    expect((await api.send('PUT', '/schedules/s', { body: { ...daily, topic: 'mail' } })).status).toBe(201);
  });

  it('redacts the payload as that of a job', async () => {
    const http = {
      adminToken: ADMIN_TOKEN,
      redact: (job: { payload: unknown }) => ({ ...job, payload: 'hidden' }) as never,
    };
    const { api } = await apps.listen({ options: { role: 'producer', http } });
    await api.send('PUT', '/schedules/s', { body: { ...daily, payload: 'secret' } });
    expect((await api.get<Schedule>('/schedules/s')).body.payload).toBe('hidden');
  });

  it('are reached by the client', async () => {
    const { url } = await apps.listen(producer);
    const { schedules } = new JobsClient({ baseUrl: url, token: ADMIN_TOKEN });
    const stored = await schedules.upsert(
      's',
      { every: '1h', anchor: new Date(0) },
      { topic: 'report', maxRetries: 1 },
    );
    expect(stored).toMatchObject({ name: 's', max_retries: 1, pattern: { every: 3_600_000 } });
    await schedules.pause('s');
    await schedules.resume('s');
    expect((await schedules.next('s', 2)).items).toHaveLength(2);
    expect(await schedules.run('s')).toMatchObject({ topic: 'report' });
    expect((await schedules.list()).items).toMatchObject([{ name: 's' }]);
    await schedules.remove('s');
    await expect(schedules.get('s')).rejects.toMatchObject({ status: 404 });
  });
});
