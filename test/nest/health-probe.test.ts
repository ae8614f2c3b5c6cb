/** @matrix postgres-18, nest-11 */

import { once } from 'node:events';
import { existsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { InvalidOptionsError } from 'nestjs-jobs';
import { findFreePort } from '../support/free-port.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import { HandlerGate } from './support/handler-gate.js';

/** Returns the status and the text of a path, or `null` when no server listens. */
async function get(port: number, path: string): Promise<[number, string] | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { Connection: 'close' } });
    return [response.status, (await response.text()).trim()];
  } catch {
    return null;
  }
}

const handlers = { work: () => null };

describe.each([postgres, sqliteFile])('the option probe on $label', (kind) => {
  const apps = useApps(kind);

  it('serves /live and /ready on a port, from the start until the end of the queue', async () => {
    const port = await findFreePort();
    const app = await apps.create({ options: { probe: port }, handlers });
    expect(await get(port, '/live')).toBeNull();
    await app.app.init();
    expect(await get(port, '/live')).toEqual([200, 'up']);
    expect(await get(port, '/ready?verbose')).toEqual([200, 'up']);
    expect((await get(port, '/'))![0]).toBe(404);
    expect((await get(port, '/ready/..'))![0]).toBe(404);
    await app.close();
    expect(await get(port, '/live')).toBeNull();
  });

  it('is live and not ready while the last handlers end, and starts again with the queue', async () => {
    const port = await findFreePort();
    const gate = new HandlerGate();
    const app = await apps.start({ options: { probe: port }, handlers: { work: gate.handler } });
    await app.jobs.enqueue('work', null);
    await gate.waitFor(1);
    const stopped = app.jobs.stop();
    await until(async () => (await get(port, '/ready'))?.[0] === 503);
    expect(await get(port, '/live')).toEqual([200, 'up']);
    gate.release();
    await stopped;
    expect(await get(port, '/live')).toBeNull();
    await app.jobs.start();
    expect(await get(port, '/ready')).toEqual([200, 'up']);
  });

  it('serves a producer too', async () => {
    const port = await findFreePort();
    await apps.start({ options: { probe: port, role: 'producer' } });
    expect(await get(port, '/ready')).toEqual([200, 'up']);
  });

  it('touches a file while the process is ready, and removes it at shutdown', async () => {
    const folder = createTemporaryFolder();
    apps.afterEverything(folder.remove);
    const file = join(folder.path, 'ready');
    // As a killed process leaves it.
    writeFileSync(file, 'old');
    const app = await apps.start({ options: { probe: { file } }, handlers });
    await until(() => existsSync(file) && statSync(file).size === 0);
    utimesSync(file, 0, 0);
    await until(() => statSync(file).mtimeMs > 0, { timeoutMs: 20_000 });
    await app.jobs.stop();
    expect(existsSync(file)).toBe(false);
    await app.jobs.start();
    await until(() => existsSync(file));
    await app.close();
    expect(existsSync(file)).toBe(false);
  });
});

describe('the option probe', () => {
  const apps = useApps(sqliteFile);

  it('stops the application at its start when the port is in use, before a job runs', async () => {
    const other = createServer().listen(0);
    await once(other, 'listening');
    apps.afterwards(async () => void other.close());
    const { port } = other.address() as AddressInfo;
    const ran = jest.fn();
    const producer = await apps.start({ options: { role: 'producer' } });
    await producer.jobs.enqueue('work', null);
    const error = await apps.refusal({ options: { probe: port }, handlers: { work: ran } });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toBe(`probe: port ${port} is in use; choose a free port for each process`);
    expect(ran).not.toHaveBeenCalled();
  });

  it('stops the application at its start when the folder of the file does not exist', async () => {
    const error = await apps.refusal({ options: { probe: { file: '/no/such/folder/ready' } }, handlers });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^probe.file: cannot be written: ENOENT/);
  });
});

describe('the option probe without a database', () => {
  const apps = useApps(postgres);

  it('is live and not ready while the database is away, and ready again', async () => {
    const proxy = TcpProxy.before((apps.address as { url: string }).url);
    await proxy.open();
    apps.afterEverything(() => proxy.close());
    const port = await findFreePort();
    await apps.start({ options: { probe: port }, handlers, typeOrm: { url: proxy.url } });
    expect(await get(port, '/ready')).toEqual([200, 'up']);
    await proxy.close();
    await until(async () => (await get(port, '/ready'))?.[0] === 503);
    expect(await get(port, '/live')).toEqual([200, 'up']);
    await proxy.open();
    await until(async () => (await get(port, '/ready'))?.[0] === 200);
  });
});
