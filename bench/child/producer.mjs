import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './clock.mjs';

/**
 * @typedef {object} ProducerInput
 * @property {'one by one' | 'callers' | 'bulk' | 'paced' | 'steady'} how
 * @property {number} count
 * @property {number} [callers]
 * @property {number} [chunk] jobs of one bulk call
 * @property {number} [rate] jobs a second, of `steady`: each is enqueued at its time, whether or not the ones before are stored
 * @property {[number, number]} [pauseMs] between paced jobs, at least and at most: at random, so that nobody's poll keeps step
 * @property {string} [pad] makes payloads larger
 */

/** Enqueues, and says how long that took. */
export class Producer {
  /** @param {import('../contenders/index.mjs').Queue} queue */
  constructor(queue) {
    this.queue = queue;
  }

  /** @param {ProducerInput} input */
  async run(input) {
    const cpu = process.cpuUsage();
    const startMs = nowMs();
    const timesMs = await this.#enqueue(input);
    const endMs = nowMs();
    const { user, system } = process.cpuUsage(cpu);
    return { startMs, endMs, timesMs, nodeSeconds: (user + system) / 1e6 };
  }

  /** @param {ProducerInput} input @returns {Promise<number[]>} */
  async #enqueue({ how, count, callers = 64, chunk = 1_000, rate = 1, pauseMs: [leastMs, mostMs] = [10, 30], pad }) {
    switch (how) {
      case 'one by one':
        return this.#oneByOne(() => (this.next < count ? this.next++ : undefined), pad);
      case 'callers': {
        const next = () => (this.next < count ? this.next++ : undefined);
        const times = await Promise.all(Array.from({ length: callers }, () => this.#oneByOne(next, pad)));
        return times.flat();
      }
      case 'bulk':
        for (let from = 0; from < count; from += chunk) {
          const payloads = Array.from({ length: Math.min(chunk, count - from) }, (_, index) => ({
            n: from + index,
            pad,
          }));
          await this.queue.enqueueMany(payloads);
        }
        return [];
      case 'paced':
        for (let n = 0; n < count; n += 1) {
          await sleep(leastMs + Math.random() * (mostMs - leastMs));
          await this.queue.enqueue({ n, sentMs: nowMs() });
        }
        return [];
      case 'steady':
        await this.#steadily(count, rate);
        return [];
    }
  }

  /** @param {number} count @param {number} rate */
  async #steadily(count, rate) {
    const stored = [];
    const startMs = nowMs();
    for (let n = 0; n < count;) {
      const due = Math.min(count, Math.floor(((nowMs() - startMs) / 1_000) * rate));
      for (; n < due; n += 1) stored.push(this.queue.enqueue({ n, sentMs: nowMs() }));
      await sleep(1);
    }
    await Promise.all(stored);
  }

  next = 0;

  /** @param {() => number | undefined} next @param {string | undefined} pad */
  async #oneByOne(next, pad) {
    const timesMs = [];
    for (let n = next(); n !== undefined; n = next()) {
      const sinceMs = nowMs();
      await this.queue.enqueue({ n, pad });
      timesMs.push(nowMs() - sinceMs);
    }
    return timesMs;
  }
}
