import type { Backoff } from './backoff.js';
import { PRIORITY_MAX, PRIORITY_MIN, RETRIES_MAX } from './bounds.js';
import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';
import { duration, fraction, integer, oneOf, option, readOptions } from './option-checks.js';

/* Checks of options that the module, a topic, a job and a schedule share. */

/** Lower runs first. */
export const priorityCheck = integer(PRIORITY_MIN, PRIORITY_MAX);
/** Retries after the first attempt. */
export const maxRetriesCheck = integer(0, RETRIES_MAX);
/** Time limit of one attempt. */
export const timeoutCheck = duration(1);
/** Jobs that run at once. */
export const concurrencyCheck = integer(1, 10_000);

const minute = 60_000;
const day = 24 * 60 * minute;

const backoffTable = {
  type: option<Backoff['type']>('quadratic', oneOf('fixed', 'quadratic', 'exponential')),
  delay: option(minute, duration(0)),
  maxDelay: option(day, duration(0)),
  jitter: option(0.1, fraction(0, 1)),
};

/** Converts {@link BackoffOptions} to {@link Backoff}. */
export const backoffCheck: Check<Backoff> = {
  expects: "an object such as { type: 'quadratic', delay: '1m' }",
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null) {
      return undefined;
    }
    const { type, delay, maxDelay, jitter } = readOptions(backoffTable, value, path);
    // A longer delay raises the default of maxDelay, but contradicts a given one.
    const isMaxGiven = 'maxDelay' in value && value.maxDelay !== undefined;
    if (isMaxGiven && delay > maxDelay) {
      throw new InvalidOptionsError(
        `${path}.maxDelay`,
        `expected at least ${path}.delay (${delay} ms), got ${maxDelay} ms`,
      );
    }
    return Object.freeze({ type, delayMs: delay, maxDelayMs: Math.max(delay, maxDelay), jitter });
  },
};
