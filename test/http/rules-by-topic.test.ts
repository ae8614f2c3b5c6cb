import { ForbiddenException } from '@nestjs/common';
import type { AccessQuestion } from 'nestjs-jobs';
import type { BulkResult } from '../../client/bulk-wire.js';
import type { Capabilities, Job as WireJob, JobPage, TopicList } from '../../client/wire.js';
import { JobStreams } from '../../lib/http/job-streams.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import type { AnyRequest } from './support/header-users.js';
import { authenticate, by } from './support/header-users.js';
import { everyPlace, useHttpApps, useOneHttpApp } from './support/http-apps.js';

const ABSENT = '018f4d2e-7b0a-7cc0-8000-000000000000';
const later = { delay: '1h' } as const;

/** A team enqueues, reads and manages topics that begin with its name. A viewer of a team reads them. */
const ofTeam = ({ caller, topic, action }: AccessQuestion): boolean => {
  const [team, role] = caller?.id.split('-') ?? [];
  return team !== undefined && topic.startsWith(`${team}.`) && (role === undefined || action === 'read');
};

/** Two ways to give each team its own topics: rules that are functions, and words with one function for all of them. */
const waysOfTeams = [
  { way: 'rules by topic', rules: { enqueueRule: ofTeam, readRule: ofTeam, manageRule: ofTeam } },
  {
    way: 'allowedTopics by caller',
    rules: { enqueueRule: 'authenticated', manageRule: 'authenticated', allowedTopics: ofTeam },
  },
] as const;
const everyTeamPlace = waysOfTeams.flatMap((way) => everyPlace.map((place) => ({ ...way, ...place })));

