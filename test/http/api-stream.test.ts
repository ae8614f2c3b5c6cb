/**
 * @npm-test fastify
 * @matrix nest-11
 */

import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { JobsEngine } from 'nestjs-jobs';
import { EventChannel, JobStreams } from '../../lib/http/job-streams.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import type { Signal } from '../support/wait.js';
import { signal, until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';
import { OpenStream } from './support/open-stream.js';

describe.each(everyAdapter)('the stream on $adapter', (adapter) => {
  const apps = useHttpApps(sqliteFile, adapter);

  it('sends heartbeats and a reconnect time', async () => {
    const app = await apps.listen();
    app.module.get(JobStreams).heartbeatMs = 20;
    const stream = await app.api.open('/stream');
    await stream.until(': still here\n\n: still here\n\n');
    expect(stream.text.startsWith('retry: 2000\n\n')).toBe(true);
    expect(stream.response.headers).toMatchObject({
      'cache-control': 'no-store, no-transform',
      'content-type': 'text/event-stream; charset=utf-8',
    });
    stream.close();
  });

  it('ends when its reader loses access', async () => {
    let isAdmin = true;
    const authenticate = () => ({ id: 'anna', admin: isAdmin });
    const app = await apps.listen({ options: { http: { authenticate } } });
    app.module.get(JobStreams).heartbeatMs = 20;
    const stream = await app.api.open('/stream');
    await stream.until(': still here\n\n: still here\n\n');
    isAdmin = false;
    await stream.ended();
    await until(() => app.module.get(JobStreams).size === 0);
    expect((await app.api.open('/stream')).status).toBe(403);
  });

  it('leaves nothing behind when readers disconnect or reset', async () => {
    const app = await apps.listen();
    const streams = app.module.get(JobStreams);
    const opened = await Promise.all(Array.from({ length: 20 }, () => app.api.open('/stream')));
    await Promise.all(opened.map((stream) => stream.event('stats')));
    expect(streams.size).toBe(20);
    opened.forEach((stream, index) => (index % 2 ? stream.close() : stream.response.socket.resetAndDestroy()));
    await until(() => streams.size === 0, { message: 'the end of all streams' });
    expect((await app.api.send('HEAD', '/stream')).status).toBe(200);
    expect(streams.size).toBe(0);
    expect(app.app.getHttpServer()).toBeDefined();
  });

  it('leaves nothing behind when its reader disconnects during the access check', async () => {
    const isAsked = signal<Socket>();
    const authenticate = async (request: { socket: Socket }) => {
      isAsked.resolve(request.socket);
      await once(request.socket, 'close');
      return { id: 'anna', admin: true };
    };
    const app = await apps.listen({ options: { http: { authenticate } } });
    const streams = app.module.get(JobStreams);
    const opens = jest.spyOn(streams, 'open');
    const reader = connect(Number(new URL(app.url).port), '127.0.0.1');
    reader.write('GET /api/jobs/stream HTTP/1.1\r\nHost: a\r\n\r\n');
    await isAsked.promise;
    reader.destroy();
    await until(() => opens.mock.results.length > 0);
    expect(opens.mock.results).toEqual([{ type: 'return', value: undefined }]);
    expect(streams.size).toBe(0);
  });

  it('reads the table once for all readers', async () => {
    const app = await apps.listen();
    const { stats } = app.module.get(JobsEngine);
    const looks = jest.spyOn(stats, 'byTopic');
    const opened = await Promise.all(Array.from({ length: 25 }, () => app.api.open('/stream')));
    for (const stream of opened) {
      for (let round = 1; round <= 3; round += 1) await stream.event('stats');
    }
    // Three rounds, and a few more while the test is slow. A read for each reader would be 75.
    expect(looks.mock.calls.length).toBeLessThan(25);
    opened.forEach((stream) => stream.close());
  });

  it('sends changes by other processes', async () => {
    const [one, other] = [await apps.listen(), await apps.listen()];
    const stream = await one.api.open('/stream');
    await stream.event('stats');
    await other.api.post('/enqueue', { topic: 'elsewhere', payload: 1, delay: '1h' });
    await stream.until('{"topics":["elsewhere"]}');
    expect(stream.response.closed).toBe(false);
    stream.close();
  });

  it('ends when the application closes, which does not wait for readers', async () => {
    const app = await apps.listen();
    const stream = await app.api.open('/stream');
    await stream.event('stats');
    const began = performance.now();
    await app.close();
    await stream.ended();
    expect(performance.now() - began).toBeLessThan(8_000);
  });
});

describe('a slow reader of the stream', () => {
  let server: Server;
  let port: number;
  let channelOpened: Signal<EventChannel>;
  let ended: Signal<void>;

  beforeEach(async () => {
    channelOpened = signal();
    ended = signal();
    server = createServer((_request, response) => {
      response.writeHead(200).flushHeaders();
      channelOpened.resolve(new EventChannel(response, () => ended.resolve()));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });

  it('does not keep the server from closing', async () => {
    const reader = connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .pause();
    reader.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const channel = await channelOpened.promise;
    // More than the system takes for him.
    channel.send('stats', 'x'.repeat(50_000_000));
    channel.end();
    channel.end();
    await expect(new Promise((resolve) => server.close(resolve))).resolves.toBeUndefined();
    await ended.promise;
    reader.destroy();
  });

  it('gets the latest stats and every changed topic', async () => {
    const stream = await OpenStream.of(`http://127.0.0.1:${port}`, {});
    const channel = await channelOpened.promise;
    const waitingBytes = () => (channel as unknown as { response: { writableLength: number } }).response.writableLength;
    const rounds = 5_000;
    for (let round = 0; round < rounds; round += 1) {
      channel.send('stats', { round, filling: 'x'.repeat(10_000) });
      channel.send('changed', [round % 7], (earlier, later) => [...new Set([...earlier, ...later])]);
      if (round % 500 === 0) await new Promise(setImmediate);
      expect(waitingBytes()).toBeLessThan(100_000);
    }
    await stream.until(`"round":${rounds - 1},`);
    await stream.until('data: [');
    const { data } = await stream.event('changed');
    expect(data).toEqual(expect.arrayContaining([0]));
    channel.end();
    await stream.ended();
    await ended.promise;
    channel.send('stats', {});
    channel.sendHeartbeat();
    channel.end();
    await new Promise((resolve) => server.close(resolve));
  });
});
