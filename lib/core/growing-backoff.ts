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
export function growingBackoffMs(failures: number, { minMs, maxMs }: BackoffBounds, random: number): number {
  return Math.min(minMs * 2 ** failures, maxMs) * (0.5 + random / 2);
}