describe.each(everyTeamPlace)('$way on $adapter with $database', ({ kind, adapterKind, rules }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: {
      maxRetries: 0,
      http: {
        adminToken: undefined,
        authenticate,
        metrics: true,
        ...rules,
        enqueueFields: ['delay', 'depends_on', 'ref', 'unique_key'],
      },
    },
    handlers: {
      'red.mail': [() => undefined, { deadLetter: 'blue.dead' }],
      'red.fails': () => Promise.reject(new Error('red reason')),
      'blue.fails': () => Promise.reject(new Error('blue reason')),
      'blue.dead': () => undefined,
    },
  });
  const api = () => app().api.as();
  const get = <T>(path: string, user?: string) => api().get<T>(path, by(user));
  const post = <T>(path: string, body: unknown, user?: string) => api().post<T>(path, body, by(user));
  let red: string;
  let blue: string;
  let blueFailed: string;
  let blueGroup: string;
  let redGroup: string;
  let mixedGroup: string;

  beforeAll(async () => {
    const group = async (...topics: string[]): Promise<string> => {
      const { id } = await app().jobs.enqueueGroup(topics.map((topic) => ({ topic, payload: 1, ...later })));
      return id;
    };
    const red1 = await app().jobs.enqueue('red.mail', { of: 'red' }, later);
    const [blue1] = await app().jobs.enqueueMany([
      { ref: 'blue', topic: 'blue.waits', payload: { of: 'blue' }, ...later },
      { topic: 'red.child', payload: 1, dependsOn: ['blue', red1.id] },
    ]);
    [red, blue] = [red1.id, blue1!.id];
    const [redFailed, failed] = [await app().jobs.enqueue('red.fails', 1), await app().jobs.enqueue('blue.fails', 1)];
    blueFailed = failed.id;
    await app().event('failed', redFailed.id);
    await app().event('failed', blueFailed);
    [redGroup, blueGroup, mixedGroup] = [
      await group('red.mail'),
      await group('blue.waits'),
      await group('red.mail', 'blue.waits'),
    ];
    await app().jobs.schedules.upsert('of-red', '0 0 1 1 *', { topic: 'red.mail' });
    await app().jobs.schedules.upsert('of-blue', '0 0 1 1 *', { topic: 'blue.waits' });
  });

  it('admit a job of each topic of the caller, and reject others', async () => {
    const job = { topic: 'red.mail', payload: 1, delay: '1h' };
    const other = { topic: 'blue.fails', payload: 1, delay: '1h' };
    const notAllowed = { status: 403, body: { code: 'TOPIC_NOT_ALLOWED', data: { topic: 'not allowed here' } } };
    for (const [path, wrap] of [
      ['/enqueue', (each: object) => each],
      ['/enqueue-many', (each: object) => ({ jobs: [job, each] })],
      ['/groups', (each: object) => ({ jobs: [job, each] })],
      ['/groups', (each: object) => ({ jobs: [job], on_finish: each })],
    ] as const) {
      expect(await post(path, wrap(other), 'red')).toMatchObject(notAllowed);
      expect(await post(path, wrap({ ...job, payload: undefined }), 'red')).toMatchObject({ status: 400 });
      expect(await post(path, wrap(job), 'red-viewer')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
      expect(await post(path, wrap(job), 'green')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
      expect(await post(path, wrap(job))).toMatchObject({ status: 401 });
      expect(await post(path, wrap(job), 'red')).toMatchObject({ status: 201 });
      expect(await post(path, wrap(other), 'ada')).toMatchObject({ status: 201 });
    }
  });

  it('show nothing of another topic in lists, statistics and files', async () => {
    for (const user of ['red', 'red-viewer']) {
      for (const path of [
        '',
        '?q=blue',
        `?q=${blue}`,
        `?group_id=${mixedGroup}`,
        '?order=finished',
        '?due=false',
        '/stats',
        '/topics',
        '/timeseries',
        '/errors',
        '/workers',
        '/schedules',
        '/groups',
        '/metrics',
        '/capabilities',
        `/${red}/graph`,
        '/export?format=json',
        '/export?format=csv&q=blue',
      ]) {
        const { status, text } = await get(path, user);
        expect([path, status]).toEqual([path, 200]);
        expect([path, text]).not.toEqual([path, expect.stringMatching(/blue/)]);
        expect((await get(path)).status).toBe(401);
        expect((await get(path, 'green')).status).toBe(path === '/capabilities' ? 200 : 403);
      }
    }
    const { body } = await get<JobPage>('', 'red');
    expect(new Set(body.items.map(({ topic }) => topic))).toEqual(new Set(['red.mail', 'red.fails', 'red.child']));
    expect((await get('/stats', 'red')).body).toMatchObject({ failed: 1, total: body.total });
    expect((await get('/errors', 'red')).body).toMatchObject({ items: [{ topic: 'red.fails', count: 1 }] });
    expect((await get('/workers', 'red')).body).toMatchObject({ items: [{ topics: ['red.fails', 'red.mail'] }] });
    expect((await get('/groups', 'red')).body).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ id: redGroup })]) as unknown,
    });
    expect((await get('/schedules', 'red')).body).toMatchObject({ items: [{ name: 'of-red' }] });
    expect((await get<TopicList>('/topics', 'red')).body.items.map(({ topic }) => topic)).toEqual([
      'red.child',
      'red.fails',
      'red.mail',
    ]);
    expect((await get(`/${red}/graph`, 'red')).body).toMatchObject({
      nodes: [{ id: red }, { topic: 'red.child' }],
      links: [{ parent_id: red }],
    });
    expect((await get<TopicList>('/topics', 'ada')).body.items.map(({ topic }) => topic)).toContain('blue.fails');
  });

  it('reject other topics by name', async () => {
    for (const path of ['', '/stats', '/topics', '/timeseries', '/errors', '/stream', '/export?format=csv']) {
      const query = (topic: string): string => `${path}${path.includes('?') ? '&' : '?'}topic=red.mail&topic=${topic}`;
      expect([path, await get(query('blue.waits'), 'red')]).toMatchObject([
        path,
        { status: 403, body: { code: 'TOPIC_NOT_ALLOWED' } },
      ]);
      expect([path, (await get(query('blue.waits'), 'green')).status]).toEqual([path, 403]);
      expect([path, (await get(query('blue.waits'))).status]).toEqual([path, 401]);
      expect([path, (await get(query(''), 'red')).status]).toEqual([path, 400]);
    }
    for (const path of ['', '/stats', '/topics', '/timeseries', '/errors', '/export?format=csv']) {
      const query = `${path}${path.includes('?') ? '&' : '?'}topic=red.mail&topic=red.fails`;
      expect([path, (await get(query, 'red')).status]).toEqual([path, 200]);
    }
    for (const path of ['/topics/pause', '/topics/resume']) {
      expect((await post(path, { topic: 'blue.waits' }, 'red')).status).toBe(403);
      expect((await post(path, { topic: 'red.mail' }, 'red-viewer')).status).toBe(403);
      expect((await post(path, { topic: 'red.mail' }, 'red')).status).toBe(204);
    }
    const limits = (topic: string) =>
      api().send('PUT', '/topics/limits', { body: { topic, limits: null }, ...by('red') });
    expect([(await limits('red.mail')).status, (await limits('blue.waits')).status]).toEqual([200, 403]);
  });

  it('hide a job of another topic as one that does not exist', async () => {
    for (const [method, path] of [
      ['GET', '/ID'],
      ['GET', '/ID/logs'],
      ['GET', '/ID/graph'],
      ['GET', '/stream?job=ID'],
      ['POST', '/ID/requeue'],
      ['POST', '/ID/promote'],
      ['POST', '/ID/cancel'],
      ['DELETE', '/ID'],
    ] as const) {
      for (const [user, status] of [
        ['red', 404],
        ['green', 403],
        [undefined, 401],
      ] as const) {
        const [hidden, absent] = [
          await api().send(method, path.replace('ID', blueFailed), by(user)),
          await api().send(method, path.replace('ID', ABSENT), by(user)),
        ];
        expect([path, user, hidden.status]).toEqual([path, user, status]);
        expect(hidden.text.replaceAll(blueFailed, ABSENT)).toBe(absent.text);
      }
    }
    for (const [method, path] of [
      ['POST', '/requeue'],
      ['POST', '/promote'],
      ['POST', '/cancel'],
      ['DELETE', ''],
    ] as const) {
      // The viewer knows the job, and may not change it.
      const refused = await api().send(method, `/${red}${path}`, by('red-viewer'));
      expect([path, refused]).toMatchObject([path, { status: 403, body: { code: 'FORBIDDEN' } }]);
    }
    expect(await app().job(blueFailed)).toMatchObject({ status: 'failed' });
    expect(await app().job(red)).toMatchObject({ status: 'pending' });
    expect((await get<WireJob>(`/${red}`, 'red')).body.topic).toBe('red.mail');
    expect((await post(`/${red}/promote`, {}, 'red')).status).toBe(200);
  });

  it('let a bulk request change own jobs only', async () => {
    const own = await app().jobs.enqueue('red.bulk', 1, later);
    const before = await app().job(blue);
    for (const which of [
      { ids: [blue, own.id] },
      { filter: { q: 'blue' } },
      { filter: { group_id: blueGroup } },
      { filter: {} },
    ]) {
      const { status, body } = await post<BulkResult>('/bulk', { action: 'cancel', dry_run: true, ...which }, 'red');
      expect(status).toBe(200);
      expect(body.by_topic.filter(({ topic }) => !topic.startsWith('red.'))).toEqual([]);
    }
    const [hidden, absent] = await Promise.all(
      [blue, ABSENT].map((id) =>
        post<BulkResult>('/bulk', { action: 'cancel', ids: [own.id, id], dry_run: true }, 'red'),
      ),
    );
    expect(hidden!.text.replaceAll(blue, ABSENT).replace(/"as_of":"[^"]+"/, '')).toBe(
      absent!.text.replace(/"as_of":"[^"]+"/, ''),
    );
    expect((await post('/bulk', { action: 'cancel', ids: [blue] }, 'red')).body).toMatchObject({
      changed: 0,
      skipped: 1,
    });
    expect(await app().job(blue)).toEqual(before);
    expect((await post('/bulk', { action: 'cancel', ids: [own.id, blue] }, 'red')).body).toMatchObject({ changed: 1 });
    for (const user of ['green', 'red-viewer']) {
      expect((await post('/bulk', { action: 'cancel', ids: [red] }, user)).status).toBe(403);
      expect((await post('/bulk', { action: 'cancel', filter: {} }, user)).status).toBe(403);
    }
    expect((await post('/bulk', { action: 'cancel', filter: {} })).status).toBe(401);
    expect((await post('/bulk', { action: 'cancel', filter: { topic: 'blue.waits' } }, 'red')).status).toBe(403);
  });

  it('hide groups without members, and groups with members that were deleted', async () => {
    const member = (topic: string): { topic: string; payload: number } => ({ topic, payload: 1, ...later });
    const whole = await app().jobs.enqueueGroup([member('red.mail'), member('red.mail'), member('red.child')]);
    const lacking = await app().jobs.enqueueGroup([member('red.mail'), member('blue.waits')]);
    const empty = await app().jobs.enqueueGroup([], { onFinish: member('red.mail') });
    const statuses = async (): Promise<number[]> =>
      Promise.all([whole, lacking, empty].map(async ({ id }) => (await get(`/groups/${id}`, 'red')).status));
    expect(await statuses()).toEqual([200, 404, 404]);
    await app().jobs.delete(lacking.jobs[1]!.id);
    expect(await statuses()).toEqual([200, 404, 404]);
    const { body } = await get<{ items: { id: string }[] }>('/groups', 'red');
    expect(body.items.map(({ id }) => id)).toEqual(expect.arrayContaining([whole.id]));
    expect(body.items.map(({ id }) => id)).not.toEqual(expect.arrayContaining([lacking.id]));
  });

  it('hide groups and schedules of other topics', async () => {
    for (const [hidden, path] of [
      [blueGroup, '/groups/ID'],
      [mixedGroup, '/groups/ID'],
      ['of-blue', '/schedules/ID'],
      ['of-blue', '/schedules/ID/next'],
    ] as const) {
      const [found, absent] = [
        await get(path.replace('ID', hidden), 'red'),
        await get(path.replace('ID', ABSENT), 'red'),
      ];
      expect([path, found.status, found.text.replaceAll(hidden, ABSENT)]).toEqual([path, 404, absent.text]);
      expect((await get(path.replace('ID', hidden), 'green')).status).toBe(403);
      expect((await get(path.replace('ID', hidden))).status).toBe(401);
    }
    expect((await post(`/groups/${mixedGroup}/cancel`, {}, 'red')).status).toBe(404);
    expect((await post(`/groups/${redGroup}/cancel`, {}, 'red-viewer')).status).toBe(403);
    expect((await post(`/groups/${redGroup}/cancel`, {}, 'red')).status).toBe(202);
    for (const action of ['pause', 'resume', 'run']) {
      expect((await post(`/schedules/of-blue/${action}`, {}, 'red')).status).toBe(404);
      expect((await post(`/schedules/of-red/${action}`, {}, 'red-viewer')).status).toBe(403);
    }
    const schedule = { pattern: '0 0 1 1 *', topic: 'red.mail' };
    const put = (name: string, topic: string) =>
      api().send('PUT', `/schedules/${name}`, { body: { ...schedule, topic }, ...by('red') });
    const taken = await put('of-blue', 'red.mail');
    expect([taken.status, taken.text]).toEqual([403, expect.not.stringContaining('blue.')]);
    expect((await put('of-red', 'blue.waits')).status).toBe(403);
    expect((await put('of-red', 'red.mail')).status).toBe(200);
    expect((await app().jobs.schedules.get('of-blue'))!.topic).toBe('blue.waits');
  });

  it('hide parents and dependants of other topics', async () => {
    const child = (parent: string) => ({ jobs: [{ topic: 'red.mail', payload: 1, depends_on: [parent] }] });
    const [hidden, absent] = [
      await post('/enqueue-many', child(blue), 'red'),
      await post('/enqueue-many', child(ABSENT), 'red'),
    ];
    expect([hidden.status, hidden.text.replaceAll(blue, ABSENT)]).toEqual([400, absent.text]);
    expect((await post('/enqueue-many', child(red), 'red')).status).toBe(201);
    const [parent] = await app().jobs.enqueueMany([
      { ref: 'parent', topic: 'red.mail', payload: 1, ...later },
      { topic: 'blue.waits', payload: 1, dependsOn: ['parent'] },
    ]);
    await app().jobs.cancel(parent!.id);
    const refused = await post(`/${parent!.id}/requeue`, { dependants: true }, 'red');
    expect([refused.status, refused.text]).toEqual([403, expect.not.stringContaining('blue')]);
    expect((await post(`/${parent!.id}/requeue`, {}, 'red')).status).toBe(200);
  });

  it('limit the stream', async () => {
    const stream = await api().open('/stream', by('red').headers);
    expect((await stream.event('stats')).data).toMatchObject({ failed: 1 });
    await app().jobs.enqueue('blue.waits', 1, later);
    await app().jobs.enqueue('red.mail', 1, later);
    await stream.until('"topics":["red.mail"]');
    expect(stream.text).not.toContain('blue');
    stream.close();
    const one = await api().open('/stream?topic=red.fails', by('red').headers);
    expect((await one.event('stats')).data).toMatchObject({ failed: 1, total: 1 });
    one.close();
    expect(await get('/stream?job=x&topic=red.mail', 'red')).toMatchObject({ status: 400 });
  });

  it('decide what GET /capabilities returns', async () => {
    const capabilitiesOf = async (user?: string) => (await get<Capabilities>('/capabilities', user)).body;
    expect(await capabilitiesOf('ada')).toMatchObject({
      admin: true,
      enqueue: true,
      read: true,
      manage: true,
      topics: null,
    });
    const red1 = await capabilitiesOf('red');
    expect(red1).toMatchObject({ admin: false, enqueue: true, read: true, manage: true });
    expect(red1.topics).toEqual(expect.arrayContaining(['red.mail', 'red.fails']));
    expect(await capabilitiesOf('red-viewer')).toMatchObject({ enqueue: false, read: true, manage: false });
    expect(await capabilitiesOf('green')).toMatchObject({
      authenticated: true,
      enqueue: false,
      read: false,
      topics: [],
    });
  });
});

