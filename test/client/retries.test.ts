import type { JobsClientOptions } from 'nestjs-jobs/client';
import { JobsClient } from 'nestjs-jobs/client';
import { backoffMs } from '../../client/retry.js';
import { signal } from '../support/wait.js';
import type { Answer } from './support/scripted-server.js';
import { cut, cutInTheMiddle, html, json, refusal, silence, useScriptedServer } from './support/scripted-server.js';

const ID = '0193e0c5-5d3c-7cc2-a5a4-3f1c2f2b9a10';
const server = useScriptedServer();

const transient: [name: string, answer: Answer][] = [
  ['a cut connection', cut],
  ['a cut response', cutInTheMiddle],
  ['a timeout', silence],
  ['status 502 of a proxy', html(502)],
  ['status 504 of a proxy', html(504)],
  ['status 503', refusal(503, 'QUEUE_UNAVAILABLE')],
  ['status 429', refusal(429, 'HTTP_429')],
];

function newClient(options: Partial<JobsClientOptions> = {}): JobsClient {
  return new JobsClient({ baseUrl: server.url, ...options });
}

/** Long enough for every request and response to arrive. A test without a response waits this long. */
function timeoutFor(answer: Answer): number {
  return answer === silence ? 1_500 : 30_000;
}

describe('a repeatable call', () => {
  it.each(transient)('is retried after %s', async (_, answer) => {
    server.answers(answer, json(200, { total: 1 }));

    expect(await newClient({ timeout: timeoutFor(answer) }).stats()).toEqual({ total: 1 });
    expect(server.requests).toHaveLength(2);
  });

  it.each(transient)('repeats the same enqueue with the same key after %s', async (_, answer) => {
    server.answers(answer, answer, json(201, { id: ID }));
    const payload = { count: 1 };
    const call = newClient({ timeout: timeoutFor(answer) }).enqueue('mail', payload, { uniqueKey: 'k' });
    // A later change of the caller's object must not change the retry.
    payload.count = 2;

    expect(await call).toEqual({ id: ID });
    const [first, ...others] = server.requests;
    expect(others).toHaveLength(2);
    expect(first!.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/);
    for (const other of others) {
      expect(other.body).toBe(first!.body);
      expect(other.headers['idempotency-key']).toBe(first!.headers['idempotency-key']);
    }
    expect(JSON.parse(first!.body)).toMatchObject({ payload: { count: 1 } });
  });

  it.each([400, 401, 403, 404, 409, 413, 422, 500, 501])('is not retried after status %d', async (status) => {
    server.answers(refusal(status, 'SOME_CODE'));

    await expect(newClient().stats()).rejects.toMatchObject({ status });
    expect(server.requests).toHaveLength(1);
  });

  it('is retried `retries` times and then rejects with the last error', async () => {
    server.answers(html(502), html(504), refusal(503, 'QUEUE_UNAVAILABLE'));

    await expect(newClient({ retries: 2 }).get(ID)).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    expect(server.requests).toHaveLength(3);
  });

  it('waits longer before each retry', async () => {
    const times: number[] = [];
    server.answers((response, request) => {
      times.push(performance.now());
      return refusal(503, 'QUEUE_UNAVAILABLE')(response, request);
    });

    await expect(newClient().stats()).rejects.toMatchObject({ status: 503 });
    const waits = times.slice(1).map((time, index) => time - times[index]!);
    expect(waits).toHaveLength(3);
    // 200, 400 and 800 ms, minus up to a half at random.
    [100, 200, 400].forEach((least, index) => expect(waits[index]).toBeGreaterThanOrEqual(least - 2));
  });

  it.each([
    ['seconds', () => '1'],
    // HTTP dates have whole seconds: two seconds ahead is at least one.
    ['a date', () => new Date(Date.now() + 2_000).toUTCString()],
  ])('waits at least as long as Retry-After, in %s', async (_, header) => {
    server.answers(refusal(429, 'HTTP_429', { headers: { 'Retry-After': header() } }), json(200, {}));
    const before = performance.now();

    await newClient().stats();
    expect(performance.now() - before).toBeGreaterThanOrEqual(990);
    expect(server.requests).toHaveLength(2);
  });

  it('rejects at once if Retry-After exceeds a minute', async () => {
    server.answers(refusal(503, 'QUEUE_UNAVAILABLE', { headers: { 'Retry-After': '61' } }));

    await expect(newClient().stats()).rejects.toMatchObject({ status: 503, retryAfterMs: 61_000 });
    expect(server.requests).toHaveLength(1);
  });

  it('stops waiting when the signal aborts', async () => {
    const answered = signal();
    server.answers((response, request) => {
      response.on('close', answered.resolve);
      return refusal(503, 'QUEUE_UNAVAILABLE', { headers: { 'Retry-After': '30' } })(response, request);
    });
    const controller = new AbortController();
    const reason = new Error('left the page');
    void answered.promise.then(() => controller.abort(reason));

    await expect(newClient().stats({ signal: controller.signal })).rejects.toBe(reason);
    expect(server.requests).toHaveLength(1);
  });
});

describe('the wait before a stream reconnects', () => {
  it.each([59_000, 61_000, Date.UTC(2999, 0)])('is limited to a minute: retry %d ms', (ms) => {
    const pauseMs = backoffMs(0, 2_000, 30_000, ms);
    expect(pauseMs).toBeGreaterThanOrEqual(Math.min(ms, 60_000) + 1_000);
    expect(pauseMs).toBeLessThanOrEqual(62_000);
  });
});

describe('a call that is not repeatable', () => {
  const calls: [name: string, call: (jobs: JobsClient) => Promise<unknown>][] = [
    ['delete', (jobs) => jobs.delete(ID)],
    ['requeue', (jobs) => jobs.requeue(ID)],
    ['promote', (jobs) => jobs.promote(ID)],
    ['cancel', (jobs) => jobs.cancel(ID)],
    ['bulk', (jobs) => jobs.bulk({ action: 'requeue', ids: [ID] })],
    ['enqueueMany', (jobs) => jobs.enqueueMany([{ topic: 'a', payload: 1 }])],
  ];

  it.each(calls)('%s is sent once, whatever happens', async (name, call) => {
    // Each test of a timeout waits for it.
    const answers = transient.map(([, answer]) => answer).filter((answer) => answer !== silence || name === 'delete');
    for (const answer of answers) {
      server.answers(answer);
      server.requests = [];

      await expect(call(newClient({ timeout: timeoutFor(answer) }))).rejects.toMatchObject({ name: 'JobsApiError' });
      expect(server.requests).toHaveLength(1);
      expect(server.requests[0]!.headers).not.toHaveProperty('idempotency-key');
    }
  });
});

describe('an idempotency key', () => {
  it('is new for each call', async () => {
    server.answers(json(201, { id: ID }));
    const jobs = newClient();

    await Promise.all(Array.from({ length: 20 }, () => jobs.enqueue('a', 1)));
    expect(new Set(server.requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(20);
  });

  it('may be given by the caller and is not part of the body', async () => {
    server.answers(json(201, { id: ID }));

    await newClient().enqueue('a', 1, { idempotencyKey: 'order-7' });
    expect(server.requests[0]!.headers['idempotency-key']).toBe('order-7');
    expect(JSON.parse(server.requests[0]!.body)).toEqual({ topic: 'a', payload: 1 });
  });
});
