import { messages } from '../messages/messages.js';
import { countText, decimalText } from './amount.js';

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** How long: `8 ms`, `1.4 s`, `2 min 5 s`, `3 d 4 h`. */
export function durationText(ms: number): string {
  const { durations } = messages.amounts;
  if (ms < 1) return ms <= 0 ? durations.ms('0') : `< ${durations.ms('1')}`;
  if (ms < 999.5) return durations.ms(ms < 9.95 ? decimalText(ms) : countText(Math.round(ms)));
  if (ms < 59_950) return durations.s(decimalText(ms / 1_000, ms < 9_950 ? 2 : 1));
  return twoUnits(Math.round(ms / 1_000) * 1_000);
}

/** Roughly how long, in one unit: `12 s`, `3 h`. */
export function roughDuration(ms: number): string {
  const [unit, size] = UNITS.find(([, size]) => ms >= size) ?? (['s', 1_000] as const);
  return messages.amounts.durations[unit](countText(Math.max(0, Math.floor(ms / size))));
}

const FIELD_UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** A duration as a field takes it: `90s`, `10m`, `250ms`. */
export function durationField(ms: number): string {
  const [unit, size] = Object.entries(FIELD_UNITS).find(([, size]) => ms > 0 && ms % size === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}

/** Milliseconds of such a text; `NaN` if it is none. */
export function parseDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  return unit === undefined ? NaN : Math.round(Number(number) * FIELD_UNITS[unit as keyof typeof FIELD_UNITS]);
}

function twoUnits(ms: number): string {
  const at = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[at]!;
  const [nextUnit, nextSize] = UNITS[at + 1]!;
  const rest = Math.floor((ms % size) / nextSize);
  const { durations } = messages.amounts;
  const first = durations[unit](countText(Math.floor(ms / size)));
  return rest > 0 ? `${first} ${durations[nextUnit](countText(rest))}` : first;
}
