import { setTimeout as sleep } from 'node:timers/promises';

/** What a process does once, when it starts, is over by then. */
const SETTLE_MS = 4_000;

/**
 * What a worker does when there is nothing to do: statements a second, and milliseconds of CPU a second of its process and
 * the server together.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ seconds: number, value: 'statements' | 'cpu' }} input
 */
export async function idle(stand, { seconds, value }) {
  const arena = await stand.arena({ topics: ['work'], count: 0 });
  try {
    const worker = await arena.start();
    await worker.ask('work', { topics: ['work'], count: 0 });
    await sleep(SETTLE_MS);
    const since = await look(arena, worker);
    await sleep(seconds * 1_000);
    const now = await look(arena, worker);
    const [statements, cpu] = [now.statements - since.statements, now.cpuMs - since.cpuMs].map((sum) => sum / seconds);
    return { value: Number(value === 'cpu' ? cpu : statements), facts: arena.facts };
  } finally {
    await arena.close();
  }
}

/** @param {import('../arena.mjs').Arena} arena @param {import('../actor.mjs').Actor} worker */
async function look({ contender, place }, worker) {
  const { user, system } = await worker.ask('usage');
  const serverSeconds = await place.serverSeconds();
  const statements = contender.engine === 'redis' ? await commandsOf(place) : await worker.ask('statements');
  return { statements, cpuMs: (user + system) / 1_000 + serverSeconds * 1_000 };
}

/** @param {import('../arena.mjs').Place} place */
async function commandsOf(place) {
  const [{ text }] = await place.query('stats');
  return Number(/total_commands_processed:(\d+)/.exec(text)?.[1]);
}
