import type { Job, JobPage, TopicStats, TopicList } from '../../client/wire.js';
import { JobsClient } from '../../client/index.js';
import { textLike } from '../nest/support/matchers.js';
import { signal, until } from '../support/wait.js';
import { ADMIN_TOKEN, everyPlace, useHttpApps } from './support/http-apps.js';

describe.each(everyPlace)('limits over HTTP on $adapter with $database', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  it('PUT /topics/limits sets, replaces and removes the limits that GET /topics shows', async () => {
    const code = { perKey: 2 };
    const app = await apps.listen({ handlers: { work: [() => null, { limits: code }], other: () => null } });
    const { api, jobs } = app;
    const find = async (): Promise<TopicStats> =>
      (await api.get<TopicList>('/topics')).body.items.find(({ topic }) => topic === 'work')!;
    await app.jobAfter('completed', (await jobs.enqueue('other', null)).id);
    expect(await find()).toMatchObject({ limits: { per_key: 2 }, limits_source: 'code', running: 0, waiting_keys: 0 });

    const put = (limits: unknown) => api.send('PUT', '/topics/limits', { body: { topic: 'work', limits } });
    const rate = { limit: 100, per: '1m' };
    const stored = { concurrency: 5, rate: { limit: 100, per: 60_000, per_key: false } };
    const expected = { topic: 'work', limits: stored, limits_source: 'operator', code_limits: { per_key: 2 } };
    expect(await put({ concurrency: 5, rate })).toMatchObject({ status: 200, body: expected });
    expect(await find()).toMatchObject(expected);
    expect(await jobs.limits.get('work')).toEqual({ concurrency: 5, rate: { limit: 100, per: 60_000, perKey: false } });
    const spread = { rate: { ...rate, spread: true } };
    expect(await put(spread)).toMatchObject({ body: { limits: { rate: { ...stored.rate, spread: true } } } });
    expect(await put({ rate: { ...rate, spread: 1 } })).toMatchObject({ status: 400 });
    expect(await put(null)).toMatchObject({ status: 200, body: { limits: { per_key: 2 }, limits_source: 'code' } });

    const client = new JobsClient({ baseUrl: app.url, token: ADMIN_TOKEN });
    expect(await client.setLimits('work', {})).toMatchObject({ limits: {}, limits_source: 'operator' });
    expect(await put({ concurrency: 0, perKey: 1, rate: { limit: 1 } })).toMatchObject({
      status: 400,
      body: {
        data: {
          'limits.concurrency': expect.stringContaining('expected a whole number from 1 to 10000') as string,
          'limits.perKey': expect.stringContaining("did you mean 'per_key'") as string,
          'limits.rate.per': expect.stringContaining('missing') as string,
        },
      },
    });
  });

  it('a pending job says why it does not start', async () => {
    const end = signal();
    const run = (): Promise<void> => end.promise;
    const app = await apps.listen({
      options: { concurrency: 3 },
      handlers: {
        total: [run, { limits: { concurrency: 1 } }],
        keyed: [run, { limits: { perKey: 1 } }],
        rate: [run, { limits: { rate: { limit: 1, per: '1h' } } }],
        paused: run,
        free: run,
      },
    });
    const { api, jobs } = app;
    await jobs.pause('paused');
    const started = async (topic: string, concurrencyKey?: string): Promise<void> => {
      const { id } = await jobs.enqueue(topic, null, { concurrencyKey });
      await app.event('started', id);
    };
    await started('total');
    await started('keyed', 'a');
    await started('rate');
    const later = { runAt: new Date('2098-01-02T03:04:05.678Z') };
    const waiting = [
      [await jobs.enqueue('total', null), 'concurrency', /^1 of 1 job of this topic is running$/],
      [
        await jobs.enqueue('keyed', null, { concurrencyKey: 'a' }),
        'key',
        /^1 of 1 job with this concurrency key is running$/,
      ],
      [
        await jobs.enqueue('rate', null),
        'rate',
        /^the rate of 1 an hour allows the next start at (\S+ )?\d\d:\d\d:\d\d UTC$/,
      ],
      [await jobs.enqueue('paused', null), 'paused', /^the topic is paused$/],
      [await jobs.enqueue('none', null), 'no_handler', /^no live process handles this topic$/],
      [
        await jobs.enqueue('free', null),
        'no_free_slot',
        /^the job waits for a free slot of a process that handles this topic$/,
      ],
      [await jobs.enqueue('free', null, later), 'not_due', /^the job is due at 2098-01-02 03:04:06 UTC$/],
    ] as const;
    for (const [{ id }, code, text] of waiting) {
      const { body } = await api.get<Job>(`/${id}`);
      expect(body.waiting_because).toEqual({ code, text: textLike(text) });
    }
    const { body: page } = await api.get<JobPage>('?limit=50');
    const codes = new Map(page.items.map((job) => [job.id, job.waiting_because?.code]));
    expect(waiting.map(([{ id }]) => codes.get(id))).toEqual(waiting.map(([, code]) => code));
    expect(page.items.filter(({ status }) => status === 'processing').map((job) => job.waiting_because)).toEqual([
      null,
      null,
      null,
    ]);
    const topics = (await api.get<TopicList>('/topics')).body.items;
    const limits = topics.flatMap((each) => (each.limits ? [[each.topic, each.running, each.limited_by]] : []));
    expect(limits).toEqual([
      ['keyed', 1, 'key'],
      ['rate', 1, 'rate'],
      ['total', 1, 'concurrency'],
    ]);
    end.resolve();
    await until(async () => (await jobs.stats('total')).completed === 2);
  });
});
