import { defineJob } from 'nestjs-jobs';
import type { HttpOptions } from 'nestjs-jobs';
import type { Job as WireJob } from '../../client/wire.js';
import { ENQUEUE_FIELDS } from '../../lib/core/http-options.js';
import { toWireName } from '../../lib/core/wire-name.js';
import { NEW_JOB } from '../../lib/http/requests.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { authenticate, by } from './support/header-users.js';
import { everyPlace, useHttpApps } from './support/http-apps.js';

const later = { delay: '1h' } as const;

const http = { adminToken: undefined, authenticate, enqueueRule: 'authenticated' } as const satisfies HttpOptions;

const job = { topic: 'mail', payload: 1, delay: '1h' };
const handlers = { mail: () => null, sms: () => null };

describe.each(everyAdapter)('a caller who may only enqueue, on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('sets only the fields of http.enqueueFields', async () => {
    const { api, jobs } = await apps.listen({ options: { http }, handlers });
    const free = { run_at: '2100-01-01T00:00:00Z', unique_key: 'a', metadata: { a: 1 } };
    expect((await api.as().post('/enqueue', { topic: 'mail', payload: 1, ...free }, by('ute'))).status).toBe(201);
    const restricted = {
      expires_in: '2h',
      max_retries: 1_000,
      maxRetries: 1_000,
      priority: -1_000,
      timeout: '365d',
      concurrency_key: 'mine',
    };
    for (const [field, value] of Object.entries(restricted)) {
      const sent = { ...job, [field]: value };
      const refused = await api.as().post('/enqueue', sent, by('ute'));
      const [named] = Object.keys((refused.body as { data: object }).data);
      expect([field, refused.status, named]).toEqual([field, 403, toWireName(field)]);
      expect(refused.body).toMatchObject({ code: 'FIELD_NOT_ALLOWED' });
      expect((await api.as().post('/enqueue', sent)).status).toBe(401);
      expect((await api.as().post('/enqueue', sent, by('ada'))).status).toBe(201);
    }
    const urgent = { ...job, priority: -1 };
    const refusalOf = async (path: string, body: object) =>
      (await api.as().post<{ code: string; data: object }>(path, body, by('ute'))).body;
    expect(Object.keys((await refusalOf('/enqueue-many', { jobs: [job, { ...urgent, timeout: 1 }] })).data)).toEqual([
      'jobs[1].priority',
      'jobs[1].timeout',
    ]);
    expect(Object.keys((await refusalOf('/groups', { jobs: [urgent] })).data)).toEqual(['jobs[0].priority']);
    expect(Object.keys((await refusalOf('/groups', { jobs: [job], on_finish: urgent })).data)).toEqual([
      'on_finish.priority',
    ]);
    expect((await jobs.list()).items.filter(({ priority }) => priority === -1)).toEqual([]);
  });

  it('sets the fields of the option, and all of them where it manages the topic', async () => {
    const manageRule: HttpOptions['manageRule'] = ({ topic }) => topic === 'sms';
    const options = { http: { ...http, manageRule, enqueueFields: ['priority'] } as const };
    const { api } = await apps.listen({ options, handlers });
    const post = (body: object) => api.as().post('/enqueue', { payload: 1, ...body }, by('ute'));
    expect((await post({ topic: 'mail', priority: 5 })).status).toBe(201);
    expect(await post({ topic: 'mail', delay: '1h' })).toMatchObject({
      status: 403,
      body: { code: 'FIELD_NOT_ALLOWED' },
    });
    expect((await post({ topic: 'sms', timeout: '1h', max_retries: 9 })).status).toBe(201);
  });

  it('does not see what is in a job that another call has stored', async () => {
    const { api, jobs } = await apps.listen({ options: { http }, handlers });
    const holder = await jobs.enqueue(
      'mail',
      { card: 'secret' },
      { ...later, uniqueKey: 'k', metadata: { m: 'secret' } },
    );
    const same = { ...job, unique_key: 'k' };
    const { status, body, text } = await api.as().post<WireJob>('/enqueue', same, by('ute'));
    expect([status, body.id, body.deduplicated, body.payload]).toEqual([200, holder.id, true, null]);
    const many = await api.as().post('/enqueue-many', { jobs: [same] }, by('ute'));
    const group = await api.as().post('/groups', { jobs: [same] }, by('ute'));
    expect([text, many.text, group.text].filter((each) => each.includes('secret'))).toEqual([]);
    expect([many.status, group.status]).toEqual([201, 201]);
    expect((await api.as().post('/enqueue', same, by('ada'))).body).toMatchObject({ payload: { card: 'secret' } });
    const repeated = { headers: { ...by('ute').headers, 'Idempotency-Key': 'own' } };
    const own = { ...job, payload: { own: true } };
    expect((await api.as().post('/enqueue', own, repeated)).status).toBe(201);
    expect(await api.as().post('/enqueue', own, repeated)).toMatchObject({
      status: 200,
      body: { payload: { own: true } },
    });
  });

  it('enqueues only topics that exist', async () => {
    const { api, jobs } = await apps.listen({ options: { http }, handlers });
    const post = (topic: string, user?: string) => api.as().post('/enqueue', { ...job, topic }, by(user));
    expect(await post('new', 'ute')).toMatchObject({
      status: 400,
      body: { code: 'INVALID_REQUEST', data: { topic: expect.stringContaining('no live process handles') as unknown } },
    });
    const fieldsOf = async (path: string, body: object) =>
      Object.keys((await api.as().post<{ data: object }>(path, body, by('ute'))).body.data);
    const other = { ...job, topic: 'new' };
    expect(await fieldsOf('/enqueue-many', { jobs: [job, other] })).toEqual(['jobs[1].topic']);
    expect(await fieldsOf('/groups', { jobs: [job], on_success: other })).toEqual(['on_success.topic']);
    expect((await post('new')).status).toBe(401);
    expect((await jobs.list()).total).toBe(0);
    expect((await post('new', 'ada')).status).toBe(201);
    expect((await post('new', 'ute')).status).toBe(201);
  });

  it('enqueues topics of http.allowedTopics before they exist, and topics that it manages', async () => {
    const listed = await apps.listen({ options: { http: { ...http, allowedTopics: ['new'] } } });
    expect((await listed.api.as().post('/enqueue', { ...job, topic: 'new' }, by('ute'))).status).toBe(201);
    expect((await listed.api.as().post('/enqueue', { ...job, topic: 'other' }, by('ute'))).status).toBe(403);
    const manageRule: HttpOptions['manageRule'] = ({ topic }) => topic === 'own';
    const managed = await apps.listen({ options: { http: { ...http, manageRule } } });
    expect((await managed.api.as().post('/enqueue', { ...job, topic: 'own' }, by('ute'))).status).toBe(201);
    expect((await managed.api.as().post('/enqueue', { ...job, topic: 'other' }, by('ute'))).status).toBe(400);
  });
});

