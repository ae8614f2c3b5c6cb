import type { ApiErrorBody, Job, JobPage } from '../../client/wire.js';
import { some } from '../nest/support/matchers.js';
import { everyPlace, useHttpApps, useOneHttpApp } from './support/http-apps.js';
import type { HttpApp } from './support/http-apps.js';

/** All pages of a list, from the first to the last; `between` runs after each. */
async function walk(app: HttpApp, query: string, between: () => Promise<unknown> = async () => {}): Promise<Job[]> {
  const seen: Job[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const path: string = `?${query}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const answer = await app.api.get<JobPage>(path);
    expect(answer.status).toBe(200);
    seen.push(...answer.body.items);
    cursor = answer.body.next_cursor;
    await between();
  }
  return seen;
}

/** Arrivals from several callers at once, until they are stopped. */
function arrivals(app: HttpApp, topics: readonly string[]): { stop(): Promise<number> } {
  let isOver = false;
  let count = 0;
  const callers = topics.map(async (topic) => {
    while (!isOver) {
      await app.jobs.enqueue(topic, 'new', { delay: '1h' });
      count += 1;
    }
  });
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(callers);
      return count;
    },
  };
}

describe.each(everyPlace)('reading all pages on $adapter with $database', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it.each([
    ['of everything', 'limit=20', () => true],
    ['of one topic', 'limit=7&topic=a', (topic: string) => topic === 'a'],
    [
      'of several topics and statuses',
      'limit=33&topic=a&topic=b&status=pending&status=failed',
      (topic: string) => topic !== 'c',
    ],
    ['of what is searched', 'limit=7&q=c', (topic: string) => topic === 'c'],
  ])('%s returns each old job once while jobs arrive', async (_, query, matches) => {
    const app = await apps.listen({ options: { role: 'producer' } });
    const topics = ['a', 'b', 'c'];
    const old = await app.jobs.enqueueMany(
      Array.from({ length: 150 }, (_, index) => ({ topic: topics[index % 3]!, payload: 'old', delay: '1h' as const })),
    );
    const arriving = arrivals(app, [...topics, 'a', 'b', 'c']);
    // More arrives between the pages than stands on them.
    const seen = await walk(app, query, () =>
      app.jobs.enqueueMany(Array.from({ length: 40 }, () => ({ topic: 'a', payload: 'new', delay: '1h' as const }))),
    );
    expect(await arriving.stop()).toBeGreaterThan(0);

    const ids = seen.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort().reverse()).toEqual(ids);
    const oldIds = old.filter(({ topic }) => matches(topic)).map(({ id }) => id);
    expect(seen.filter(({ payload }) => payload === 'old').map(({ id }) => id)).toEqual(oldIds.reverse());
    expect(seen.every(({ topic }) => matches(topic))).toBe(true);
  });

  it('misses no remaining job while others are deleted', async () => {
    const app = await apps.listen({ options: { role: 'producer' } });
    const old = await app.jobs.enqueueMany(
      Array.from({ length: 100 }, () => ({ topic: 'a', payload: 'old', delay: '1h' as const })),
    );
    // Those on which a page has ended, too.
    const going = old.filter((_, index) => index % 10 === 0 || index % 10 === 9);
    const seen = await walk(app, 'limit=10', async () => {
      for (const { id } of going.splice(-4)) await app.jobs.delete(id);
    });
    const ids = seen.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const staying = old.filter((_, index) => index % 10 !== 0 && index % 10 !== 9).map(({ id }) => id);
    expect(ids.filter((id) => staying.includes(id))).toEqual(staying.reverse());
  });
});

describe.each(everyPlace)('pages on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, { options: { role: 'producer' } });
  const list = (query: string) => app().api.get<JobPage & ApiErrorBody>(`?${query}`);
  const strange = [
    'a%b',
    'a_b',
    'a\\b',
    "o'clock",
    'x"; DROP TABLE _jobs; --',
    '$1',
    '?1',
    ':topic',
    '../..',
    '日本',
    '😀',
    ' ',
  ];
  let ids: string[];

  beforeAll(async () => {
    const jobs = await app().jobs.enqueueMany(
      ['a', 'b', 'axb', 'a', 'b', 'a', ...strange].map((topic) => ({ topic, payload: 1, delay: '1h' })),
    );
    ids = jobs.map(({ id }) => id).reverse();
  });

  it('have a size, an offset and a total', async () => {
    for (const [query, from, limit] of [
      ['', 0, 20],
      ['limit=1', 0, 1],
      ['limit=200', 0, 200],
      ['limit=5&offset=5', 5, 5],
      ['offset=17', 17, 20],
      ['offset=18', 18, 20],
      ['offset=10000000', 10_000_000, 20],
    ] as const) {
      const { status, body } = await list(query);
      expect({ query, status, body }).toMatchObject({
        query,
        status: 200,
        body: { limit, offset: from, total: 18, total_capped: false },
      });
      expect(body.items.map(({ id }) => id)).toEqual(ids.slice(from, from + limit));
      expect(body.next_cursor).toEqual(from + limit < 18 ? some(String) : null);
    }
  });

  it('continue after an offset', async () => {
    const { body } = await list('limit=5&offset=5');
    const next = await list(`limit=5&cursor=${encodeURIComponent(body.next_cursor!)}`);
    expect(next.body.items.map(({ id }) => id)).toEqual(ids.slice(10, 15));
  });

  it('continue only with the same filter', async () => {
    const filter = 'topic=a&topic=b&status=pending&created_from=2020-01-01T00:00:00Z';
    const { body } = await list(`${filter}&limit=2`);
    const cursor = `cursor=${encodeURIComponent(body.next_cursor!)}`;
    for (const same of [
      `${filter}&limit=2`,
      `${filter}&limit=200`,
      filter,
      'topic=b&topic=a&status=pending&created_from=2020-01-01T00:00:00.000Z',
      'status=pending&created_from=2020-01-01T01:00:00%2B01:00&topic=a&topic=b&topic=a',
    ]) {
      expect([same, (await list(`${same}&${cursor}`)).status]).toEqual([same, 200]);
    }
    for (const other of [
      '',
      'topic=a',
      'topic=a&topic=b&status=pending',
      'topic=a&topic=b&topic=axb&status=pending&created_from=2020-01-01T00:00:00Z',
      `${filter}&status=failed`,
      `${filter}&q=a`,
      `${filter}&created_to=2040-01-01T00:00:00Z`,
      'topic=a&topic=b&status=pending&created_from=2020-01-01T00:00:00.001Z',
    ]) {
      expect([other, await list(`${other}&${cursor}`)]).toMatchObject([
        other,
        { status: 400, body: { code: 'INVALID_REQUEST', data: { cursor: some(String) } } },
      ]);
    }
  });

  it('reject or reinterpret a changed cursor without running SQL', async () => {
    const { body } = await list('limit=2');
    const cursor = body.next_cursor!;
    for (let index = 0; index < cursor.length; index += 1) {
      for (const letter of ['A', "'"]) {
        const changed = cursor.slice(0, index) + letter + cursor.slice(index + 1);
        const answer = await list(`limit=2&cursor=${encodeURIComponent(changed)}`);
        expect([200, 400]).toContain(answer.status);
      }
    }
    for (const cut of [
      cursor.slice(0, -1),
      cursor.slice(1),
      cursor + cursor,
      `${cursor}=`,
      ` ${cursor}`,
      `${cursor}' OR 1=1 --`,
    ]) {
      expect((await list(`limit=2&cursor=${encodeURIComponent(cut)}`)).status).toBe(400);
    }
  });

  it('match search text literally, even if it looks like SQL', async () => {
    for (const topic of strange) {
      const encoded = encodeURIComponent(topic);
      for (const query of [`topic=${encoded}`, `q=${encoded}`, `topic=${encoded}&q=${encoded}&status=pending`]) {
        const { body } = await list(query);
        const found = body.items.map((job) => job.topic);
        expect([query, found.includes(topic)]).toEqual([query, true]);
        expect(found.filter((each) => !each.toLowerCase().includes(topic.toLowerCase()))).toEqual([]);
      }
    }
    for (const q of [
      '%',
      '_',
      "' OR '1'='1",
      "'; DELETE FROM _jobs; --",
      '\\',
      '%25',
      'a%',
      '*',
      '.*',
      '(',
      'NULL',
      '1 OR 1=1',
    ]) {
      const { status, body } = await list(`q=${encodeURIComponent(q)}`);
      const found = strange.filter((topic) => topic.toLowerCase().includes(q.toLowerCase()));
      expect([q, status, body.items.length]).toEqual([q, 200, found.length]);
    }
    expect((await list('')).body.total).toBe(18);
  });

  it.each(['/stats', '/errors', '/timeseries'])('and %s filter topics that look like SQL', async (path) => {
    for (const topic of strange) {
      const { status, body } = await app().api.get<{ pending?: number }>(`${path}?topic=${encodeURIComponent(topic)}`);
      expect([topic, status]).toEqual([topic, 200]);
      expect(body.pending ?? 1).toBe(1);
    }
  });

  it('find a job by its id in any case', async () => {
    const [id] = ids as [string];
    for (const q of [id, id.toUpperCase()]) {
      expect((await list(`q=${q}`)).body.items.map((job) => job.id)).toEqual([id]);
    }
    expect((await list(`q=${id.slice(0, -1)}`)).body.total).toBe(0);
  });
});
