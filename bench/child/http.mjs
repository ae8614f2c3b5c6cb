import { nowMs } from './clock.mjs';

/** Requests of each kind that are not counted: the server meets their code for the first time. */
const WARM_UP = 20;

/**
 * Asks the HTTP API what people ask it, and notes how long each request took.
 *
 * @param {{ address: string, adminToken: string, calls: number }} input
 */
export async function askOverHttp({ address, adminToken, calls }) {
  const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' };
  /** @param {string} method @param {string} path @param {object} [body] */
  const request = async (method, path, body) => {
    const init = {
      method,
      headers: body ? headers : { authorization: headers.authorization },
      body: body && JSON.stringify(body),
    };
    const response = await fetch(`${address}/api/jobs${path}`, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };

  /** @type {Record<string, number[]>} */
  const timesMs = {};
  /** @param {string} name @param {(n: number) => Promise<unknown>} call @param {number} [warmUp] */
  const measure = async (name, call, warmUp = 0) => {
    for (let n = 0; n < warmUp; n += 1) await call(n);
    timesMs[name] = [];
    for (let n = 0; n < calls; n += 1) {
      const sinceMs = nowMs();
      await call(n);
      timesMs[name].push(nowMs() - sinceMs);
    }
  };

  /** @type {string[]} */
  const ids = [];
  const enqueue = async () => ids.push((await request('POST', '/enqueue', { topic: 'work', payload: { n: 0 } })).id);
  await measure('POST /enqueue', enqueue, WARM_UP);
  await measure('GET /:id', (n) => request('GET', `/${ids[n]}`), WARM_UP);
  await measure('GET /', () => request('GET', ''), WARM_UP);
  await measure('GET /?topic&status', () => request('GET', '?topic=work&status=pending'), WARM_UP);
  await measure('GET /stats', () => request('GET', '/stats'), WARM_UP);
  await measure('POST /:id/cancel', (n) => request('POST', `/${ids[n]}/cancel`));
  await measure('POST /:id/requeue', (n) => request('POST', `/${ids[n]}/requeue`));
  await measure('DELETE /:id', (n) => request('DELETE', `/${ids[n]}`));
  return timesMs;
}