describe.each(everyAdapter)('the concurrency key of a job on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('is the one that the topic computes, even if the caller sends another one', async () => {
    const { api, jobs } = await apps.listen({ options: { role: 'producer', http } });
    const sync = defineJob<{ tenant: string }>('sync', {
      concurrencyKey: ({ tenant }) => tenant,
      limits: { perKey: 1 },
    });
    jobs.register(sync, () => undefined);
    const sent = { topic: 'sync', payload: { tenant: 'a' }, delay: '1h', concurrency_key: 'mine' };
    const one = await api.as().post<WireJob>('/enqueue', sent, by('ada'));
    const many = await api.as().post<{ items: WireJob[] }>('/enqueue-many', { jobs: [sent] }, by('ada'));
    const group = await api.as().post<{ jobs: WireJob[] }>('/groups', { jobs: [sent], on_finish: sent }, by('ada'));
    expect([one.body, ...many.body.items, ...group.body.jobs].map(({ concurrency_key: key }) => key)).toEqual([
      'a',
      'a',
      'a',
    ]);
    expect((await jobs.list({ topic: 'sync' })).items.map(({ concurrencyKey }) => concurrencyKey)).toEqual([
      'a',
      'a',
      'a',
      'a',
    ]);
    const free = await api.as().post<WireJob>('/enqueue', { ...sent, topic: 'other' }, by('ada'));
    expect(free.body.concurrency_key).toBe('mine');
  });
});

describe.each(everyPlace)('jobs for a group of another caller on $adapter with $database', ({ adapterKind, kind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it('are rejected unless the caller has created the group or may manage it', async () => {
    const manageRule: HttpOptions['manageRule'] = ({ caller, topic }) => caller?.id === 'manager' && topic === 'mail';
    const readRule: HttpOptions['readRule'] = ({ caller }) => caller?.id === 'reader';
    const { api, jobs } = await apps.listen({ options: { http: { ...http, manageRule, readRule } }, handlers });
    const post = (body: object, user?: string) =>
      api.as().post<{ id: string }>('/groups', { jobs: [job], ...body }, by(user));
    const { id } = (await post({}, 'ute')).body;
    const absent = '018f4d2e-7b0a-7cc0-8000-000000000000';
    const outsiders = { status: 404, body: { code: 'GROUP_NOT_FOUND' } };
    const [refused, unknown] = [await post({ id }, 'other'), await post({ id: absent }, 'other')];
    expect([refused, refused.text.replace(id, absent)]).toMatchObject([outsiders, unknown.text]);
    expect(await post({ id }, 'reader')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    expect((await post({ id })).status).toBe(401);
    expect((await post({ id, name: 'a' }, 'ute')).status).toBe(400);
    expect((await jobs.group(id))!.total).toBe(1);
    for (const user of ['ute', 'manager', 'ada']) {
      expect((await post({ id }, user)).status).toBe(201);
    }
    const ofApplication = await jobs.enqueueGroup([{ topic: 'sms', payload: 1, ...later }]);
    expect((await post({ id: ofApplication.id }, 'ute')).status).toBe(404);
    expect((await post({ id: ofApplication.id }, 'manager')).status).toBe(404);
    expect((await jobs.group(id))!.total).toBe(4);
  });
});

it('http.enqueueFields knows every field of a job', () => {
  expect([...ENQUEUE_FIELDS].sort()).toEqual(Object.keys(NEW_JOB).map(toWireName).sort());
});
