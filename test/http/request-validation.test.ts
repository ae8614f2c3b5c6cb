import type { ApiErrorBody } from '../../client/wire.js';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { some } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import type { ApiResponse } from './support/api-caller.js';
import type { BadField } from './support/bad-fields.js';
import {
  badBulkFields,
  badEnqueueFields,
  badFilterFields,
  badQueriesByRoute,
  badRequeueFields,
  badTopic,
} from './support/bad-fields.js';
import { useOneHttpApp } from './support/http-apps.js';

const ID = '018f3f5e-7b5a-7000-8000-000000000000';

/** A body that a route takes, and what its fields may not be. */
interface BadBody {
  readonly what: string;
  readonly path: string;
  readonly body: object;
  readonly fields: readonly BadField[];
  readonly required: readonly string[];
  /** Where the fields stand: in the body itself, or deeper. */
  readonly within?: (members: object) => object;
  /** What stands before the name of a field in `data`. */
  readonly prefix?: string;
}

const enqueue = { topic: 'a', payload: 1, delay: '1h' };

const bodies: readonly BadBody[] = [
  { what: 'a job', path: '/enqueue', body: enqueue, fields: badEnqueueFields, required: ['topic', 'payload'] },
  {
    what: 'a job among others',
    path: '/enqueue-many',
    body: enqueue,
    fields: badEnqueueFields,
    required: ['topic', 'payload'],
    within: (job) => ({ jobs: [enqueue, job] }),
    prefix: 'jobs[1].',
  },
  { what: 'a topic', path: '/topics/pause', body: { topic: 'a' }, fields: [badTopic], required: ['topic'] },
  { what: 'changes', path: '/:id/requeue', body: {}, fields: badRequeueFields, required: [] },
  {
    what: 'an action',
    path: '/bulk',
    body: { action: 'cancel', filter: {} },
    fields: badBulkFields,
    required: ['action'],
  },
  {
    what: 'a filter',
    path: '/bulk',
    body: {},
    fields: badFilterFields,
    required: [],
    within: (filter) => ({ action: 'cancel', filter }),
    prefix: 'filter.',
  },
];

const unknownNames = ['nonsense', 'Topic', 'id', 'status', 'constructor', 'toString', 'hasOwnProperty', '', 'a.b', 'ä'];

