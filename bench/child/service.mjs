import { nowMs } from './clock.mjs';

/**
 * Asks the queue what people ask it, and notes how long each call took.
 *
 * @param {any} service what `JobsService` and the engine have in common
 * @param {{ calls: number }} input
 */
export async function askService(service, { calls }) {
  /** @type {Record<string, number[]>} */
  const timesMs = {};
  /** @param {string} name @param {(n: number) => Promise<unknown>} call */
  const measure = async (name, call) => {
    timesMs[name] = [];
    for (let n = 0; n < calls; n += 1) {
      const sinceMs = nowMs();
      await call(n);
      timesMs[name].push(nowMs() - sinceMs);
    }
  };

  /** @type {string[]} */
  const ids = [];
  await service.enqueue('work', { n: 0 });
  await measure('enqueue', async () => ids.push((await service.enqueue('work', { n: 0 })).id));
  await measure('get', (n) => service.get(ids[n]));
  await measure('list', () => service.list());
  await measure('list by topic and status', () => service.list({ topic: 'work', status: 'pending' }));
  await measure('stats', () => service.stats());
  await measure('cancel', (n) => service.cancel(ids[n]));
  await measure('requeue', (n) => service.requeue(ids[n]));
  await measure('delete', (n) => service.delete(ids[n]));
  return timesMs;
}
