import type { Duration } from './duration.js';

/** How long the n-th retry waits. */
export interface BackoffOptions {
  /** `fixed`: delay; `quadratic`: n² × delay; `exponential`: delay × 2ⁿ⁻¹. Default `'quadratic'`. */
  type?: 'fixed' | 'quadratic' | 'exponential' | undefined;
  /** The unit of waiting. Default one minute. */
  delay?: Duration | undefined;
  /** No retry waits longer. Default one day, or `delay` where that is longer. */
  maxDelay?: Duration | undefined;
  /** Share of the delay by which it is moved at random, up or down, 0 to 1. Default 0.1. */
  jitter?: number | undefined;
}

/** A handler's own rule: how long its n-th retry (1 first) waits after `error`. */
export type BackoffFunction = (retry: number, error: unknown) => Duration;

/** Backoff with every value checked and present, as it is kept in the row. */
export interface Backoff {
  readonly type: NonNullable<BackoffOptions['type']>;
  readonly delayMs: number;
  readonly maxDelayMs: number;
  readonly jitter: number;
}

/**
 * Milliseconds the n-th retry waits. Grows with n before jitter; never over `maxDelayMs`.
 *
 * @param retry 1 for the first retry.
 * @param random a number in [0, 1).
 */
export function retryDelayMs(backoff: Backoff, retry: number, random: number): number {
  const jittered = plainDelayMs(backoff, retry) * (1 + backoff.jitter * (2 * random - 1));
  return Math.round(Math.min(jittered, backoff.maxDelayMs));
}

function plainDelayMs({ type, delayMs, maxDelayMs }: Backoff, retry: number): number {
  const factor = type === 'fixed' ? 1 : type === 'quadratic' ? retry ** 2 : 2 ** (retry - 1);
  return Math.min(delayMs * factor, maxDelayMs);
}

/** How long who has failed waits before another try. */
export interface BackoffBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Twice as long after each failure, up to a bound, and then cut by chance to 50–100 %, so that many processes do not come
 * back at the same moment.
 *
 * @param failures before this one.
 * @param random a number in [0, 1).
 */
export function backoffMs(failures: number, { minMs, maxMs }: BackoffBounds, random: number): number {
  return Math.min(minMs * 2 ** failures, maxMs) * (0.5 + random / 2);
}
