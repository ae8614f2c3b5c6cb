import type { JobFilter } from 'nestjs-jobs/client';
import { JobsClient } from 'nestjs-jobs/client';
import { json, refusal, useScriptedServer } from './support/scripted-server.js';

const server = useScriptedServer();

function page(ids: string[], nextCursor: string | null) {
  return json(200, { items: ids.map((id) => ({ id })), next_cursor: nextCursor });
}

async function idsOf(jobs: AsyncIterable<{ id: string }>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of jobs) ids.push(id);
  return ids;
}

describe('iterate', () => {
  let jobs: JobsClient;
  beforeEach(() => {
    jobs = new JobsClient({ baseUrl: server.url });
  });

  const urls = () => server.requests.map(({ url }) => url);

  it('yields the jobs of all pages by cursor and with the same filter', async () => {
    server.answers(page(['4', '3'], 'c1'), page([], 'c2'), page(['1'], null));

    expect(await idsOf(jobs.iterate({ status: 'failed', topic: ['a', 'b'] }))).toEqual(['4', '3', '1']);
    const filter = '/api/jobs?limit=100&status=failed&topic=a&topic=b';
    expect(urls()).toEqual([filter, `${filter}&cursor=c1`, `${filter}&cursor=c2`]);
  });

  it.each<[string, JobFilter, string[]]>([
    ['in pages of 100 by default', { limit: undefined }, ['limit=100', 'limit=100&cursor=c1']],
    ['in pages of the given size', { limit: 2 }, ['limit=2', 'limit=2&cursor=c1']],
    ['from an offset', { offset: 7 }, ['limit=100&offset=7', 'limit=100&cursor=c1']],
    ['from a cursor', { cursor: 'c0' }, ['limit=100&cursor=c0', 'limit=100&cursor=c1']],
  ])('reads %s', async (_, filter, queries) => {
    server.answers(page(['2'], 'c1'), page(['1'], null));

    expect(await idsOf(jobs.iterate(filter))).toEqual(['2', '1']);
    expect(urls()).toEqual(queries.map((query) => `/api/jobs?${query}`));
  });

  it('requests a page only when its first job is needed', async () => {
    server.answers(page(['2', '1'], 'c1'), page(['0'], null));

    for await (const { id } of jobs.iterate()) {
      if (id === '1') break;
    }
    expect(urls()).toHaveLength(1);
  });

  it('continues after a page that succeeded at the second attempt', async () => {
    server.answers(page(['2'], 'c1'), refusal(503, 'QUEUE_UNAVAILABLE'), page(['1'], null));

    expect(await idsOf(jobs.iterate())).toEqual(['2', '1']);
  });

  it('throws the error of a page', async () => {
    server.answers(page(['2'], 'c1'), refusal(401, 'UNAUTHORIZED'));

    await expect(idsOf(jobs.iterate())).rejects.toMatchObject({ status: 401 });
  });

  it('throws the reason of the signal between two pages', async () => {
    server.answers(page(['2'], 'c1'), page(['1'], null));
    const controller = new AbortController();
    const reason = new Error('enough');
    const walk = async () => {
      for await (const { id } of jobs.iterate({ signal: controller.signal })) if (id === '2') controller.abort(reason);
    };

    await expect(walk()).rejects.toBe(reason);
    expect(urls()).toHaveLength(1);
  });
});
