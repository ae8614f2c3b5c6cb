import type { Job, JobContext } from 'nestjs-jobs';
import { UnrecoverableError } from 'nestjs-jobs';
import { Client } from 'pg';
import type { Job as WireJob } from '../../client/wire.js';
import { postgres, sqliteFile } from '../nest/support/database-kinds.js';
import { until } from '../support/wait.js';
import { express, fastify } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

const SECRET = 'card-4111111111111111';
const CHANNELS = ['', '_cancel', '_echo', '_workers', '_schedules'].map((name) => `nestjs_jobs${name}`);

const places = [
  { database: postgres.label, kind: postgres, adapterKind: express },
  { database: sqliteFile.label, kind: sqliteFile, adapterKind: fastify },
];

/** All data of a job from its caller or its handler. */
function redact(job: Job): Job {
  return Object.assign(job, {
    payload: null,
    metadata: null,
    uniqueKey: null,
    result: null,
    progress: null,
    lastError: job.lastError && 'hidden',
    errors: [],
  });
}

describe.each(places)('secrets of a job on $database', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  const handlers = {
    charge: async (job: JobContext<{ card: string }>) => {
      await job.progress({ card: job.payload.card });
      return { card: job.payload.card };
    },
    decline: (job: JobContext<{ card: string }>) => {
      throw new UnrecoverableError(`declined: ${job.payload.card}`);
    },
  };

  const requestOf = (topic: string) => ({
    topic,
    payload: { card: SECRET },
    metadata: { card: SECRET },
    unique_key: SECRET,
  });

  it('are in no response and no stream event if redact removes them', async () => {
    const http = { adminToken: ADMIN_TOKEN, redact };
    const app = await apps.listen({ options: { http }, handlers });
    const { api } = app;
    const stream = await api.open('/stream');
    const answers: string[] = [];
    const noted = async (answer: Promise<{ status: number; text: string }>): Promise<void> => {
      const { status, text } = await answer;
      answers.push(`${status} ${text}`);
    };
    const headers = { 'Idempotency-Key': SECRET };
    const charged = await api.post<WireJob>('/enqueue', requestOf('charge'), { headers });
    const declined = await api.post<WireJob>('/enqueue', requestOf('decline'));
    answers.push(charged.text, declined.text);
    await Promise.all([app.event('completed', charged.body.id), app.event('failed', declined.body.id)]);
    const waiting = { ...requestOf('unhandled'), delay: '1h' };
    await noted(api.post('/enqueue-many', { jobs: [waiting] }));
    const held = await api.post<WireJob>('/enqueue', { ...waiting, unique_key: `${SECRET}2` });
    await api.post(`/${held.body.id}/cancel`);
    await api.post('/enqueue', { ...waiting, unique_key: `${SECRET}2` });
    // The key is taken: the answer names the job that holds it, and not the key.
    await noted(api.post(`/${held.body.id}/requeue`));
    await noted(api.post('/bulk', { action: 'requeue', ids: [held.body.id], dry_run: true }));
    for (const path of [
      '',
      `?q=${SECRET}`,
      '/stats',
      '/topics',
      '/timeseries',
      '/workers',
      '/errors',
      '/capabilities',
      '/openapi.json',
    ]) {
      await noted(api.get(path));
    }
    for (const { id } of [charged.body, declined.body, held.body]) await noted(api.get(`/${id}`));
    await stream.until('decline');
    stream.close();
    expect(answers).toHaveLength(17);
    expect([...answers, stream.text].filter((text) => text.includes(SECRET))).toEqual([]);
    // What was asked is in there all the same.
    expect((await app.jobs.get(declined.body.id))!.lastError).toContain(SECRET);
  });

  it('are in no log line at any level', async () => {
    const app = await apps.listen({
      options: { http: { adminToken: ADMIN_TOKEN } },
      handlers: { charge: handlers.charge },
    });
    const { api } = app;
    const { body } = await api.post<WireJob>('/enqueue', requestOf('charge'), {
      headers: { 'Idempotency-Key': SECRET },
    });
    await app.event('completed', body.id);
    const waiting = await api.post<WireJob>('/enqueue', { ...requestOf('unhandled'), delay: '1h' });
    await api.post(`/${waiting.body.id}/cancel`);
    await api.post(`/${waiting.body.id}/requeue`, { payload: SECRET });
    await api.post('/bulk', { action: 'delete', filter: { q: SECRET } });
    await api.get(`/${SECRET}`, { headers: { Authorization: `Bearer ${SECRET}`, Cookie: SECRET } });
    await api.get(`?q=${SECRET}`);
    await api.post('/enqueue', { ...requestOf('charge'), timeout: SECRET });
    await api.delete(`/${waiting.body.id}`);
    await app.close();
    expect(apps.log.of('debug').length).toBeGreaterThan(3);
    expect(apps.log.lines.filter(({ text }) => text.includes(SECRET) || text.includes(ADMIN_TOKEN))).toEqual([]);
  });

  it('are not part of an error of the database over HTTP: it is only logged', async () => {
    const app = await apps.listen({ handlers: { done: () => null } });
    const type = kind === postgres ? 'uuid' : 'text';
    await app.dataSource.query(
      `CREATE TABLE hush (job_id ${type}, CONSTRAINT psst FOREIGN KEY (job_id) REFERENCES _jobs (id))`,
    );
    const { id } = await app.jobs.enqueue('done', null);
    await app.event('completed', id);
    await app.dataSource.query(`INSERT INTO hush VALUES ('${id}')`);
    const message = `job ${id}: cannot delete: the database refuses it`;
    expect(await app.api.delete(`/${id}`)).toMatchObject({
      status: 409,
      body: { status: 409, code: 'JOB_STATE', message, data: {} },
    });
    expect(apps.log.of('warn')).toEqual([expect.stringContaining(`the database refuses to delete job ${id}: `)]);
  });
});

describe('PostgreSQL notifications', () => {
  const apps = useHttpApps(postgres, express);

  it('contain only topics and numbers of the sender, because every database user can listen', async () => {
    const heard: string[] = [];
    const listener = new Client({ connectionString: (apps.address as { url: string }).url });
    listener.on('notification', ({ payload }) => void heard.push(payload ?? ''));
    await listener.connect();
    apps.afterEverything(() => listener.end());
    for (const channel of CHANNELS) await listener.query(`LISTEN ${channel}`);
    const app = await apps.listen();
    const options = { metadata: { card: SECRET }, uniqueKey: SECRET };
    // Another process would run them: this one notifies nobody of jobs that it runs itself.
    await app.jobs.enqueue('charge', { card: SECRET }, options);
    await app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, 'later', { card: SECRET }));
    await until(() => ['charge', 'later'].every((topic) => heard.some((payload) => payload.includes(`"${topic}"`))));
    const parts = heard.filter((payload) => payload !== '').flatMap((payload) => JSON.parse(payload) as unknown[]);
    const senders = parts.filter((part) => typeof part !== 'string');
    expect(new Set(parts)).toEqual(new Set(['charge', 'later', ...senders]));
    for (const sender of senders as { from: string; n?: number; by?: string }[]) {
      expect(sender.from).toMatch(/^[0-9a-f-]{36}$/);
      expect(String(sender.n ?? 0)).toMatch(/^\d+$/);
      expect(String(sender.by ?? 0)).toMatch(/^-?\d+$/);
      expect(Object.keys(sender).filter((name) => !['from', 'n', 'by'].includes(name))).toEqual([]);
    }
  });
});
