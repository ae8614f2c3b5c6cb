import type { Duration } from './duration.js';

/** How long the n-th retry of a job waits. */
export interface BackoffOptions {
  /** `fixed`: delay; `quadratic`: n² × delay; `exponential`: delay × 2ⁿ⁻¹. Default `'quadratic'`. */
  type?: 'fixed' | 'quadratic' | 'exponential' | undefined;
  /** Base delay. Default one minute. */
  delay?: Duration | undefined;
  /** Upper bound of the delay. Default one day, or `delay` if that is longer. */
  maxDelay?: Duration | undefined;
  /** Share of the delay that is added or subtracted at random, 0 to 1. Default 0.1. */
  jitter?: number | undefined;
}

/** Returns how long the n-th retry (1 first) of a handler waits after `error`. */
export type BackoffFunction = (retry: number, error: unknown) => Duration;

/** {@link BackoffOptions}, checked and complete. The job's row stores it in this form. */
export interface Backoff {
  readonly type: NonNullable<BackoffOptions['type']>;
  readonly delayMs: number;
  readonly maxDelayMs: number;
  readonly jitter: number;
}

/**
 * Returns how many milliseconds the n-th retry of a job waits, never more than `maxDelayMs`.
 *
 * @param retry 1 for the first retry.
 * @param random a number in [0, 1).
 */
export function retryDelayMs(backoff: Backoff, retry: number, random: number): number {
  const { type, delayMs, maxDelayMs, jitter } = backoff;
  const factor = type === 'fixed' ? 1 : type === 'quadratic' ? retry ** 2 : 2 ** (retry - 1);
  const delay = Math.min(delayMs * factor, maxDelayMs);
  return Math.round(Math.min(delay * (1 + jitter * (2 * random - 1)), maxDelayMs));
}

/** Bounds of the delay between attempts of the queue's own loops and connections. */
export interface BackoffBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Returns how many milliseconds to wait after a failure of the queue itself. The delay doubles with each failure up to
 * `maxMs`. A random factor of 50–100 % keeps many processes from retrying at the same moment.
 *
 * @param failures number of failures before this one.
 * @param random a number in [0, 1).
 */
export function backoffMs(failures: number, { minMs, maxMs }: BackoffBounds, random: number): number {
  return Math.min(minMs * 2 ** failures, maxMs) * (0.5 + random / 2);
}
