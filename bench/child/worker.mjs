import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './clock.mjs';

/** How often the parent is told how far it is. */
const TELL_MS = 5;

/**
 * @typedef {object} WorkerInput
 * @property {string[]} topics
 * @property {number} count number of all jobs; they are numbered from 0
 * @property {number} [handlerMs] how long each of them takes
 * @property {number} [markEvery] the time is recorded each time after this many jobs
 * @property {boolean} [pickup] whether to note how old each job is when its handler begins
 * @property {number} [pickupFrom] the number of the first job that is noted
 */

/** Runs jobs, and counts how often it saw each. */
export class Worker {
  /** @type {Uint8Array} */ runs;
  seen = 0;
  told = 0;
  firstMs = 0;
  /** @type {number[]} */ marks = [];
  /** @type {number[]} */ pickupsMs = [];
  cpu = process.cpuUsage();

  /** @param {import('../contenders/index.mjs').Queue} queue @param {WorkerInput} input */
  constructor(queue, input) {
    this.queue = queue;
    this.input = input;
    this.runs = new Uint8Array(input.count);
  }

  async start() {
    const { topics, handlerMs = 0, markEvery = Infinity, pickup = false, pickupFrom = 0 } = this.input;
    // The connection that will be asked whether all is done is open by then.
    await this.queue.isDrained(topics);
    // An idle process would spend more on that than on its queue.
    if (this.input.count > 0) this.tell = setInterval(() => this.tellSeen(), TELL_MS).unref();
    this.cpu = process.cpuUsage();
    await this.queue.work(topics, async (payload) => {
      if (this.seen === 0) this.firstMs = nowMs();
      if (pickup && payload.n >= pickupFrom) this.pickupsMs.push(nowMs() - Number(payload.sentMs));
      this.runs[payload.n] = Number(this.runs[payload.n]) + 1;
      this.seen += 1;
      if (this.seen % markEvery === 0) this.marks.push(nowMs());
      if (handlerMs > 0) await sleep(handlerMs);
      if (this.seen === this.input.count) this.tellSeen();
    });
  }

  /** Whether the table says that nothing is left to do. */
  isDrained() {
    return this.queue.isDrained(this.input.topics);
  }

  report() {
    const { user, system } = process.cpuUsage(this.cpu);
    clearInterval(this.tell);
    const { runsElsewhere } = this.queue;
    return {
      runs: Buffer.from(this.runs).toString('base64'),
      firstMs: this.firstMs,
      marks: this.marks,
      pickupsMs: this.pickupsMs,
      nodeSeconds: runsElsewhere ? undefined : (user + system) / 1e6,
      peakMb: runsElsewhere ? undefined : process.resourceUsage().maxRSS / 1_024,
    };
  }

  tellSeen() {
    if (this.seen !== this.told) {
      this.told = this.seen;
      process.send?.({ seen: this.seen });
    }
  }
}