describe.each(everyAdapter)('a rule that is a function on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('receives the request, the caller, the topic and the action, once for each, and is not called for administrators', async () => {
    const questions: AccessQuestion[] = [];
    const rule = (question: AccessQuestion): boolean => {
      questions.push(question);
      return question.action !== 'manage';
    };
    const http = { adminToken: undefined, authenticate, enqueueRule: rule, readRule: rule, manageRule: rule };
    const { api } = await apps.listen({ options: { http }, handlers: { mail: () => null, sms: () => null } });
    const asked = () =>
      questions
        .splice(0)
        .map(({ request, ...others }) => ({ ...others, agent: typeof (request as AnyRequest).headers }));
    const jobs = ['mail', 'sms', 'mail'].map((topic) => ({ topic, payload: 1, delay: '1h' }));
    expect((await api.as().post('/enqueue-many', { jobs }, by('ute'))).status).toBe(201);
    const question = { caller: { id: 'ute', admin: false }, action: 'enqueue', agent: 'object' };
    expect(asked()).toEqual([
      { ...question, topic: 'mail' },
      { ...question, topic: 'sms' },
    ]);
    expect((await api.as().get('/stats?topic=mail')).status).toBe(200);
    expect(asked()).toEqual([{ caller: null, action: 'read', topic: 'mail', agent: 'object' }]);
    expect((await api.as().post('/topics/pause', { topic: 'mail' }, by('ute'))).status).toBe(403);
    expect(new Set(asked().map(({ action }) => action))).toEqual(new Set(['manage']));
    for (const path of ['', '/stats', '/topics', '/capabilities']) {
      expect((await api.as().get(path, by('ada'))).status).toBe(200);
    }
    expect((await api.as().post('/topics/pause', { topic: 'mail' }, by('ada'))).status).toBe(204);
    expect(asked()).toEqual([]);
  });

  it('is asked as http.allowedTopics beside a function that is a rule, with the right that the request needs', async () => {
    const questions: string[] = [];
    const rule = ({ action, topic }: AccessQuestion): boolean => questions.push(`rule ${action} ${topic}`) > 0;
    const allowedTopics = ({ action, topic }: AccessQuestion): boolean => {
      questions.push(`allowedTopics ${action} ${topic}`);
      return topic === 'mail' && action !== 'manage';
    };
    const http = { adminToken: undefined, authenticate, readRule: rule, manageRule: rule, allowedTopics };
    const { api } = await apps.listen({ options: { http }, handlers: { mail: () => null, sms: () => null } });
    const topics = await api.as().get<TopicList>('/topics', by('ute'));
    expect(topics.body.items.map(({ topic }) => topic)).toEqual(['mail']);
    expect(questions.splice(0)).toEqual(['allowedTopics read mail', 'allowedTopics read sms', 'rule read mail']);
    expect((await api.as().post('/topics/pause', { topic: 'mail' }, by('ute'))).status).toBe(403);
    expect(questions.splice(0)).not.toContain('rule manage mail');
    expect((await api.as().post('/topics/pause', { topic: 'sms' }, by('ada'))).status).toBe(204);
    expect(questions).toEqual([]);
  });

  it('as http.allowedTopics lets no caller without the right to manage create topics', async () => {
    const allowedTopics = ({ topic, action }: AccessQuestion): boolean =>
      topic.startsWith('red.') && action !== 'manage';
    const http = { adminToken: undefined, authenticate, enqueueRule: 'authenticated', allowedTopics } as const;
    const { api } = await apps.listen({ options: { http }, handlers: { 'red.mail': () => null } });
    const enqueue = async (topic: string): Promise<number> =>
      (await api.as().post('/enqueue', { topic, payload: 1 }, by('ute'))).status;
    expect([await enqueue('red.mail'), await enqueue('red.new'), await enqueue('blue.mail')]).toEqual([201, 400, 403]);
  });

  it('is asked with an empty topic while no topic exists', async () => {
    const topics: string[] = [];
    const readRule = ({ caller, topic }: AccessQuestion): boolean => {
      topics.push(topic);
      return caller?.id === 'viewer';
    };
    const { api } = await apps.listen({
      options: { role: 'producer', http: { adminToken: undefined, authenticate, readRule } },
    });
    for (const [path, empty] of Object.entries({
      '': { items: [], total: 0 },
      '/stats': { total: 0 },
      '/topics': { items: [] },
      '/timeseries': { minutes: 60 },
      '/errors': { items: [] },
      '/workers': { items: [] },
      '/schedules': { items: [] },
      '/groups': { items: [] },
      '?q=a': { items: [] },
      '/capabilities': { read: true, topics: [] },
    })) {
      expect([path, await api.as().get(path, by('viewer'))]).toMatchObject([path, { status: 200, body: empty }]);
    }
    expect((await api.as().get('/export?format=json', by('viewer'))).text).toBe('[\n]\n');
    expect((await api.as().get('/stats', by('other'))).status).toBe(403);
    expect(new Set(topics)).toEqual(new Set(['']));
  });

  it('that throws responds with its error, the same for jobs that exist and those that do not', async () => {
    const readRule = ({ topic }: AccessQuestion): boolean => {
      if (topic !== 'shown') throw new ForbiddenException('ask the team');
      return true;
    };
    const { api, jobs } = await apps.listen({
      options: { role: 'producer', http: { adminToken: undefined, authenticate, readRule } },
    });
    const hidden = await jobs.enqueue('hidden', 1, later);
    const refused = { status: 403, body: { code: 'FORBIDDEN', message: 'ask the team' } };
    expect(await api.as().get('/stats')).toMatchObject(refused);
    expect(await api.as().get(`/${hidden.id}`)).toMatchObject(refused);
    expect(await api.as().get(`/${ABSENT}`)).toMatchObject(refused);
    await jobs.enqueue('shown', 1, later);
    expect((await api.as().get('/stats')).body).toMatchObject({ total: 1 });
    expect(await api.as().get('/stats?topic=hidden')).toMatchObject(refused);
    for (const id of [hidden.id, ABSENT]) {
      expect(await api.as().get(`/${id}`)).toMatchObject({ status: 404 });
    }
  });

  it('needs the topics by name when more than 1,000 exist', async () => {
    const readRule = ({ topic }: AccessQuestion): boolean => topic === 't7';
    const { api, jobs } = await apps.listen({
      options: { role: 'producer', http: { adminToken: undefined, authenticate, readRule } },
    });
    await jobs.enqueueMany(Array.from({ length: 1_001 }, (_, n) => ({ topic: `t${n}`, payload: n, ...later })));
    for (const path of ['', '/stats', '/topics', '/stream', '/export?format=csv']) {
      const refused = await api.as().get<{ data: object }>(path);
      expect([path, refused.status, Object.keys(refused.body.data)]).toEqual([path, 400, ['topic']]);
    }
    expect((await api.as().get('/stats?topic=t7')).body).toMatchObject({ total: 1 });
    expect((await api.as().get('/schedules')).body).toEqual({ items: [] });
    expect((await api.as().get('/stats?topic=t8')).status).toBe(403);
    expect((await api.as().get('/topics', by('ada'))).body).toMatchObject({ next_after: null, other: { topics: 1 } });
  });

  it('keeps cursors valid when the caller may see another topic', async () => {
    const http = { adminToken: undefined, authenticate, readRule: ofTeam };
    const { api, jobs } = await apps.listen({ options: { role: 'producer', http } });
    for (const payload of [1, 2, 3]) await jobs.enqueue('red.a', payload, later);
    const first = await api.as().get<JobPage>('?limit=2', by('red'));
    await jobs.enqueue('red.b', 4, later);
    const next = await api.as().get<JobPage>(`?limit=2&cursor=${first.body.next_cursor}`, by('red'));
    expect([...first.body.items, ...next.body.items].map(({ payload }) => payload)).toEqual([3, 2, 1]);
  });

  it('ends a stream when the topics that its reader may see have changed', async () => {
    const http = { adminToken: undefined, authenticate, readRule: ofTeam };
    const app = await apps.listen({ options: { role: 'producer', http } });
    await app.jobs.enqueue('red.a', 1, later);
    app.module.get(JobStreams).heartbeatMs = 20;
    const stream = await app.api.as().open('/stream', by('red').headers);
    await stream.until(': still here\n\n: still here\n\n');
    await app.jobs.enqueue('blue.a', 1, later);
    await stream.until('"pending":1');
    await app.jobs.enqueue('red.b', 1, later);
    await stream.ended();
    await until(() => app.module.get(JobStreams).size === 0);
    const again = await app.api.as().open('/stream', by('red').headers);
    expect((await again.event('stats')).data).toMatchObject({ total: 2 });
    again.close();
  });
});

describe.each(everyAdapter)('GET /topics on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  it('returns pages by name', async () => {
    const { api, jobs } = await apps.listen({ options: { role: 'producer' } });
    for (const topic of ['c', 'a', 'b']) await jobs.enqueue(topic, 1, later);
    const first = await api.get<TopicList>('/topics?limit=2');
    expect(first.body).toMatchObject({ items: [{ topic: 'a' }, { topic: 'b' }], next_after: 'b' });
    const second = await api.get<TopicList>('/topics?limit=2&after=b');
    expect(second.body).toMatchObject({ items: [{ topic: 'c', total: 1 }], next_after: null });
    expect((await api.get<TopicList>('/topics?topic=c&topic=a')).body.items.map(({ topic }) => topic)).toEqual([
      'a',
      'c',
    ]);
  });
});
