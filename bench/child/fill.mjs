/** Rows of one bulk call. */
const CHUNK = 5_000;
const YEAR_MS = 365 * 86_400_000;

/**
 * What stands in the table before a measurement begins.
 *
 * @typedef {object} FillInput
 * @property {string[]} topics of the jobs that are waiting to be run
 * @property {number} count of them, over all topics in turns
 * @property {number} [padBytes] extra bytes in each payload
 * @property {number} [keys] of how many tenants the jobs are, in turns
 * @property {Flow} [flow] how the jobs wait for each other
 * @property {number} [future] jobs of the first topic that are due in a year
 * @property {number} [foreign] jobs of a topic without a handler
 */

/** @typedef {import('../contenders/index.mjs').Flow} Flow */

/** Fills a queue by its own bulk call. Finished rows are the stage's affair: no contender can enqueue them. */
export class Fill {
  /** @param {import('../contenders/index.mjs').Queue} queue */
  constructor(queue) {
    this.queue = queue;
  }

  /** @param {FillInput} input */
  async run({ topics, count, padBytes = 0, keys, flow, future = 0, foreign = 0 }) {
    await this.#many(future, { topic: topics[0], delayMs: YEAR_MS });
    await this.#many(foreign, { topic: 'foreign' });
    if (flow) {
      await this.queue.enqueueFlow?.(
        Array.from({ length: count }, (_, n) => ({ n })),
        flow,
      );
      return;
    }
    const pad = padBytes > 0 ? 'x'.repeat(padBytes) : undefined;
    for (const [index, topic] of topics.entries()) {
      const numbers = Array.from(
        { length: Math.ceil((count - index) / topics.length) },
        (_, n) => n * topics.length + index,
      );
      await this.#send(
        numbers.map((n) => ({ n, pad })),
        { topic, keys },
      );
    }
  }

  /** @param {number} count @param {import('../contenders/index.mjs').Where} where */
  async #many(count, where) {
    for (let from = 0; from < count; from += CHUNK) {
      const length = Math.min(CHUNK, count - from);
      await this.#send(
        Array.from({ length }, (_, index) => ({ n: from + index })),
        where,
      );
    }
  }

  /** @param {import('../contenders/index.mjs').Payload[]} payloads @param {import('../contenders/index.mjs').Where} where */
  async #send(payloads, where) {
    const size = payloads[0]?.pad ? Math.max(10, Math.floor(4e6 / payloads[0].pad.length)) : CHUNK;
    for (let from = 0; from < payloads.length; from += Math.min(size, CHUNK)) {
      await this.queue.enqueueMany(payloads.slice(from, from + Math.min(size, CHUNK)), where);
    }
  }
}
