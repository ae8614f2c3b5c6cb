/** A length of time: milliseconds, or text such as `'250ms'`, `'30s'`, `'10m'`, `'1h'`, `'7d'`. */
export type Duration = number | string;

const millisecondsPerUnit: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest duration taken: one hundred years. Anything longer is a slip, and would leave the range of dates. */
export const DURATION_MAX_MS = 100 * 365 * 86_400_000;

/**
 * Whole milliseconds of a duration.
 *
 * @returns `undefined` when the value is no duration: not a finite number ≥ 0, or not text of a number and a unit.
 */
export function parseDuration(value: unknown): number | undefined {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? millisecondsOf(value) : NaN;
  // `+ 0` makes a plain zero of a negative one.
  return ms >= 0 && ms <= DURATION_MAX_MS ? Math.round(ms) + 0 : undefined;
}

function millisecondsOf(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text.trim());
  return match ? Number(match[1]) * (millisecondsPerUnit[match[2]!] ?? NaN) : NaN;
}

/** A duration as people write it: the largest unit that leaves a whole number. */
export function formatDuration(ms: number): string {
  const unit = ['d', 'h', 'm', 's'].find((u) => ms >= millisecondsPerUnit[u]! && ms % millisecondsPerUnit[u]! === 0);
  return unit ? `${ms / millisecondsPerUnit[unit]!}${unit}` : `${ms}ms`;
}
