import type { JobsClientOptions } from 'nestjs-jobs/client';
import { JobsClient } from 'nestjs-jobs/client';
import { empty, json, useScriptedServer } from './support/scripted-server.js';

const ID = '0193e0c5-5d3c-7cc2-a5a4-3f1c2f2b9a10';
const server = useScriptedServer();

function newClient(options: Partial<JobsClientOptions> = {}): JobsClient {
  return new JobsClient({ baseUrl: server.url, retries: 0, ...options });
}

interface Case {
  name: string;
  call: (jobs: JobsClient) => Promise<unknown>;
  method: string;
  url: string;
  body?: unknown;
}

const runAt = new Date('2030-01-02T03:04:05.678Z');
const cases: Case[] = [
  {
    name: 'logs',
    call: (jobs) => jobs.logs(ID, { after: '1.17', limit: 50 }),
    method: 'GET',
    url: `/api/jobs/${ID}/logs?after=1.17&limit=50`,
  },
  {
    name: 'enqueue',
    call: (jobs) => jobs.enqueue('mail', { camelCase: 1 }),
    method: 'POST',
    url: '/api/jobs/enqueue',
    body: { topic: 'mail', payload: { camelCase: 1 } },
  },
  {
    name: 'enqueue with options as TypeScript spells them',
    call: (jobs) =>
      jobs.enqueue('mail', null, {
        runAt,
        maxRetries: 0,
        priority: -5,
        timeout: '30s',
        uniqueKey: 'k',
        metadata: { orderId: 1 },
      }),
    method: 'POST',
    url: '/api/jobs/enqueue',
    body: {
      topic: 'mail',
      payload: null,
      run_at: '2030-01-02T03:04:05.678Z',
      max_retries: 0,
      priority: -5,
      timeout: '30s',
      unique_key: 'k',
      metadata: { orderId: 1 },
    },
  },
  {
    name: 'enqueue with options as the wire spells them, and what is undefined left out',
    call: (jobs) => jobs.enqueue('mail', [], { run_at: '2030-01-01', max_retries: 2, delay: undefined }),
    method: 'POST',
    url: '/api/jobs/enqueue',
    body: { topic: 'mail', payload: [], run_at: '2030-01-01', max_retries: 2 },
  },
  {
    name: 'enqueueMany',
    call: (jobs) =>
      jobs.enqueueMany([
        { topic: 'a', payload: 1, runAt },
        { topic: 'b', payload: 2, unique_key: 'k' },
      ]),
    method: 'POST',
    url: '/api/jobs/enqueue-many',
    body: {
      jobs: [
        { topic: 'a', payload: 1, run_at: '2030-01-02T03:04:05.678Z' },
        { topic: 'b', payload: 2, unique_key: 'k' },
      ],
    },
  },
  { name: 'get', call: (jobs) => jobs.get(ID), method: 'GET', url: `/api/jobs/${ID}` },
  { name: 'get of an odd id', call: (jobs) => jobs.get('a/../b?c'), method: 'GET', url: '/api/jobs/a%2F..%2Fb%3Fc' },
  { name: 'list', call: (jobs) => jobs.list(), method: 'GET', url: '/api/jobs' },
  {
    name: 'list with a filter',
    call: (jobs) =>
      jobs.list({ topic: ['a b', 'c&d'], status: 'failed', q: 'é', createdFrom: runAt, limit: 5, offset: 0 }),
    method: 'GET',
    url: '/api/jobs?topic=a+b&topic=c%26d&status=failed&q=%C3%A9&created_from=2030-01-02T03%3A04%3A05.678Z&limit=5&offset=0',
  },
  {
    name: 'list of a group of errors',
    call: (jobs) => jobs.list({ topic: 'a', errorKey: 'ab12' }),
    method: 'GET',
    url: '/api/jobs?topic=a&error_key=ab12',
  },
  {
    name: 'list of what waits for its time',
    call: (jobs) => jobs.list({ due: false }),
    method: 'GET',
    url: '/api/jobs?due=false',
  },
  { name: 'requeue', call: (jobs) => jobs.requeue(ID), method: 'POST', url: `/api/jobs/${ID}/requeue` },
  {
    name: 'requeue with changes',
    call: (jobs) => jobs.requeue(ID, { payload: { keepMe: 1 }, runAt, maxRetries: 1 }),
    method: 'POST',
    url: `/api/jobs/${ID}/requeue`,
    body: { payload: { keepMe: 1 }, run_at: '2030-01-02T03:04:05.678Z', max_retries: 1 },
  },
  { name: 'promote', call: (jobs) => jobs.promote(ID), method: 'POST', url: `/api/jobs/${ID}/promote` },
  { name: 'cancel', call: (jobs) => jobs.cancel(ID), method: 'POST', url: `/api/jobs/${ID}/cancel` },
  {
    name: 'bulk',
    call: (jobs) =>
      jobs.bulk({ action: 'delete', filter: { topic: 'a', createdTo: runAt, status: ['failed'] }, dryRun: true }),
    method: 'POST',
    url: '/api/jobs/bulk',
    body: {
      action: 'delete',
      filter: { topic: 'a', created_to: '2030-01-02T03:04:05.678Z', status: ['failed'] },
      dry_run: true,
    },
  },
  {
    name: 'bulk by ids',
    call: (jobs) =>
      jobs.bulk({ action: 'requeue', ids: [ID], asOf: '2030-01-02T03:04:05.678901Z', max: 5, pace: '50/m' }),
    method: 'POST',
    url: '/api/jobs/bulk',
    body: { action: 'requeue', ids: [ID], as_of: '2030-01-02T03:04:05.678901Z', max: 5, pace: '50/m' },
  },
  { name: 'stats', call: (jobs) => jobs.stats(), method: 'GET', url: '/api/jobs/stats' },
  { name: 'stats of a topic by name', call: (jobs) => jobs.stats('a'), method: 'GET', url: '/api/jobs/stats?topic=a' },
  {
    name: 'stats of a topic by filter',
    call: (jobs) => jobs.stats({ topic: 'a' }),
    method: 'GET',
    url: '/api/jobs/stats?topic=a',
  },
  {
    name: 'timeseries',
    call: (jobs) => jobs.timeseries({ topic: 'a', minutes: 5 }),
    method: 'GET',
    url: '/api/jobs/timeseries?topic=a&minutes=5',
  },
  {
    name: 'stats of several topics',
    call: (jobs) => jobs.stats({ topic: ['a', 'b'] }),
    method: 'GET',
    url: '/api/jobs/stats?topic=a&topic=b',
  },
  { name: 'topics', call: (jobs) => jobs.topics(), method: 'GET', url: '/api/jobs/topics' },
  { name: 'errors', call: (jobs) => jobs.errors({ topic: 'a' }), method: 'GET', url: '/api/jobs/errors?topic=a' },
  { name: 'graph', call: (jobs) => jobs.graph(ID), method: 'GET', url: `/api/jobs/${ID}/graph` },
  {
    name: 'requeue with the jobs that were cancelled',
    call: (jobs) => jobs.requeue(ID, { dependants: true }),
    method: 'POST',
    url: `/api/jobs/${ID}/requeue`,
    body: { dependants: true },
  },
  {
    name: 'groups.enqueue',
    call: (jobs) =>
      jobs.groups.enqueue([{ ref: 'a', topic: 'resize', payload: { keepMe: 1 }, dependsOn: [ID] }], {
        name: 'nightly',
        onFinish: { topic: 'report', payload: null, maxRetries: 1 },
        on_failure: { topic: 'alert', payload: 1 },
      }),
    method: 'POST',
    url: '/api/jobs/groups',
    body: {
      jobs: [{ ref: 'a', topic: 'resize', payload: { keepMe: 1 }, depends_on: [ID] }],
      name: 'nightly',
      on_finish: { topic: 'report', payload: null, max_retries: 1 },
      on_failure: { topic: 'alert', payload: 1 },
    },
  },
  { name: 'groups.list', call: (jobs) => jobs.groups.list(), method: 'GET', url: '/api/jobs/groups' },
  {
    name: 'groups.list of unfinished groups',
    call: (jobs) => jobs.groups.list({ before: ID, limit: 5, finished: false }),
    method: 'GET',
    url: `/api/jobs/groups?before=${ID}&limit=5&finished=false`,
  },
  { name: 'groups.get', call: (jobs) => jobs.groups.get(ID), method: 'GET', url: `/api/jobs/groups/${ID}` },
  {
    name: 'groups.cancel',
    call: (jobs) => jobs.groups.cancel(ID),
    method: 'POST',
    url: `/api/jobs/groups/${ID}/cancel`,
  },
  {
    name: 'list of the members of a group',
    call: (jobs) => jobs.list({ groupId: ID, status: 'failed' }),
    method: 'GET',
    url: `/api/jobs?group_id=${ID}&status=failed`,
  },
  {
    name: 'list in the order of the end',
    call: (jobs) => jobs.list({ order: 'finished', finishedFrom: new Date(0), q: 'orderId:7' }),
    method: 'GET',
    url: '/api/jobs?order=finished&finished_from=1970-01-01T00%3A00%3A00.000Z&q=orderId%3A7',
  },
  { name: 'workers', call: (jobs) => jobs.workers(), method: 'GET', url: '/api/jobs/workers' },
  { name: 'capabilities', call: (jobs) => jobs.capabilities(), method: 'GET', url: '/api/jobs/capabilities' },
];

