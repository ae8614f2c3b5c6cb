import type { Job as WireJob, JobPage } from '../../client/wire.js';
import { everyPlace, useOneHttpApp } from './support/http-apps.js';

/** Texts that would change a statement if they became part of it. */
const texts = [
  `'; DROP TABLE _jobs; --`,
  `'); DELETE FROM _jobs; --`,
  `' OR '1'='1`,
  `" OR ""="`,
  `1 OR 1=1`,
  `\\'; DELETE FROM _jobs; --`,
  `'||(SELECT pg_sleep(30))||'`,
  `x $1 $2 ?1 ? :topic @topic`,
  `%' AND 1=1 --`,
  `_jobs`,
  `x'/**/UNION/**/SELECT/**/sql/**/FROM/**/sqlite_master--`,
  `{"a":"'"}'::jsonb--`,
  `E'\\\\x27'`,
];

describe.each(everyPlace)('text that looks like SQL on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, { options: { role: 'producer' } });
  let bystander: WireJob;

  const rows = async (): Promise<number> =>
    Number((await app().dataSource.query<{ n: string }[]>('SELECT count(*) AS n FROM _jobs'))[0]!.n);

  beforeAll(async () => {
    const { id } = await app().jobs.enqueue('bystander', 'untouched', { delay: '1h' });
    bystander = (await app().api.get<WireJob>(`/${id}`)).body;
  });

  async function expectBystanderUntouched(): Promise<void> {
    expect((await app().api.get<WireJob>(`/${bystander.id}`)).body).toEqual(bystander);
  }

  it.each(texts)('is stored and returned unchanged: %s', async (text) => {
    const before = await rows();
    const said = { payload: { [text]: [text] }, metadata: { [text]: text } };
    const request = { topic: text, delay: '1h', unique_key: text, ...said };
    const stored = await app().api.post<WireJob>('/enqueue', request, { headers: { 'Idempotency-Key': text } });
    expect(stored).toMatchObject({ status: 201, body: { topic: text, unique_key: text, ...said } });
    const { id } = stored.body;
    expect(await app().api.post('/enqueue', request)).toMatchObject({ status: 200, body: { id } });
    const many = await app().api.post<JobPage>('/enqueue-many', { jobs: [{ ...request, unique_key: `${text}2` }] });
    expect(many).toMatchObject({ status: 201, body: { items: [{ topic: text, ...said }] } });
    await app().api.post(`/${id}/cancel`);
    const requeued = await app().api.post(`/${id}/requeue`, { payload: text });
    expect(requeued).toMatchObject({ status: 200, body: { payload: text, status: 'pending' } });
    expect(await rows()).toBe(before + 2);

    expect(await app().api.post('/topics/pause', { topic: text })).toMatchObject({ status: 204 });
    expect(await app().api.post('/topics/resume', { topic: text })).toMatchObject({ status: 204 });
    const asked = encodeURIComponent(text);
    for (const query of [`topic=${asked}`, `topic=${asked}&topic=${asked}x`, `q=${asked}`]) {
      const page = await app().api.get<JobPage>(`?${query}`);
      expect([query, page.status, page.body.total]).toEqual([query, 200, 2]);
    }
    expect(await app().api.get(`/stats?topic=${asked}`)).toMatchObject({ status: 200, body: { pending: 2, total: 2 } });
    for (const path of [`/timeseries?topic=${asked}`, `/errors?topic=${asked}`]) {
      expect((await app().api.get(path)).status).toBe(200);
    }
    for (const filter of [{ topic: text }, { q: text }]) {
      const matched = await app().api.post('/bulk', { action: 'delete', filter, dry_run: true });
      expect(matched).toMatchObject({ status: 200, body: { matched: 2 } });
    }
    expect(await app().api.post('/bulk', { action: 'delete', filter: { topic: text } })).toMatchObject({
      body: { changed: 2 },
    });
    expect(await rows()).toBe(before);
    await expectBystanderUntouched();
  });

  it.each(texts)('is rejected where it is invalid: %s', async (text) => {
    const before = await rows();
    const asked = encodeURIComponent(text);
    for (const field of ['status', 'due', 'created_from', 'created_to', 'limit', 'offset', 'cursor', 'sort', asked]) {
      expect([field, (await app().api.get(`?${field}=${asked}`)).status]).toEqual([field, 400]);
    }
    expect((await app().api.get(`/timeseries?minutes=${asked}`)).status).toBe(400);
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/cancel'],
      ['POST', '/requeue'],
    ] as const) {
      expect((await app().api.send(method, `/${asked}${path}`)).status).toBe(404);
    }
    for (const [path, body] of [
      ['/bulk', { action: 'delete', ids: [text] }],
      ['/bulk', { action: text, ids: [bystander.id] }],
      ['/bulk', { action: 'delete', filter: { status: text } }],
      ['/bulk', { action: 'delete', filter: { created_from: text } }],
      ['/bulk', { action: 'delete', filter: { [text]: 1 } }],
      ...['run_at', 'delay', 'timeout', 'priority', 'max_retries', text].map(
        (field) => ['/enqueue', { topic: 'a', payload: 1, [field]: text }] as const,
      ),
    ] as const) {
      expect([path, body, (await app().api.post(path, body)).status]).toEqual([path, body, 400]);
    }
    expect(await rows()).toBe(before);
    await expectBystanderUntouched();
  });
});
