import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../results/statistics.mjs';
import { buildPad, buildPlan } from '../soak/plan.mjs';
import { nowMs } from './clock.mjs';

const TOPIC = 'work';
const HANDLER_MS = 5;
/** The producer waits when this many seconds of jobs are not stored yet. */
const BEHIND_SECONDS_MAX = 10;

/** Enqueues at a fixed rate, even if earlier jobs are not stored yet. */
export class SoakProducer {
  sent = 0;
  stored = 0;
  /** Numbers of the jobs whose call rejected. They may be stored or not. @type {number[]} */
  rejected = [];
  #isStopped = false;
  /** @type {Promise<void> | undefined} */
  #loop;
  /** @type {Set<Promise<void>>} */
  #calls = new Set();

  /** @param {import('../contenders/index.mjs').Queue} queue @param {{ rate: number, batch: number }} input */
  constructor(queue, { rate, batch }) {
    this.queue = queue;
    this.rate = rate;
    this.batch = batch;
  }

  async start() {
    this.#loop = this.#run();
  }

  /** Resolves when all calls have ended. */
  async stop() {
    this.#isStopped = true;
    await this.#loop;
    await Promise.all(this.#calls);
    return { sent: this.sent, rejected: this.rejected };
  }

  sample() {
    return { stored: this.stored, rejected: this.rejected.length };
  }

  async #run() {
    const startMs = nowMs();
    const behindMax = this.rate * BEHIND_SECONDS_MAX;
    while (!this.#isStopped) {
      const due = ((nowMs() - startMs) / 1_000) * this.rate;
      while (this.sent + this.batch <= due && this.sent - this.stored - this.rejected.length < behindMax) this.#send();
      await sleep(1);
    }
  }

  #send() {
    const numbers = Array.from({ length: this.batch }, (_, index) => this.sent + index);
    this.sent += this.batch;
    const payloads = numbers.map((n) => ({ n, sentMs: nowMs(), pad: buildPad(n) }));
    const { delayMs } = buildPlan(payloads[0].n);
    const where = delayMs === undefined ? undefined : { topic: TOPIC, delayMs };
    const call = (this.batch === 1 ? this.queue.enqueue(payloads[0], where) : this.queue.enqueueMany(payloads, where))
      .then(
        () => void (this.stored += this.batch),
        (error) => {
          if (this.rejected.length === 0) console.error(error);
          this.rejected.push(...numbers);
        },
      )
      .finally(() => this.#calls.delete(call));
    this.#calls.add(call);
  }
}

/** Runs the jobs as planned, and counts the runs of each. */
export class SoakWorker {
  ended = 0;
  started = 0;
  /** @type {number[]} */
  #waitsMs = [];

  /** @param {import('../contenders/index.mjs').Queue} queue @param {{ jobsMax: number }} input */
  constructor(queue, { jobsMax }) {
    this.queue = queue;
    // Written once, so that the system allocates all its memory at the start.
    this.runs = new Uint8Array(jobsMax).fill(1).fill(0);
  }

  async start() {
    await this.queue.work([TOPIC], (payload) => this.#handle(payload));
  }

  /** @param {import('../contenders/index.mjs').Payload} payload */
  async #handle({ n, sentMs }) {
    const plan = buildPlan(n);
    const run = Number(this.runs[n]) + 1;
    this.runs[n] = run;
    this.started += 1;
    if (run === 1 && plan.delayMs === undefined) this.#waitsMs.push(nowMs() - Number(sentMs));
    await sleep(HANDLER_MS);
    if (run === plan.runs) this.ended += 1;
    if (run <= plan.failures) throw new Error('failed as planned');
  }

  /** Returns counts, and the waits since the last call: of first attempts without a delay. */
  sample() {
    const waitsMs = this.#waitsMs;
    this.#waitsMs = [];
    return {
      ended: this.ended,
      started: this.started,
      p50Ms: quantile(waitsMs, 0.5),
      p99Ms: quantile(waitsMs, 0.99),
    };
  }

  /** Compares the runs of each job with the plan. @param {{ sent: number, rejected: number[] }} input */
  check({ sent, rejected }) {
    const unknown = new Set(rejected);
    /** @type {{ jobs: number, lost: number, repeated: number, examples: object[] }} */
    const result = { jobs: sent - rejected.length, lost: 0, repeated: 0, examples: [] };
    for (let n = 0; n < sent; n += 1) {
      const runs = Number(this.runs[n]);
      const expected = buildPlan(n).runs;
      if (runs === expected || (unknown.has(n) && runs === 0)) continue;
      if (runs < expected) result.lost += 1;
      else result.repeated += 1;
      if (result.examples.length < 5) result.examples.push({ n, runs, expected });
    }
    return result;
  }
}
