import { durationField, durationText } from './duration.js';

/** The pattern of a schedule: cron text, or an interval in milliseconds. */
export type Pattern = string | { readonly every: number };

/** Values of one field of a cron pattern. */
type Field =
  | { readonly kind: 'any' }
  | { readonly kind: 'step'; readonly step: number }
  | { readonly kind: 'range'; readonly from: number; readonly to: number; readonly values: readonly number[] }
  | { readonly kind: 'values'; readonly values: readonly number[] };

const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const WEEKDAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const ORDINALS = ['', 'first', 'second', 'third', 'fourth', 'fifth'];
/** A list of more times than this would be no easier to read than the pattern. */
const TIMES_MAX = 6;
const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

/** A pattern in words, such as `Monday to Friday at 07:00`; `null` for a pattern that has no short description. */
export function patternWords(pattern: Pattern): string | null {
  const words = typeof pattern === 'string' ? cronWords(pattern.trim().toUpperCase()) : intervalWords(pattern.every);
  return words && words[0]!.toUpperCase() + words.slice(1);
}

/** The pattern as its author wrote it. */
export function patternText(pattern: Pattern): string {
  return typeof pattern === 'string' ? pattern : `every ${durationField(pattern.every)}`;
}

function intervalWords(ms: number): string {
  const [unit, size] = UNITS.find(([, size]) => ms >= size && ms % size === 0) ?? ['', 0];
  return size === 0 ? `every ${durationText(ms)}` : everyWords(ms / size, unit);
}

function cronWords(text: string): string | null {
  const parts = text.split(/\s+/);
  if (parts.length === 5) parts.unshift('0');
  const [second, minute, hour, day, month, weekday] = parts as [string, string, string, string, string, string];
  if (parts.length !== 6) return null;
  const time = timeWords(readField(second, 0, 59), readField(minute, 0, 59), readField(hour, 0, 23));
  const days = dayWords(day, weekday);
  const months = monthWords(readField(month, 1, 12, MONTHS));
  if (time === null || days === null || months === null) return null;
  if (/^at \d/.test(time)) return [`${days || 'every day'} ${time}`, months].filter(Boolean).join(', ');
  return [time, days, months].filter(Boolean).join(', ');
}

function timeWords(second: Field | null, minute: Field | null, hour: Field | null): string | null {
  if (!second || !minute || !hour) return null;
  const times = clockTimes(second, minute, hour);
  if (times) return `at ${listed(times)}`;
  const isOnMinute = isOnly(second, 0);
  // Seconds are described only within every minute.
  if (!isOnMinute && minute.kind !== 'any') return null;
  if (!isOnMinute) return withHours(finest(second, 'second', 'minute'), hour);
  if (isOnly(minute, 0)) return hourlyWords(hour);
  return withHours(finest(minute, 'minute', 'hour'), hour);
}

/** Times of a day, if they are few. */
function clockTimes(second: Field, minute: Field, hour: Field): string[] | null {
  if (second.kind !== 'values' || minute.kind !== 'values' || hour.kind !== 'values') return null;
  const times = hour.values.flatMap((h) =>
    minute.values.flatMap((m) =>
      second.values.map((s) => [h, m, ...(isOnly(second, 0) ? [] : [s])].map(twoDigits).join(':')),
    ),
  );
  return times.length > TIMES_MAX ? null : times;
}

function finest(field: Field, unit: string, larger: string): string {
  if (field.kind === 'any') return `every ${unit}`;
  if (field.kind === 'range') return `every ${unit} from ${field.from} to ${field.to} of each ${larger}`;
  if (field.kind === 'values') {
    return `at ${unit}${field.values.length > 1 ? 's' : ''} ${listed(field.values)} of each ${larger}`;
  }
  // The step starts again with each larger unit.
  return everyWords(field.step, unit) + (60 % field.step === 0 ? '' : `, counted from the start of each ${larger}`);
}

function hourlyWords(hour: Field): string {
  if (hour.kind === 'any') return 'every hour';
  if (hour.kind === 'range') return `every hour from ${clock(hour.from)} to ${clock(hour.to)}`;
  if (hour.kind === 'values') return `at ${listed(hour.values.map(clock))}`;
  return everyWords(hour.step, 'hour') + (24 % hour.step === 0 ? '' : ', counted from midnight');
}

function withHours(words: string, hour: Field): string {
  if (hour.kind === 'any') return words;
  if (hour.kind === 'range') return `${words}, from ${clock(hour.from)} to ${twoDigits(hour.to)}:59`;
  if (hour.kind === 'step') return `${words}, in every ${ordinal(hour.step)} hour`;
  const spans = hour.values.map((value) => `${clock(value)} to ${twoDigits(value)}:59`);
  return `${words}, from ${listed(spans)}`;
}

