/** The number and the delay of retries. graphile-worker has its own delays: 2.7 s, then 7.4 s. */
export const RETRIES_MAX = 2;
export const RETRY_DELAY_MS = 5_000;
/** A peer stores one block of jobs in a call. */
export const BLOCK_JOBS = 20;

const BYTES_MIN = 200;
const BYTES_MAX = 4_000;
const DELAY_MAX_MS = 30_000;
/** Text that does not compress well. Payloads are pieces of it. */
const TEXT = Array.from({ length: 16_384 }, (_, n) => hash(n).toString(36).padStart(7, '0')).join('');

/**
 * The plan of job `n`. Each process computes it, without a message. 5 % of the blocks are delayed, 2 % of the jobs fail once, and 0.1 %
 * fail for good.
 *
 * @param {number} n
 */
export function buildPlan(n) {
  const block = hash(Math.floor(n / BLOCK_JOBS) + 0x5bd1e995);
  const luck = hash(n) % 1_000;
  const failures = luck === 0 ? RETRIES_MAX + 1 : luck <= 20 ? 1 : 0;
  return {
    delayMs: block % 100 < 5 ? (block >>> 8) % DELAY_MAX_MS : undefined,
    failures,
    runs: Math.min(failures, RETRIES_MAX) + 1,
  };
}

/** @param {number} n */
export function buildPad(n) {
  const length = BYTES_MIN + (hash(n + 0x9e3779b9) % (BYTES_MAX - BYTES_MIN));
  const start = hash(n) % (TEXT.length - length);
  return TEXT.slice(start, start + length);
}

/** @param {number} n @returns {number} 32 bits */
function hash(n) {
  let bits = Math.imul(n ^ (n >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
