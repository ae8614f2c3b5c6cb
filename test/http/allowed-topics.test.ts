import type { Timeseries } from '../../client/report-wire.js';
import type { Job as WireJob, JobPage, TopicList } from '../../client/wire.js';
import { until } from '../support/wait.js';
import { ADMIN_TOKEN, everyPlace, useOneHttpApp } from './support/http-apps.js';

const ABSENT = '018f4d2e-7b0a-7cc0-8000-000000000000';

/** Data of a job that must not be visible over HTTP. */
const HIDDEN = 'hidden';

const OPERATOR_TOKEN = 'a-token-of-an-administrator';

interface AnyRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** A user who may do everything, and an administrator. */
const authenticate = ({ headers }: AnyRequest) =>
  ({
    [`Bearer ${ADMIN_TOKEN}`]: { id: 'ute', admin: false },
    [`Bearer ${OPERATOR_TOKEN}`]: { id: 'ada', admin: true },
  })[headers.authorization ?? ''] ?? null;

describe.each(everyPlace)('allowedTopics on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, {
    options: {
      maxRetries: 0,
      http: {
        adminToken: undefined,
        authenticate,
        enqueueRule: 'authenticated',
        manageRule: 'authenticated',
        allowedTopics: ['shown', 'shown.too'],
      },
    },
    handlers: {
      shown: [() => undefined, { deadLetter: 'hidden.waits' }],
      'hidden.fails': () => {
        throw new Error(`${HIDDEN} reason`);
      },
      'shown.too': () => {
        throw new Error('shown reason');
      },
    },
  });
  const api = () => app().api;
  const refusal = {
    status: 403,
    body: { status: 403, code: 'TOPIC_NOT_ALLOWED', data: { topic: 'not allowed here' } },
  };
  let hidden: string;
  let failed: string;
  let shown: string;
  let shownToFail: string;

  beforeAll(async () => {
    hidden = (await app().jobs.enqueue('hidden.waits', { [HIDDEN]: 1 }, { delay: '1h' })).id;
    shown = (await app().jobs.enqueue('shown', { a: 1 }, { delay: '1h' })).id;
    failed = (await app().jobs.enqueue('hidden.fails', 1)).id;
    shownToFail = (await app().jobs.enqueue('shown.too', 1)).id;
    await app().event('failed', failed);
    await app().event('failed', shownToFail);
  });

  async function expectUntouched(): Promise<void> {
    expect(await app().job(hidden)).toMatchObject({ status: 'pending' });
    expect(await app().job(failed)).toMatchObject({ status: 'failed' });
  }

  it('does not limit administrators', async () => {
    const operator = api().as(OPERATOR_TOKEN);
    const { body } = await operator.post<WireJob>('/enqueue', { topic: 'hidden.new', payload: 1, delay: '1h' });
    expect((await operator.get<WireJob>(`/${body.id}`)).body).toMatchObject({ topic: 'hidden.new' });
    expect((await operator.get<JobPage>('?topic=hidden.new&topic=hidden.waits')).body.total).toBe(2);
    expect((await operator.get('/capabilities')).body).toMatchObject({ admin: true, topics: null });
    expect((await operator.delete(`/${body.id}`)).status).toBe(204);
    expect((await api().as().get('')).status).toBe(401);
  });

  it('lets a caller enqueue topics that do not exist yet', async () => {
    const { status, body } = await api().post<WireJob>('/enqueue', { topic: 'shown.too', payload: 1, delay: '1h' });
    expect([status, (await api().delete(`/${body.id}`)).status]).toEqual([201, 204]);
  });

  it('limits enqueueing', async () => {
    expect(await api().post('/enqueue', { topic: 'hidden.waits', payload: 1 })).toMatchObject(refusal);
    const jobs = ['shown', 'hidden.waits'].map((topic) => ({ topic, payload: 1, delay: '1h' }));
    expect(await api().post('/enqueue-many', { jobs })).toMatchObject(refusal);
    for (const topic of ['SHOWN', 'shown ', ' shown', 'shown.', 'show', 'shown.too.much', 'ſhown']) {
      expect(await api().post('/enqueue', { topic, payload: 1 })).toMatchObject(refusal);
    }
    expect((await app().jobs.list()).total).toBe(4);
  });

  it('limits pause, resume and limits', async () => {
    for (const path of ['/topics/pause', '/topics/resume']) {
      expect(await api().post(path, { topic: 'hidden.waits' })).toMatchObject(refusal);
      expect(await api().post(path, { topic: 'shown' })).toMatchObject({ status: 204 });
    }
    const setLimits = (topic: string): Promise<unknown> =>
      api().send('PUT', '/topics/limits', { body: { topic, limits: null } });
    expect(await setLimits('hidden.waits')).toMatchObject(refusal);
    expect(await setLimits('shown')).toMatchObject({ status: 200 });
    await app().jobs.pause('hidden.waits');
    const { body } = await api().get<TopicList>('/topics');
    expect(body.items.map(({ topic }) => topic)).not.toContain('hidden.waits');
    await app().jobs.resume('hidden.waits');
  });

  it('limits the topics in filters', async () => {
    for (const path of ['', '/stats', '/timeseries', '/errors']) {
      expect([path, await api().get(`${path}?topic=hidden.waits`)]).toMatchObject([path, refusal]);
      expect([path, await api().get(`${path}?topic=shown&topic=hidden.waits`)]).toMatchObject([path, refusal]);
      expect([path, (await api().get(`${path}?topic=shown`)).status]).toEqual([path, 200]);
    }
  });

  it('narrows every response without a topic filter', async () => {
    const list = await api().get<JobPage>('');
    expect(list.body.items.map(({ topic }) => topic).sort()).toEqual(['shown', 'shown.too']);
    expect(list.body.total).toBe(2);
    expect((await api().get('/stats')).body).toMatchObject({ pending: 1, failed: 1, total: 2 });
    const topics = await api().get<TopicList>('/topics');
    expect(topics.body.items.map(({ topic }) => topic)).toEqual(['shown', 'shown.too']);
    expect((await api().get('/errors')).body).toMatchObject({ items: [{ topic: 'shown.too', count: 1 }] });
    expect((await api().get('/capabilities')).body).toMatchObject({ topics: ['shown', 'shown.too'] });
    for (const path of ['', '/stats', '/topics', '/timeseries', '/errors', '/workers', '/export?format=csv']) {
      expect((await api().get(path)).text).not.toContain(HIDDEN);
    }
  });

  it('narrows the time series', async () => {
    const failures = async (): Promise<number> => {
      const { body } = await api().get<Timeseries>('/timeseries');
      return body.items.reduce((sum, point) => sum + point.failed, 0);
    };
    // The counts of a process reach the database a little later.
    await until(async () => (await app().jobs.stats('hidden.fails')).failed === 1 && (await failures()) > 0);
    expect(await failures()).toBe(1);
  });

  it('narrows the search', async () => {
    for (const q of [hidden, failed, 'hidden', 'hidden.fails', 'hidden reason', 'reason', 'hidden:1']) {
      const found = await api().get<JobPage>(`?q=${encodeURIComponent(q)}`);
      expect(found.text).not.toContain(HIDDEN);
      expect(found.body).toMatchObject({ total: q === 'reason' ? 1 : 0, search: { window: 2, complete: true } });
    }
  });

  it('hides jobs of other topics by id', async () => {
    for (const [method, path] of [
      ['GET', `/${hidden}`],
      ['GET', `/${hidden.toUpperCase()}`],
      ['POST', `/${hidden}/promote`],
      ['POST', `/${hidden}/cancel`],
      ['POST', `/${failed}/requeue`],
      ['DELETE', `/${failed}`],
    ] as const) {
      const answer = await api().send(method, path);
      // The same as for a job that does not exist.
      const absent = await api().send(method, path.replace(/^\/[^/]+/, `/${ABSENT}`));
      const named = path.split('/')[1]!;
      expect([path, answer.status, answer.text.replace(named, ABSENT)]).toEqual([path, 404, absent.text]);
      expect(answer.text).not.toContain(HIDDEN);
    }
    expect((await api().get(`/stream?job=${hidden}`)).status).toBe(404);
    await expectUntouched();
    expect((await api().get<WireJob>(`/${shown}`)).body).toMatchObject({ topic: 'shown' });
    expect((await api().get(`/${ABSENT}`)).status).toBe(404);
  });

  it('limits bulk actions', async () => {
    for (const action of ['cancel', 'delete', 'requeue', 'promote']) {
      for (const which of [
        { ids: [hidden, failed] },
        { filter: { q: 'hidden' } },
        { filter: { q: hidden } },
        { filter: { q: 'hidden', due: false } },
      ]) {
        const answer = await api().post<{ changed: number }>('/bulk', { action, ...which });
        expect([200, 403]).toContain(answer.status);
        expect(answer.body.changed ?? 0).toBe(0);
        expect(answer.text).not.toContain(HIDDEN);
      }
      expect(await api().post('/bulk', { action, filter: { topic: 'hidden.waits' } })).toMatchObject(refusal);
      expect(await api().post('/bulk', { action, filter: { topic: ['shown', 'hidden.waits'] } })).toMatchObject(
        refusal,
      );
    }
    await expectUntouched();
    const all = await api().post('/bulk', { action: 'delete', filter: {}, dry_run: true });
    expect(all).toMatchObject({ status: 200, body: { matched: 2 } });
    const waiting = await api().post('/bulk', { action: 'promote', filter: { due: false }, dry_run: true });
    expect(waiting).toMatchObject({ status: 200, body: { matched: 1 } });
    expect((await api().get<JobPage>('?due=false')).body.items.map(({ id }) => id)).toEqual([shown]);
  });

  it('narrows the stream', async () => {
    const stream = await api().open('/stream');
    await stream.event('stats');
    await app().jobs.enqueue('hidden.waits', 1, { delay: '1h' });
    await app().jobs.enqueue('shown', 1, { delay: '1h' });
    await stream.until('{"topics":["shown"]}');
    expect(stream.text).not.toContain(HIDDEN);
    stream.close();
  });

  it('makes bulk actions skip jobs of other topics as if they did not exist', async () => {
    expect(await api().post('/bulk', { action: 'delete', ids: [hidden] })).toMatchObject({
      body: { matched: 1, changed: 0, skipped: 1, skipped_reasons: [{ reason: 'there is no such job' }] },
    });
    const failing = { action: 'requeue', filter: { status: 'failed' } };
    expect(await api().post('/bulk', failing)).toMatchObject({ status: 200, body: { matched: 1, changed: 1 } });
    await app().event('failed', shownToFail);
    await expectUntouched();
  });

  it('hides groups with a job of another topic, and refuses to make or cancel one', async () => {
    const newGroup = async (...topics: string[]): Promise<string> => {
      const jobs = topics.map((topic) => ({ topic, payload: 1, delay: '1h' as const }));
      return (await app().jobs.enqueueGroup(jobs)).id;
    };
    const mixed = await newGroup('shown', 'hidden.waits');
    const allShown = await newGroup('shown', 'shown.too');
    const listed = (await api().get('/groups')).body as { items: { id: string }[] };
    expect(listed.items.map(({ id }) => id)).toEqual([allShown]);
    const { body: first } = await api().get('/groups?limit=1');
    const { body: second } = await api().get(`/groups?limit=1&before=${allShown}`);
    expect([first, second]).toMatchObject([
      { items: [{ id: allShown }], next_before: allShown },
      { items: [], next_before: null },
    ]);
    expect(await api().get(`/groups/${allShown}`)).toMatchObject({ status: 200 });
    expect(await api().get(`/groups/${mixed}`)).toMatchObject({ status: 404 });
    expect(await api().post(`/groups/${mixed}/cancel`)).toMatchObject({ status: 404 });
    const jobs = [{ topic: 'shown', payload: 1 }];
    expect(await api().post('/groups', { jobs, on_finish: { topic: 'hidden.waits', payload: 1 } })).toMatchObject(
      refusal,
    );
    expect(await api().post('/groups', { id: mixed, jobs })).toMatchObject({ status: 404 });
    expect(await app().jobs.group(mixed)).toMatchObject({ total: 2, cancelled: 0 });
  });

  it('refuses to re-queue a job with dependants of another topic', async () => {
    const [parent, middle] = await app().jobs.enqueueMany([
      { ref: 'parent', topic: 'shown', payload: 1, delay: '1h' },
      { ref: 'middle', topic: 'shown', payload: 2, delay: '1h', dependsOn: ['parent'] },
      { ref: 'last', topic: 'hidden.waits', payload: 3, delay: '1h', dependsOn: ['middle'] },
      { topic: 'shown', payload: 4, delay: '1h', dependsOn: ['last'] },
    ]);
    await app().jobs.cancel(parent!.id);
    expect(await api().post(`/${parent!.id}/requeue`, { dependants: true })).toMatchObject(refusal);
    expect(await app().job(parent!.id)).toMatchObject({ status: 'cancelled' });
    expect(await app().job(middle!.id)).toMatchObject({ status: 'cancelled' });
    const [own, child] = await app().jobs.enqueueMany([
      { ref: 'own', topic: 'shown', payload: 1, delay: '1h' },
      { topic: 'shown.too', payload: 2, delay: '1h', dependsOn: ['own'] },
    ]);
    await app().jobs.cancel(own!.id);
    expect(await api().post(`/${own!.id}/requeue`, { dependants: true })).toMatchObject({ status: 200 });
    expect(await app().job(child!.id)).toMatchObject({ status: 'pending' });
  });
});