/** Without words for every day. A day of the month and a weekday are alternatives in cron. */
function dayWords(day: string, weekday: string): string | null {
  const inMonth = dayOfMonthWords(day === '?' ? '*' : day);
  const inWeek = weekdayWords(weekday === '?' ? '*' : weekday);
  if (inMonth === null || inWeek === null) return null;
  return inMonth && inWeek ? `${inMonth}, and also ${inWeek},` : inMonth || inWeek;
}

function dayOfMonthWords(text: string): string | null {
  if (text === 'L') return 'on the last day of the month';
  const field = readField(text, 1, 31);
  if (field === null) return null;
  if (field.kind === 'any') return '';
  if (field.kind === 'range') return `on days ${field.from} to ${field.to} of the month`;
  if (field.kind === 'step') return `on every ${ordinal(field.step)} day, counted from day 1 of the month,`;
  return `on day${field.values.length > 1 ? 's' : ''} ${listed(field.values)} of the month`;
}

function weekdayWords(text: string): string | null {
  const [, name, nth] = /^(\w+)#([1-5]|L)$/.exec(text) ?? /^(\w)(L)$/.exec(text) ?? [];
  if (name !== undefined) return nthWeekdayWords(readValue(name, 0, WEEKDAYS), nth!);
  const field = readField(text, 0, 7, WEEKDAYS);
  if (field === null || field.kind === 'step') return null;
  if (field.kind === 'any') return '';
  if (field.kind === 'range') return `${weekdayName(field.from)} to ${weekdayName(field.to)}`;
  return `on ${listed(field.values.map(weekdayName))}`;
}

function nthWeekdayWords(weekday: number | null, nth: string): string | null {
  if (weekday === null || weekday > 7) return null;
  return `on the ${nth === 'L' ? 'last' : ORDINALS[Number(nth)]} ${weekdayName(weekday)} of the month`;
}

function monthWords(field: Field | null): string | null {
  if (field === null) return null;
  if (field.kind === 'any') return '';
  if (field.kind === 'range') return `from ${MONTHS[field.from - 1]} to ${MONTHS[field.to - 1]}`;
  const numbers = field.kind === 'step' ? range(1, 12, field.step) : field.values;
  return `in ${listed(numbers.map((number) => MONTHS[number - 1]))}`;
}

/** `null` for a field with anything but `*`, numbers, names, ranges and steps. `names` begin at `min`, or at 0 for weekdays. */
function readField(text: string, min: number, max: number, names: readonly string[] = []): Field | null {
  const all = /^\*(?:\/(\d+))?$/.exec(text);
  if (all) {
    const step = Number(all[1] ?? 1);
    if (step < 1) return null;
    return step === 1 ? { kind: 'any' } : { kind: 'step', step };
  }
  const items = text.split(',').map((item) => readItem(item, min, max, names));
  if (items.includes(null)) return null;
  const values = [...new Set((items as number[][]).flat())].sort((a, b) => a - b);
  const [from, to] = [items[0]![0]!, items[0]!.at(-1)!];
  const isRange = items.length === 1 && to - from >= 2 && values.length === to - from + 1;
  return isRange ? { kind: 'range', from, to, values } : { kind: 'values', values };
}

function readItem(text: string, min: number, max: number, names: readonly string[]): number[] | null {
  const [, first = '', last, step = '1'] = /^(\w+)(?:-(\w+)(?:\/(\d+))?)?$/.exec(text) ?? [];
  const [from, to] = [readValue(first, min, names), readValue(last ?? first, min, names)];
  if (from === null || to === null || from < min || to > max || from > to || Number(step) < 1) return null;
  return range(from, to, Number(step));
}

function readValue(text: string, min: number, names: readonly string[]): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  const index = names.findIndex((name) => name.slice(0, 3).toUpperCase() === text);
  return index < 0 ? null : index + min;
}

function isOnly(field: Field, value: number): boolean {
  return field.kind === 'values' && field.values.length === 1 && field.values[0] === value;
}

function everyWords(count: number, unit: string): string {
  return count === 1 ? `every ${unit}` : `every ${count} ${unit}s`;
}

function listed(items: readonly unknown[]): string {
  return items.length < 2 ? String(items[0]) : `${items.slice(0, -1).join(', ')} and ${String(items.at(-1))}`;
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);
}

function weekdayName(number: number): string {
  return WEEKDAYS[number % 7]!;
}

function ordinal(number: number): string {
  return { 2: '2nd', 3: '3rd', 21: '21st', 22: '22nd', 23: '23rd', 31: '31st' }[number] ?? `${number}th`;
}

function clock(hour: number): string {
  return `${twoDigits(hour)}:00`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}
