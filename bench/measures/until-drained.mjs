import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from '../child/clock.mjs';

/**
 * Asks a worker until its table says that nothing is left to do. Answers since when: halfway between the last question that found
 * something and the first that found nothing, since some tables take long to answer. What the server had used is told as it was
 * before that question, which on some of them costs more than a thousand jobs.
 *
 * @param {import('../actor.mjs').Actor} worker
 * @param {import('../arena.mjs').Place} place
 */
export async function untilDrained(worker, place) {
  for (let beforeMs = nowMs(); ;) {
    const serverSeconds = await place.serverSeconds();
    const askedMs = nowMs();
    if (await worker.ask('isDrained')) {
      return { endMs: (beforeMs + askedMs) / 2, serverSeconds };
    }
    beforeMs = askedMs;
    await sleep(1);
  }
}
