import type { JobsClientOptions } from 'nestjs-jobs/client';
import { JobsApiError, JobsClient } from 'nestjs-jobs/client';
import { until } from '../support/wait.js';
import { json, silence, useScriptedServer } from './support/scripted-server.js';

const server = useScriptedServer();

function newClient(options: Partial<JobsClientOptions> = {}): JobsClient {
  return new JobsClient({ baseUrl: server.url, retries: 0, ...options });
}

/** A fetch that neither responds nor reads its signal. */
const deaf = () => new Promise<never>(() => undefined);

describe('the timeout of a call', () => {
  it.each([
    ['the server does not respond', {}],
    ['the given fetch ignores its signal', { fetch: deaf }],
    ['the token function does not return', { token: deaf }],
  ])('rejects if %s', async (_, options) => {
    server.answers(silence);

    await expect(newClient({ timeout: 50, ...options }).stats()).rejects.toMatchObject({
      name: 'JobsApiError',
      status: 0,
      code: 'TIMEOUT',
      message: `GET ${server.url}/api/jobs/stats: no response within 50 ms`,
    });
  });

  it('covers the whole response', async () => {
    server.answers((response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.write('{');
    });

    await expect(newClient({ timeout: 100 }).stats()).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('closes the connection', async () => {
    let isClosed = false;
    server.answers((response) => void response.on('close', () => (isClosed = true)));

    // The request must arrive before the timeout.
    await expect(newClient({ timeout: 2_000 }).stats()).rejects.toThrow(JobsApiError);
    await until(() => isClosed, { message: 'the closed connection' });
  });

  it.each([0, Infinity, 2 ** 31])('does not apply with %d ms', async (timeout) => {
    server.answers((response, request) => {
      setTimeout(() => void json(200, { total: 1 })(response, request), 30);
    });

    expect(await newClient({ timeout }).stats()).toEqual({ total: 1 });
  });
});

describe('an aborted signal', () => {
  const calls: [name: string, call: (jobs: JobsClient, signal: AbortSignal) => Promise<unknown>][] = [
    ['enqueue', (jobs, signal) => jobs.enqueue('a', 1, { signal })],
    ['enqueueMany', (jobs, signal) => jobs.enqueueMany([], { signal })],
    ['get', (jobs, signal) => jobs.get('x', { signal })],
    ['list', (jobs, signal) => jobs.list({ topic: 'a', signal })],
    ['list, beside the filter', (jobs, signal) => jobs.list({ topic: 'a' }, { signal })],
    ['iterate', (jobs, signal) => jobs.iterate({ signal }).next()],
    ['iterate, beside the filter', (jobs, signal) => jobs.iterate({}, { signal }).next()],
    ['requeue', (jobs, signal) => jobs.requeue('x', { signal })],
    ['requeue, beside the changes', (jobs, signal) => jobs.requeue('x', { payload: 1 }, { signal })],
    ['promote', (jobs, signal) => jobs.promote('x', { signal })],
    ['cancel', (jobs, signal) => jobs.cancel('x', { signal })],
    ['delete', (jobs, signal) => jobs.delete('x', { signal })],
    ['bulk', (jobs, signal) => jobs.bulk({ action: 'delete', ids: [], signal })],
    ['bulk, beside the request', (jobs, signal) => jobs.bulk({ action: 'delete', ids: [] }, { signal })],
    ['stats', (jobs, signal) => jobs.stats({ signal })],
    ['stats, beside the topic', (jobs, signal) => jobs.stats('a', { signal })],
    ['timeseries', (jobs, signal) => jobs.timeseries({ signal })],
    ['topics', (jobs, signal) => jobs.topics({ signal })],
    ['errors', (jobs, signal) => jobs.errors({ signal })],
    ['workers', (jobs, signal) => jobs.workers({ signal })],
    ['capabilities', (jobs, signal) => jobs.capabilities({ signal })],
  ];

  it.each(calls)('ends a running %s with its reason', async (_, call) => {
    server.answers(silence);
    const controller = new AbortController();
    const reason = new Error('left the page');
    const result = call(newClient(), controller.signal);
    result.catch(() => undefined);
    await until(() => server.requests.length === 1, { message: 'the request' });
    expect(server.requests[0]!.url + server.requests[0]!.body).not.toContain('signal');
    controller.abort(reason);

    await expect(result).rejects.toBe(reason);
  });

  it.each(calls)('prevents %s', async (_, call) => {
    await expect(call(newClient(), AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    expect(server.requests).toEqual([]);
  });

  it('is released by finished calls', async () => {
    server.answers(json(200, {}));
    const controller = new AbortController();
    const { signal } = controller;
    const added = jest.spyOn(signal, 'addEventListener');
    const removed = jest.spyOn(signal, 'removeEventListener');

    await newClient().stats({ signal });
    expect(added).toHaveBeenCalledTimes(1);
    expect(removed.mock.calls).toEqual(added.mock.calls);
  });
});