describe.each(everyAdapter)('request validation on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer' } });
  const api = () => app().api;

  /** Expects 400 in the format of the API, for this field only. */
  function expectComplaint(what: string, { status, headers, body }: ApiResponse<unknown>, field: string): void {
    expect({ what, status, body }).toEqual({
      what,
      status: 400,
      body: {
        status: 400,
        code: expect.stringMatching(/^INVALID_/) as unknown,
        message: some(String),
        data: some(Object),
      },
    });
    expect({ what, fields: Object.keys((body as ApiErrorBody).data) }).toEqual({ what, fields: [field] });
    expect((body as ApiErrorBody).data[field]).not.toBe('');
    expect(headers.get('Content-Type')).toBe('application/json; charset=utf-8');
  }

  describe.each(bodies)('of POST $path with $what', ({ path, body, fields, required, within, prefix = '' }) => {
    const send = (members: object) => api().post(path.replace(':id', ID), within ? within(members) : members);
    /** As an object literal would not say it. */
    const sendText = (members: string) => {
      const text = JSON.stringify(within ? within({ HERE: 1 }) : { HERE: 1 });
      return api().send('POST', path.replace(':id', ID), { text: text.replace('"HERE":1', members) });
    };
    const good = JSON.stringify(body).slice(1, -1);
    const goodAnd = (members: string) => (good ? `${good},${members}` : members);

    it.each(fields)('rejects an invalid $field', async ({ field, values }) => {
      // Given both when a job runs, it would be another complaint.
      const { delay: _, ...others } = body as { delay?: string };
      for (const { why, value } of values) {
        expectComplaint(why, await send({ ...others, [field]: value }), prefix + field);
      }
    });

    it('reports missing fields', async () => {
      for (const field of required) {
        const others = Object.fromEntries(Object.entries(body).filter(([name]) => name !== field));
        expectComplaint('missing', await send(others), prefix + field);
      }
      expect(required.length > 0 || (await send({})).status !== 400).toBe(true);
    });

    it.each([...unknownNames, '__proto__', 'prototype'])('rejects the unknown field %p', async (name) => {
      for (const value of ['1', 'null', '{"isAdmin":true}']) {
        expectComplaint(name, await sendText(goodAnd(`${JSON.stringify(name)}:${value}`)), prefix + name);
      }
      expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
    });

    it('rejects two spellings of one field', async () => {
      const { delay: _, ...others } = body as { delay?: string };
      const time = '2035-01-01T00:00:00Z';
      if (fields.some(({ field }) => field === 'run_at')) {
        expectComplaint('run_at', await send({ ...others, run_at: time, runAt: time }), `${prefix}run_at`);
        expectComplaint('max_retries', await send({ ...body, maxRetries: 1, max_retries: 1 }), `${prefix}max_retries`);
      }
      expectComplaint('dryRun', await send({ ...body, dryRun: true }), `${prefix}dryRun`);
      expectComplaint('createdFrom', await send({ ...body, createdFrom: time }), `${prefix}createdFrom`);
    });

    it('reports several invalid fields at once', async () => {
      const wrong = Object.fromEntries(fields.map(({ field, values }) => [field, values[0]!.value]));
      const answer = await send({ ...body, ...wrong });
      const named = Object.keys((answer.body as ApiErrorBody).data).sort();
      const judged = fields.map(({ field }) => field).filter((field) => field !== 'payload');
      expect([answer.status, named]).toEqual([400, judged.map((field) => prefix + field).sort()]);
    });

    it.each(['null', '1', '"text"', 'true', '[]', '[{}]'])('rejects a body that is not an object: %s', async (text) => {
      const where = within ? prefix.replace(/\.$/, '') : 'body';
      const whole = within ? JSON.stringify(within({ HERE: 1 })).replace('{"HERE":1}', text) : text;
      expectComplaint(text, await api().send('POST', path.replace(':id', ID), { text: whole }), where);
    });
  });

  it.each(Object.entries(badQueriesByRoute))(
    'rejects invalid query parameters of GET %p by name',
    async (path, queries) => {
      for (const { field, why, query } of queries) {
        expectComplaint(`${field}: ${why}`, await api().get(`${path}?${query}`), field);
      }
    },
  );

  it('rejects query parameters of routes with a body', async () => {
    for (const path of ['/enqueue', '/enqueue-many', '/bulk', `/${ID}/requeue`, `/${ID}/promote`, `/${ID}/cancel`]) {
      expectComplaint(path, await api().post(`${path}?topic=a`, {}), 'topic');
    }
    expectComplaint('delete', await api().delete(`/${ID}?force=true`), 'force');
  });

  it('rejects a body of routes without one, if it is read', async () => {
    expectComplaint('promote', await api().post(`/${ID}/promote`, { delay: 0 }), 'delay');
    expectComplaint('cancel', await api().post(`/${ID}/cancel`, { force: true }), 'force');
    expectComplaint('delete', await api().delete(`/${ID}`, { body: { force: true } }), 'force');
  });

  it('rejects contradictory fields', async () => {
    const both = { ...enqueue, run_at: '2035-01-01T00:00:00Z' };
    expectComplaint('delay', await api().post('/enqueue', both), 'delay');
    expectComplaint('jobs', await api().post('/enqueue-many', { jobs: [enqueue, both] }), 'jobs[1].delay');
    const ids = [ID];
    expect((await api().post('/bulk', { action: 'cancel', ids, filter: {} })).status).toBe(400);
    expect((await api().post('/bulk', { action: 'cancel' })).status).toBe(400);
    expect((await api().get('?offset=5&cursor=abc')).status).toBe(400);
  });

  it('rejects a list with too many topics and returns the limit', async () => {
    const answer = await api().get<ApiErrorBody>(`/stats?${'topic=a&'.repeat(1_001)}`);
    expectComplaint('too many', answer, 'topic');
    expect(answer.body.message).toContain('1 to 1000');
  });

  it('returns the index of an invalid job in a list', async () => {
    expectComplaint('no list', await api().post('/enqueue-many', { jobs: enqueue }), 'jobs');
    expectComplaint('too many', await api().post('/enqueue-many', { jobs: Array(1_001).fill(enqueue) }), 'jobs');
    const refs = Array.from({ length: 101 }, (_, index) => `ref-${index}`);
    const linked = { ...enqueue, depends_on: refs };
    const dense = { jobs: [...refs.map((ref) => ({ ...enqueue, ref })), ...Array<object>(100).fill(linked)] };
    for (const path of ['/enqueue-many', '/groups']) {
      const refused = await api().post(path, dense);
      expectComplaint('too many dependencies', refused, 'jobs');
    }
    expectComplaint('missing', await api().post('/enqueue-many', {}), 'jobs');
    expectComplaint('no job', await api().post('/enqueue-many', { jobs: [enqueue, null] }), 'jobs[1]');
    const thousand = await api().post<ApiErrorBody>('/enqueue-many', { jobs: Array(1_000).fill({}) });
    expect(thousand.status).toBe(400);
    expect(Object.keys(thousand.body.data).length).toBeLessThanOrEqual(50);
  });

  it.each([
    ['empty', ''],
    ['too long', 'x'.repeat(256)],
  ])('rejects the header Idempotency-Key: %s', async (what, key) => {
    expectComplaint(
      what,
      await api().post('/enqueue', enqueue, { headers: { 'Idempotency-Key': key } }),
      'idempotency_key',
    );
  });

  it('rejects Idempotency-Key for enqueue-many', async () => {
    const headers = { 'Idempotency-Key': 'k' };
    expectComplaint('many', await api().post('/enqueue-many', { jobs: [enqueue] }, { headers }), 'idempotency_key');
  });

  it('stores nothing', async () => {
    expect((await app().jobs.list()).total).toBe(0);
  });

  it('accepts a job that depends on no other, as the service does', async () => {
    const { status } = await api().post('/enqueue-many', { jobs: [{ ...enqueue, depends_on: [] }] });
    expect(status).toBe(201);
  });
});
