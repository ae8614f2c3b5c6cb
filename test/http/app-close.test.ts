/**
 * @npm-test fastify
 * @matrix nest-11
 */

import type { IncomingMessage } from 'node:http';
import { Agent, get } from 'node:http';
import { JobsClient } from 'nestjs-jobs/client';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { signal, until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

/** The time Node keeps an idle connection open. */
const KEPT_MS = 5_000;

describe.each(everyAdapter)('the close of an application with the API on $adapter', (adapter) => {
  const apps = useHttpApps(sqliteFile, adapter);

  it('does not wait for a client that sends requests on one connection', async () => {
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

  it('does not wait long for a disconnected stream reader', async () => {
    const app = await apps.listen();
    const stream = await app.api.open('/stream');
    // An aborted `fetch` opens a new connection and keeps it open.
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
