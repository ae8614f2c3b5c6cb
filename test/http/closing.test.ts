import type { IncomingMessage } from 'node:http';
import { Agent, get } from 'node:http';
import { JobsClient } from 'nestjs-jobs/client';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { signal, until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

/** For so long Node keeps a connection on which nobody asks anything. */
const KEPT_MS = 5_000;

describe.each(everyAdapter)('an application that closes, with the API on $adapter', (adapter) => {
  const apps = useHttpApps(sqliteFile, adapter);

  it('does not wait for one who asks again and again on the same connection', async () => {
    const [isAsked, mayAnswer] = [signal(), signal()];
    const authenticate = async () => {
      isAsked.resolve();
      await mayAnswer.promise;
      return { id: 'anna', admin: true };
    };
    const app = await apps.listen({ options: { http: { authenticate } } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (): Promise<void> =>
      new Promise((over) => {
        const whole = (response: IncomingMessage): unknown => response.resume().once('close', over);
        get(`${app.url}/api/jobs/stats`, { agent }, whole).once('error', () => over());
      });
    const first = ask();
    await isAsked.promise;
    let isClosed = false;
    const closed = app.close().then(() => (isClosed = true));
    await until(() => !(app.app.getHttpServer() as { listening: boolean }).listening);
    const sinceMs = performance.now();
    mayAnswer.resolve();
    await first;
    while (!isClosed && performance.now() - sinceMs < KEPT_MS) {
      await ask();
    }
    await closed;
    expect(performance.now() - sinceMs).toBeLessThan(KEPT_MS / 2);
    agent.destroy();
  });

  it('does not wait long for one who has left the stream', async () => {
    const app = await apps.listen();
    const stream = await app.api.open('/stream');
    // A `fetch` that is given up connects anew, and keeps that connection for as long as it might have kept this one.
    expect(stream.response.headers.connection).toBe('close');
    stream.close();
    const client = new JobsClient({ baseUrl: app.url, token: ADMIN_TOKEN });
    for await (const { type } of client.stream()) {
      if (type === 'stats') break;
    }
    const sinceMs = performance.now();
    await app.close();
    expect(performance.now() - sinceMs).toBeLessThan(2 * KEPT_MS);
  });
});
