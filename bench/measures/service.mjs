import { quantile } from '../results/statistics.mjs';

/**
 * What people and applications ask of the queue, one call after another, in a table that holds finished jobs of a day:
 * the value is the slowest call's 99th percentile.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ calls: number, kept: number }} input
 */
export async function service(stand, { calls, kept }) {
  const arena = await stand.arena({ topics: ['work'], count: calls, kept });
  try {
    const actor = await arena.start();
    const timesMs = /** @type {Record<string, number[]>} */ (await actor.ask('service', { calls }));
    return { ...figureOf(timesMs), facts: arena.facts };
  } finally {
    await arena.close();
  }
}

/** @param {Record<string, number[]>} timesMs by the call's name */
export function figureOf(timesMs) {
  const parts = Object.entries(timesMs).map(([name, times]) => ({
    name,
    p50Ms: Number(quantile(times, 0.5)),
    p99Ms: Number(quantile(times, 0.99)),
  }));
  return { value: Math.max(...parts.map((part) => part.p99Ms)), parts };
}
