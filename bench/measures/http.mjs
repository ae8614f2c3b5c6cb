import { randomBytes } from 'node:crypto';
import { figureOf } from './service.mjs';

/**
 * The same over HTTP, from another process, one request after another over a connection that stays open.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ calls: number, kept: number }} input
 */
export async function http(stand, { calls, kept }) {
  const arena = await stand.arena({ topics: ['work'], count: calls, kept });
  try {
    const adminToken = randomBytes(16).toString('hex');
    const [server, client] = [await arena.start(), await arena.start()];
    const address = await server.ask('serve', adminToken);
    const timesMs = await client.ask('http', { address, adminToken, calls });
    return { ...figureOf(timesMs), facts: arena.facts };
  } finally {
    await arena.close();
  }
}
