import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:net';
import * as pg from 'pg';
import type { PostgresDriver } from '../../../lib/store/postgres/own-pool.js';
import { connectionTimeoutMs, openPool } from '../../../lib/store/postgres/own-pool.js';
import { PostgresSession } from '../../../lib/store/postgres/session.js';

const TIMEOUT_MS = 200;

describe('a server that accepts connections and never responds', () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket));
  let port: number;

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  afterAll(async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  });

  it('fails a connect after the connectionTimeoutMillis of the application', async () => {
    const config = { host: '127.0.0.1', port, user: 'nobody', connectionTimeoutMillis: TIMEOUT_MS };
    const database = { driver: pg as unknown as PostgresDriver, config };
    const session = new PostgresSession({ statementTimeoutMs: 30_000, lockTimeoutMs: 1_000 });
    const sinceMs = performance.now();
    await expect(openPool(database, 1, session)).rejects.toThrow(/timeout/);
    const tookMs = performance.now() - sinceMs;
    expect(tookMs).toBeGreaterThanOrEqual(TIMEOUT_MS - 10);
    expect(tookMs).toBeLessThan(5_000);
  });
});

it.each([
  [undefined, 10_000],
  [0, 10_000],
  [60_000, 10_000],
  [200, 200],
])('a connectionTimeoutMillis of %s makes a limit of %s ms', (connectionTimeoutMillis, expected) => {
  expect(connectionTimeoutMs({ connectionTimeoutMillis })).toBe(expected);
});
