import { nowMs } from './clock.mjs';

/**
 * Asks the queue what people ask it, and notes how long each call took.
 *
 * @param {any} engine
 * @param {{ calls: number }} input
 */
export async function askService(engine, { calls }) {
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
  await engine.enqueue('work', { n: 0 });
  await measure('enqueue', async () => ids.push((await engine.enqueue('work', { n: 0 })).id));
  await measure('get', (n) => engine.jobs.get(ids[n]));
  await measure('list', () => engine.jobs.list());
  await measure('list by topic and status', () => engine.jobs.list({ topic: 'work', status: 'pending' }));
  await measure('stats', () => engine.stats.get());
  await measure('cancel', (n) => engine.jobs.cancel(ids[n]));
  await measure('requeue', (n) => engine.jobs.requeue(ids[n]));
  await measure('delete', (n) => engine.jobs.delete(ids[n]));
  return timesMs;
}
