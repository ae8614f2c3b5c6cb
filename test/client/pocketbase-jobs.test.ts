import { setImmediate } from 'node:timers/promises';
import type { SendOptions } from 'nestjs-jobs/client';
import { JobsService, PocketBaseJobs } from 'nestjs-jobs/client';

const ID = '0193e0c5-5d3c-7cc2-a5a4-3f1c2f2b9a10';

/** A client that already knows its server; its state shows whether `send` is called as its method. */
class PageClient {
  readonly sent: [path: string, options: SendOptions][] = [];

  constructor(private readonly answers: unknown[] = []) {}

  async send(path: string, options: SendOptions): Promise<unknown> {
    this.sent.push([path, options]);
    await setImmediate();
    return this.answers.shift() ?? { id: ID };
  }
}

describe('PocketBaseJobs', () => {
  let client: PageClient;
  let jobs: PocketBaseJobs;
  beforeEach(() => {
    client = new PageClient();
    jobs = new PocketBaseJobs(client);
  });

  it.each<[name: string, call: (service: PocketBaseJobs) => Promise<unknown>, path: string, options: SendOptions]>([
    [
      'enqueue',
      (service) => service.enqueue('mail', { to: 'a' }, { runAt: new Date(0), maxRetries: 5 }),
      '/api/jobs/enqueue',
      {
        method: 'POST',
        body: { topic: 'mail', payload: { to: 'a' }, run_at: '1970-01-01T00:00:00.000Z', max_retries: 5 },
      },
    ],
    ['get', (service) => service.get(ID), `/api/jobs/${ID}`, { method: 'GET' }],
    [
      'list',
      (service) => service.list({ topic: 'mail', status: 'failed', limit: 10, offset: 20 }),
      '/api/jobs',
      { method: 'GET', query: { topic: 'mail', status: 'failed', limit: 10, offset: 20 } },
    ],
    ['list without a filter', (service) => service.list(), '/api/jobs', { method: 'GET' }],
    ['requeue', (service) => service.requeue(ID), `/api/jobs/${ID}/requeue`, { method: 'POST' }],
    ['promote', (service) => service.promote(ID), `/api/jobs/${ID}/promote`, { method: 'POST' }],
    ['cancel', (service) => service.cancel(ID), `/api/jobs/${ID}/cancel`, { method: 'POST' }],
    ['stats', (service) => service.stats(), '/api/jobs/stats', { method: 'GET' }],
  ])('sends %s and returns the response unchanged', async (_, call, path, options) => {
    expect(await call(jobs)).toEqual({ id: ID });
    expect(client.sent).toStrictEqual([[path, options]]);
  });

  it('sends delete and returns nothing, whatever the client returns', async () => {
    expect(await jobs.delete(ID)).toBeUndefined();
    expect(client.sent).toStrictEqual([[`/api/jobs/${ID}`, { method: 'DELETE' }]]);
  });

  it('reads all pages', async () => {
    client = new PageClient([
      { items: [{ id: '2' }], next_cursor: 'c1' },
      { items: [{ id: '1' }], next_cursor: null },
    ]);
    const ids: string[] = [];
    for await (const { id } of new PocketBaseJobs(client).iterate({ topic: 'a' })) ids.push(id);

    expect(ids).toEqual(['2', '1']);
    expect(client.sent.map(([, { query }]) => query)).toEqual([
      { limit: 100, topic: 'a' },
      { limit: 100, topic: 'a', cursor: 'c1' },
    ]);
  });

  it('passes the idempotency key and the signal to the client', async () => {
    const { signal } = new AbortController();
    await jobs.enqueue('a', 1, { idempotencyKey: 'order-7', signal });

    expect(client.sent).toMatchObject([['/api/jobs/enqueue', { headers: { 'Idempotency-Key': 'order-7' } }]]);
    expect(client.sent[0]![1].signal).toBe(signal);
  });

  it('sends nothing if the signal has aborted', async () => {
    const reason = new Error('left the page');

    await expect(jobs.stats({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(client.sent).toEqual([]);
  });

  it('passes errors of the client on unchanged and sends once', async () => {
    const error = new Error('of the client');
    const send = jest.fn(async () => {
      throw error;
    });

    await expect(new PocketBaseJobs({ send }).stats()).rejects.toBe(error);
    expect(send).toHaveBeenCalledTimes(1);
  });

  it('uses another base path', async () => {
    await new PocketBaseJobs(client, { path: 'v1/queue/' }).stats();

    expect(client.sent).toMatchObject([['/v1/queue/stats', {}]]);
  });

  it('throws without an object that can send', () => {
    expect(() => new PocketBaseJobs({} as never)).toThrow('send(path, options)');
  });

  it('is also exported as JobsService', () => {
    expect(JobsService).toBe(PocketBaseJobs);
  });
});