describe('JobsClient', () => {
  it.each(cases)('sends $name and returns the response unchanged', async ({ call, method, url, body }) => {
    const answer = { id: ID, run_at: '2030-01-01T00:00:00.000Z', unheard_of: [null] };
    server.answers(json(200, answer));

    expect(await call(newClient())).toEqual(answer);
    const [request] = server.requests;
    expect(request).toMatchObject({ method, url });
    expect(request!.headers.accept).toBe('application/json');
    expect(request!.headers['content-type']).toBe(body === undefined ? undefined : 'application/json');
    expect(request!.body === '' ? undefined : JSON.parse(request!.body)).toEqual(body);
  });

  it.each([
    ['pause', 'a/b c'],
    ['resume', 'mail'],
  ] as const)('sends %s, and gives nothing', async (verb, topic) => {
    server.answers(empty(204));

    expect(await newClient()[verb](topic)).toBeUndefined();
    expect(server.requests).toMatchObject([{ method: 'POST', url: `/api/jobs/topics/${verb}` }]);
    expect(JSON.parse(server.requests[0]!.body)).toEqual({ topic });
  });

  it('sends delete and returns nothing', async () => {
    server.answers(empty(204));

    expect(await newClient().delete(ID)).toBeUndefined();
    expect(server.requests).toMatchObject([{ method: 'DELETE', url: `/api/jobs/${ID}`, body: '' }]);
    expect(server.requests[0]!.headers['content-type']).toBeUndefined();
  });

  it.each([
    ['a base with a path and slashes', (url: string) => ({ baseUrl: `${url}/shop//` }), '/shop/api/jobs/stats'],
    ['another path', (url: string) => ({ baseUrl: url, path: '/v1/queue/' }), '/v1/queue/stats'],
  ])('sends requests to %s', async (_, options, expected) => {
    server.answers(json(200, {}));

    await newClient(options(server.url)).stats();
    expect(server.requests[0]!.url).toBe(expected);
  });

  it.each([
    ['text', 'secret'],
    ['a function', () => 'secret'],
    ['an asynchronous function', async () => 'secret'],
  ])('sends a token from %s as a header, never in a URL', async (_, token) => {
    server.answers(json(200, {}));

    await newClient({ token }).list({ q: 'x' });
    expect(server.requests[0]!.headers.authorization).toBe('Bearer secret');
    expect(server.requests[0]!.url).not.toContain('secret');
  });

  it.each([
    ['is not set', undefined],
    ['is null', null],
    ['is empty', ''],
    ['is null from a function', () => null],
    ['is undefined from an asynchronous function', async () => undefined],
  ])('sends no credentials if the token %s', async (_, token) => {
    server.answers(json(200, {}));

    await newClient({ token }).stats();
    expect(server.requests[0]!.headers).not.toHaveProperty('authorization');
  });

  it('reads the token for each request', async () => {
    const tokens = ['first', 'second'];
    const jobs = newClient({ token: () => tokens.shift() });
    server.answers(json(200, {}));

    await jobs.stats();
    await jobs.stats();
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second']);
  });

  it.each<[string, (jobs: JobsClient) => Promise<unknown>]>([
    ['list', (jobs) => jobs.list({ topic: [] })],
    ['iterate', (jobs) => jobs.iterate({ status: [] }).next()],
    ['stats', (jobs) => jobs.stats({ topic: [] })],
  ])('rejects an empty list in %s, which would match everything', async (_, call) => {
    await expect(call(newClient())).rejects.toThrow(/^(topic|status): expected at least one, got none$/);
    expect(server.requests).toEqual([]);
  });

  it('rejects with the error of the token function and sends nothing', async () => {
    const jobs = newClient({
      token: async () => {
        throw new Error('logged out');
      },
    });

    await expect(jobs.stats()).rejects.toThrow('logged out');
    expect(server.requests).toEqual([]);
  });

  it('rejects a token that is invalid in a header, without quoting it', async () => {
    const error = await newClient({ token: 'sec\nret' }).stats().catch(String);

    expect(error).toMatch(/token: expected printable ASCII/);
    expect(error).not.toMatch(/sec|ret\b/);
  });

  it('uses the given fetch', async () => {
    const seen: unknown[] = [];
    server.answers(json(200, { total: 3 }));
    const jobs = newClient({
      fetch: async (input, init) => {
        seen.push(input);
        return fetch(input, init);
      },
    });

    expect(await jobs.stats()).toEqual({ total: 3 });
    expect(seen).toEqual([`${server.url}/api/jobs/stats`]);
  });

  it.each(['', '.', '..', undefined as unknown as string, 7 as unknown as string])(
    'rejects the id %p, which would address another route, and sends nothing',
    async (id) => {
      for (const call of [
        (jobs: JobsClient) => jobs.get(id),
        (jobs: JobsClient) => jobs.requeue(id),
        (jobs: JobsClient) => jobs.promote(id),
        (jobs: JobsClient) => jobs.cancel(id),
        (jobs: JobsClient) => jobs.delete(id),
        (jobs: JobsClient) => jobs.graph(id),
        (jobs: JobsClient) => jobs.groups.get(id),
        (jobs: JobsClient) => jobs.groups.cancel(id),
      ]) {
        await expect(call(newClient())).rejects.toThrow(/^id: expected the id of a (job|group)/);
      }
      expect(server.requests).toEqual([]);
    },
  );

  it('rejects an option in both spellings and an invalid date', async () => {
    await expect(newClient().enqueue('a', 1, { runAt, run_at: runAt })).rejects.toThrow(
      'run_at: given in both spellings',
    );
    await expect(newClient().enqueue('a', 1, { runAt: new Date(NaN) })).rejects.toThrow('runAt: expected a valid date');
    await expect(newClient().list({ createdFrom: new Date('x') })).rejects.toThrow(
      'createdFrom: expected a valid date',
    );
    expect(server.requests).toEqual([]);
  });

  it('rejects a bulk request with an undefined condition and sends nothing', async () => {
    const filter = { errorKey: undefined };
    await expect(newClient().bulk({ action: 'delete', filter })).rejects.toThrow('filter.errorKey: ');
    expect(server.requests).toEqual([]);
  });

  it.each([
    [NaN, {}, 'payload: expected a JSON value, got NaN'],
    [{ lines: [{ price: Infinity }] }, {}, 'price: expected a JSON value, got Infinity'],
    [1, { priority: NaN }, 'priority: expected a JSON value, got NaN'],
  ])('rejects a number that JSON would turn into null: %p, %p', async (payload, options, text) => {
    await expect(newClient().enqueue('a', payload, options)).rejects.toThrow(new TypeError(text));
    expect(server.requests).toEqual([]);
  });

  it('sends unknown options to the server', async () => {
    server.answers(json(200, {}));

    await newClient().enqueue('a', 1, { speedUp: true } as object);
    expect(JSON.parse(server.requests[0]!.body)).toEqual({ topic: 'a', payload: 1, speed_up: true });
  });

  it('throws without a baseUrl', () => {
    for (const given of [undefined, null, {}, { baseUrl: 'localhost:3000' }, { baseUrl: '127.0.0.1:3000' }]) {
      expect(() => new JobsClient(given as never)).toThrow('baseUrl: ');
    }
  });

  it.each<[string, unknown]>([
    ['retries', NaN],
    ['retries', -1],
    ['retries', '3'],
    ['timeout', NaN],
    ['timeout', -1],
    ['timeout', '5s'],
  ])('throws for %s: %p', (name, value) => {
    const build = (): JobsClient => new JobsClient({ baseUrl: '', [name]: value });
    expect(build).toThrow(TypeError);
    expect(build).toThrow(`${name}: expected`);
  });
});
