import type { Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';
import { applyCheck, duration, flag, integer, option, optional, readOptions } from './option-checks.js';

/** Limits of a topic. They count the jobs of all processes. An absent member is no limit. */
export interface Limits {
  /** Jobs of the topic that run at once, 1 to 10,000. */
  concurrency?: number | undefined;
  /** Jobs with the same concurrency key that run at once, 1 to 1,000. Does not apply to jobs without a key. */
  perKey?: number | undefined;
  /** How many jobs may start in any window of time. */
  rate?: RateLimit | undefined;
}

/** At most `limit` calls of the handler in any window of length `per`, by the database's clock. */
export interface RateLimit {
  /** Starts in any window, 1 to 1,000,000. Retries count, too. */
  limit: number;
  /** Length of the window, 1 s to 1 day. */
  per: Duration;
  /** Counts the starts of each concurrency key separately. Then jobs without a key have no rate. Default `false`. */
  perKey?: boolean | undefined;
  /** Spreads the starts evenly over the window: each is at least `per / limit` after the one before. Default `false`. */
  spread?: boolean | undefined;
}

/**
 * Limits in the form in which they are stored: without absent members, durations in milliseconds. An empty object is a setting without
 * any limit.
 */
export interface TopicLimits {
  readonly concurrency?: number;
  readonly perKey?: number;
  readonly rate?: {
    readonly limit: number;
    readonly per: number;
    readonly perKey: boolean;
    /** Absent: `false`. */
    readonly spread?: true;
  };
}

/** The limits of a topic that apply, and where they come from. */
export interface DefinedLimits {
  readonly topic: string;
  readonly limits: TopicLimits;
  /** `'operator'`: set by `limits.set` or over HTTP. `'code'`: the definition that was first seen last, of those that live processes declare. */
  readonly source: 'code' | 'operator';
  /** The limits in the code, which apply after the operator's setting is removed. */
  readonly codeLimits: TopicLimits | null;
}

/** Upper bound of `concurrency`. A claim counts the running jobs of the topic, up to this many. */
export const LIMIT_MAX = 10_000;
/** Upper bound of `perKey`. A claim counts them for each key that it visits. */
export const KEY_LIMIT_MAX = 1_000;
/** Upper bound of `rate.limit`. */
const RATE_MAX = 1_000_000;
/**
 * Bounds of `rate.per`. A start counts for the window and the hand-over of 100 ms: in a window under 1 s that would cost more than a
 * tenth of the rate. The starts of a window stay in the table until it has passed: at most a day.
 */
const WINDOW_MIN_MS = 1_000;
const WINDOW_MAX_MS = 86_400_000;

/** Describes each member of a rate. */
export const RATE_OPTIONS = {
  limit: optional(integer(1, RATE_MAX), 'starts in any window'),
  per: optional(duration(WINDOW_MIN_MS, WINDOW_MAX_MS), 'length of the window'),
  perKey: option(false, flag, 'count the starts of each concurrency key separately; default false'),
  spread: option(false, flag, 'spread the starts evenly over the window; default false'),
};

const rateCheck: Check<NonNullable<TopicLimits['rate']>> = {
  expects: 'an object with limit, per, perKey and spread',
  parse: (value, path) => {
    const { limit, per, perKey, spread } = readOptions(RATE_OPTIONS, value, path);
    // Both are required: the checks of the absent ones throw.
    return {
      limit: limit ?? applyCheck(RATE_OPTIONS.limit.check as Check<number>, limit, `${path}.limit`),
      per: per ?? applyCheck(RATE_OPTIONS.per.check as Check<number>, per, `${path}.per`),
      perKey,
      ...(spread && { spread }),
    };
  },
};

/** Describes each limit. */
export const LIMIT_OPTIONS = {
  concurrency: optional(integer(1, LIMIT_MAX), 'jobs of the topic that run at once, over all processes'),
  perKey: optional(integer(1, KEY_LIMIT_MAX), 'jobs with the same concurrency key that run at once'),
  rate: optional(rateCheck, 'how many jobs may start in any window'),
};

/** Limits of a topic. Converts them to the form in which they are stored. */
export const limitsCheck: Check<TopicLimits> = {
  expects: 'an object with concurrency, perKey and rate',
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return undefined;
    }
    const { concurrency, perKey, rate } = readOptions(LIMIT_OPTIONS, value, path);
    return Object.freeze({
      ...(concurrency !== undefined && { concurrency }),
      ...(perKey !== undefined && { perKey }),
      ...(rate !== undefined && { rate: Object.freeze(rate) }),
    });
  },
};

/** Whether no limit is set. */
export function isUnlimited(limits: TopicLimits | null): boolean {
  return limits === null || Object.keys(limits).length === 0;
}

/**
 * Checks that a handler and a typed topic of the same process do not declare different limits.
 *
 * @param place ends the sentence: where to change them.
 * @throws InvalidOptionsError if the typed topic has limits and the handler has others.
 */
export function assertSameLimits(
  topic: string,
  ofHandler: TopicLimits | undefined,
  ofTopic: TopicLimits | undefined,
  place: string,
): void {
  // The check writes their members in one order.
  if (ofTopic && JSON.stringify(ofTopic) !== JSON.stringify(ofHandler)) {
    throw new InvalidOptionsError(`limits of '${topic}'`, `differ between the handler and defineJob(); ${place}`);
  }
}
