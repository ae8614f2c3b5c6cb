import type { ServerResponse } from 'node:http';
import type { JobsClientOptions, StreamEvent, StreamOptions } from 'nestjs-jobs/client';
import { JobsApiError, JobsClient } from 'nestjs-jobs/client';
import { until } from '../support/wait.js';
import type { Answer } from './support/scripted-server.js';
import { cut, html, json, refusal, useScriptedServer } from './support/scripted-server.js';

const server = useScriptedServer();

const STATS = { pending: 1, total: 1 };
/** Reconnects at once. */
const HASTE = 'retry: 1\n\n';
const stats = (pending: number) => `event: stats\ndata: {"pending":${pending}}\n\n`;
const changed = (...topics: string[]) => `event: changed\ndata: ${JSON.stringify({ topics })}\n\n`;

/** Starts a stream, sends the text and keeps it open. */
function streaming(text: string, opened?: (response: ServerResponse) => void): Answer {
  return (response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' });
    response.write(text);
    opened?.(response);
  };
}

const end = (response: ServerResponse) => void response.end();
const destroy = (response: ServerResponse) => void response.socket?.destroy();

describe('JobsClient.stream', () => {
  let leave: AbortController;
  beforeEach(() => {
    leave = new AbortController();
  });
  afterEach(() => leave.abort());

  function open(
    options: StreamOptions = {},
    client: Partial<JobsClientOptions> = {},
  ): AsyncGenerator<StreamEvent, void, undefined> {
    return new JobsClient({ baseUrl: server.url, ...client }).stream({ signal: leave.signal, ...options });
  }

  async function take(events: AsyncIterator<StreamEvent, void, undefined>, count: number): Promise<StreamEvent[]> {
    const taken: StreamEvent[] = [];
    while (taken.length < count) {
      const next = await events.next();
      if (next.done) throw new Error(`the stream ended after ${taken.length} events`);
      taken.push(next.value);
    }
    return taken;
  }

  it('yields typed events and sends the token only in a header', async () => {
    server.answers(
      streaming(`: hello\n\n${HASTE}event: stats\ndata: ${JSON.stringify(STATS)}\n\n${changed('a', 'b')}`),
    );

    expect(await take(open({}, { token: async () => 'secret' }), 2)).toEqual([
      { type: 'stats', data: STATS },
      { type: 'changed', data: { topics: ['a', 'b'] } },
    ]);
    expect(server.requests).toMatchObject([
      {
        method: 'GET',
        url: '/api/jobs/stream',
        headers: { accept: 'text/event-stream', authorization: 'Bearer secret' },
      },
    ]);
  });

  it('yields events of one job', async () => {
    const data = { id: 'a', status: 'processing', updated: '2030-01-02T03:04:05.678Z', last_line: '1.2' };
    server.answers(streaming(`event: job\ndata: ${JSON.stringify(data)}\n\n`));
    const events = new JobsClient({ baseUrl: server.url }).watch('a', { signal: leave.signal });

    expect(await events.next()).toEqual({ done: false, value: data });
    expect(server.requests).toMatchObject([{ url: '/api/jobs/stream?job=a' }]);
  });

  it('yields an event once it is complete, however its bytes are split', async () => {
    let response!: ServerResponse;
    server.answers(streaming('', (opened) => (response = opened)));
    const events = open();
    const first = events.next();
    await until(() => server.requests.length === 1, { message: 'the connection' });

    const bytes = Buffer.from(changed('é😀').replaceAll('\n', '\r\n'));
    for (const byte of bytes) await new Promise((resolve) => response.write(Buffer.of(byte), resolve));
    expect(await first).toEqual({ done: false, value: { type: 'changed', data: { topics: ['é😀'] } } });
  });

  it('skips other topics and unknown event types', async () => {
    const text = `${changed('b')}event: later\ndata: x\n\ndata: x\n\n${changed('b', 'a', 'c')}${changed()}${stats(1)}`;
    server.answers(streaming(text));

    expect(await take(open({ topics: ['a', 'c'] }), 2)).toEqual([
      { type: 'changed', data: { topics: ['a', 'c'] } },
      { type: 'stats', data: { pending: 1 } },
    ]);
  });

  it.each([
    ['the server ends it', end, undefined],
    ['it is cut', destroy, 'NETWORK'],
  ])('reconnects when %s and yields an event', async (_, leaveOpen, code) => {
    const said: unknown[] = [];
    server.answers(
      streaming(HASTE + stats(1), (response) => setImmediate(leaveOpen, response)),
      streaming(stats(2)),
    );
    const events = open({ onOpen: () => said.push('open'), onLost: (error) => said.push(error?.code) });

    expect(await take(events, 2)).toMatchObject([{ data: { pending: 1 } }, { data: { pending: 2 } }]);
    expect(said).toEqual(['open', code, 'open']);
  });

  it('reconnects with a new token after failures', async () => {
    const tokens = ['a', 'b', 'c', 'd', 'e'];
    server.answers(
      streaming(HASTE, end),
      cut,
      refusal(503, 'QUEUE_UNAVAILABLE', { headers: { 'Retry-After': '0' } }),
      refusal(500, 'INTERNAL'),
      streaming(stats(1)),
    );

    expect(await take(open({}, { token: () => tokens.shift() }), 1)).toMatchObject([{ type: 'stats' }]);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(
      ['a', 'b', 'c', 'd', 'e'].map((token) => `Bearer ${token}`),
    );
  });

  it('waits before it reconnects if the server sets no time', async () => {
    const times: number[] = [];
    server.answers(
      (response) => {
        times.push(performance.now());
        destroy(response);
      },
      streaming(stats(1), () => times.push(performance.now())),
    );

    await take(open(), 1);
    // 2 s, minus up to a half at random.
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(990);
  });

  it('reconnects as quickly after the twelfth end as after the first', async () => {
    server.answers(streaming(`retry: 20\n\n${stats(1)}`, end));
    const before = performance.now();

    await take(open(), 12);
    // 20 ms each time. Growing waits would reach 20 s.
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  it('drops a connection without data or heartbeats', async () => {
    const lost: unknown[] = [];
    let isClosed = false;
    server.answers(
      streaming(HASTE + stats(1), (response) => response.on('close', () => (isClosed = true))),
      streaming(stats(2)),
    );
    const events = open({ heartbeatTimeout: 500, onLost: (error) => lost.push(error) });

    expect(await take(events, 2)).toMatchObject([{ data: { pending: 1 } }, { data: { pending: 2 } }]);
    expect(lost).toMatchObject([{ status: 0, code: 'TIMEOUT' }]);
    await until(() => isClosed, { message: 'the end of the silent connection' });
  });

  it('accepts a comment as a heartbeat', async () => {
    let beats = 0;
    server.answers(
      streaming('', (response) => {
        const timer = setInterval(() => response.write(++beats < 10 ? ': beat\n\n' : stats(1)), 100);
        response.on('close', () => clearInterval(timer));
      }),
    );

    expect(await take(open({ heartbeatTimeout: 800 }), 1)).toMatchObject([{ type: 'stats' }]);
    expect(server.requests).toHaveLength(1);
  });

  it.each([401, 403, 404])('throws if the server responds with %d', async (status) => {
    server.answers(streaming(HASTE + stats(1), end), refusal(status, 'REFUSED'));
    const events = open();
    await events.next();

    await expect(events.next()).rejects.toMatchObject({ name: 'JobsApiError', status, code: 'REFUSED' });
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  it.each([
    ['HTML', html(200), /expected text\/event-stream, got text\/html/],
    ['JSON', json(200, {}), /expected text\/event-stream, got application\/json/],
    [
      'an event without valid JSON',
      streaming('event: stats\ndata: {oops\n\n'),
      /expected events with JSON, got '\{oops'/,
    ],
  ])('throws if it receives %s', async (_, answer, message) => {
    server.answers(answer);

    const error = await open()
      .next()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JobsApiError);
    expect(error).toMatchObject({ status: 200, code: 'INVALID_RESPONSE' });
    expect(String(error)).toMatch(message);
  });

  it('retries if the server does not respond in time', async () => {
    server.answers(streaming(HASTE, end), () => undefined, streaming(stats(1)));

    expect(await take(open({}, { timeout: 1_000 }), 1)).toMatchObject([{ type: 'stats' }]);
    expect(server.requests).toHaveLength(3);
  });

  it('may stay open for longer than the timeout of calls', async () => {
    server.answers(streaming('', (response) => void setTimeout(() => response.write(stats(1)), 600)));

    expect(await take(open({}, { timeout: 500 }), 1)).toMatchObject([{ type: 'stats' }]);
    expect(server.requests).toHaveLength(1);
  });

  describe('ends without an error and closes its connection', () => {
    const closes = () => {
      let isClosed = false;
      server.answers(streaming(stats(1), (response) => response.on('close', () => (isClosed = true))));
      return () => until(() => isClosed, { message: 'the closed connection' });
    };

    it('when the signal aborts while it waits for an event', async () => {
      const closed = closes();
      const events = open();
      await events.next();
      const next = events.next();
      leave.abort();

      expect(await next).toEqual({ done: true, value: undefined });
      await closed();
    });

    it('when the signal aborts between two events', async () => {
      const closed = closes();
      for await (const { type } of open()) if (type === 'stats') leave.abort();
      await closed();
      expect(server.requests).toHaveLength(1);
    });

    it('when the loop is left', async () => {
      const closed = closes();
      for await (const { type } of open({ signal: undefined })) if (type === 'stats') break;
      await closed();
      expect(server.requests).toHaveLength(1);
    });
  });

  it('ends if the signal aborts during the wait for a reconnect', async () => {
    server.answers(cut);
    const ended = open({ onLost: () => queueMicrotask(() => leave.abort()) }).next();

    expect(await ended).toEqual({ done: true, value: undefined });
    expect(server.requests).toHaveLength(1);
  });

  it('does not start if the signal has aborted', async () => {
    leave.abort();

    expect(await open().next()).toEqual({ done: true, value: undefined });
    expect(server.requests).toEqual([]);
  });
});
