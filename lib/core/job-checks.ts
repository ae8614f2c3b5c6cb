import type { Backoff } from './backoff.js';
import { PRIORITY_MAX, PRIORITY_MIN, RETRIES_MAX } from './bounds.js';
import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';
import { duration, fraction, integer, listOf, oneOf, option, readOptions } from './option-checks.js';

/* Checks of options that the module, a topic, a job and a schedule share. */

/** Lower runs first. */
export const priorityCheck = integer(PRIORITY_MIN, PRIORITY_MAX);
/** Retries after the first attempt. */
export const maxRetriesCheck = integer(0, RETRIES_MAX);
/** Time limit of one attempt. */
export const timeoutCheck = duration(1);
/** Jobs that run at once. */
export const concurrencyCheck = integer(1, 10_000);

/** Labels of a job, at most. */
export const LABELS_MAX = 10;
const LABEL = /^[\w.:/-]{1,64}$/;

/** A label. It contains no comma, so that statements take several as one text. */
const labelCheck: Check<string> = {
  expects: 'a label of 1 to 64 characters: letters of ASCII, digits and _ . : / -',
  schema: { type: 'string', pattern: LABEL.source },
  parse: (value) => (typeof value === 'string' && LABEL.test(value) ? value : undefined),
};

const labels = listOf(labelCheck, { canBeEmpty: true });

/** At most {@link LABELS_MAX} labels, each once. */
export const labelsCheck: Check<readonly string[]> = {
  expects: `a list of at most ${LABELS_MAX} labels`,
  schema: { ...labels.schema, maxItems: LABELS_MAX },
  parse: (value, path) => {
    const read = labels.parse(value, path);
    return read && read.length <= LABELS_MAX ? read : undefined;
  },
};

/**
 * One label or several, at most {@link LABELS_MAX}, of which a job has all; in a text they are separated by commas. Returns them sorted and
 * joined by commas, as statements take them.
 */
export const labelFilterCheck: Check<string> = {
  expects: `a label, or a list of 1 to ${LABELS_MAX} labels`,
  schema: { oneOf: [labelCheck.schema!, { ...labels.schema, minItems: 1, maxItems: LABELS_MAX }] },
  parse: (value, path) => {
    const read = labelsCheck.parse(typeof value === 'string' ? value.split(',') : value, path);
    return read && read.length > 0 ? [...new Set(read)].sort().join(',') : undefined;
  },
};

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
