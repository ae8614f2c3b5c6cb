/**
 * A length of time: milliseconds, or text such as `'250ms'`, `'30s'`, `'10m'`, `'1.5h'`, `'7d'`. Text from the configuration is
 * `value as Duration`; the queue checks it when it starts.
 */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const millisecondsPerUnit: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Longest accepted duration: one hundred years. A longer one is a typing error and would leave the range of dates. */
export const DURATION_MAX_MS = 100 * 365 * 86_400_000;

/**
 * Converts a duration to whole milliseconds.
 *
 * @returns `undefined` unless the value is a finite number ≥ 0, or text of a number and a unit.
 */
export function parseDuration(value: unknown): number | undefined {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? parseText(value) : NaN;
  // `+ 0` turns −0 into 0.
  return ms >= 0 && ms <= DURATION_MAX_MS ? Math.round(ms) + 0 : undefined;
}

function parseText(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text.trim());
  return match ? Number(match[1]) * (millisecondsPerUnit[match[2]!] ?? NaN) : NaN;
}

/** Formats a duration with the largest unit that gives a whole number, such as `90s`. */
export function formatDuration(ms: number): string {
  const unit = ['d', 'h', 'm', 's'].find((u) => ms >= millisecondsPerUnit[u]! && ms % millisecondsPerUnit[u]! === 0);
  return unit ? `${ms / millisecondsPerUnit[unit]!}${unit}` : `${ms}ms`;
}
