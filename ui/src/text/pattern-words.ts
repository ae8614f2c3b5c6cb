import type { PatternUnit } from '../messages/en.js';
import { messages } from '../messages/messages.js';
import { perLanguage } from '../messages/per-language.js';
import { durationField, durationText } from './duration.js';
import { capitalized } from './visible-text.js';

/** The pattern of a schedule: cron text, or an interval in milliseconds. */
export type Pattern = string | { readonly every: number };

/** Values of one field of a cron pattern. */
type Field =
  | { readonly kind: 'any' }
  | { readonly kind: 'step'; readonly step: number }
  | { readonly kind: 'range'; readonly from: number; readonly to: number; readonly values: readonly number[] }
  | { readonly kind: 'values'; readonly values: readonly number[] };

const MONTHS = 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ');
const WEEKDAYS = 'SUN MON TUE WED THU FRI SAT'.split(' ');
/** A list of more times than this would be no easier to read than the pattern. */
const TIMES_MAX = 6;
const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

const monthNames = perLanguage((language) => new Intl.DateTimeFormat(language, { month: 'long', timeZone: 'UTC' }));
const weekdayNames = perLanguage((language) => new Intl.DateTimeFormat(language, { weekday: 'long', timeZone: 'UTC' }));

/** A pattern in words, such as `Monday to Friday at 07:00`; `null` for a pattern that has no short description. */
export function patternWords(pattern: Pattern): string | null {
  const words = typeof pattern === 'string' ? cronWords(pattern.trim().toUpperCase()) : intervalWords(pattern.every);
  return words && capitalized(words);
}

/** The pattern as its author wrote it. */
export function patternText(pattern: Pattern): string {
  return typeof pattern === 'string' ? pattern : messages.patterns.interval(durationField(pattern.every));
}

function intervalWords(ms: number): string {
  const unit = UNITS.find(([, size]) => ms >= size && ms % size === 0);
  return unit ? messages.patterns.every(ms / unit[1], unit[0]) : messages.patterns.interval(durationText(ms));
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
  return messages.patterns.whole(time.words, days, months, time.isAt);
}

interface TimeWords {
  readonly words: string;
  /** Whether they name times of a day. */
  readonly isAt: boolean;
}

function timeWords(second: Field | null, minute: Field | null, hour: Field | null): TimeWords | null {
  if (!second || !minute || !hour) return null;
  const times = clockTimes(second, minute, hour) ?? listHours(second, minute, hour);
  if (times) return { words: messages.patterns.at(times), isAt: true };
  const words = periodWords(second, minute, hour);
  return words === null ? null : { words, isAt: false };
}

function periodWords(second: Field, minute: Field, hour: Field): string | null {
  const isOnMinute = isOnly(second, 0);
  // Seconds are described only within every minute.
  if (!isOnMinute && minute.kind !== 'any') return null;
  if (!isOnMinute) return withHours(finest(second, 'second'), hour);
  if (isOnly(minute, 0)) return hourlyWords(hour);
  return withHours(finest(minute, 'minute'), hour);
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

/** Full hours, however many they are. */
function listHours(second: Field, minute: Field, hour: Field): string[] | null {
  return isOnly(second, 0) && isOnly(minute, 0) && hour.kind === 'values' ? hour.values.map(clock) : null;
}

function finest(field: Field, unit: 'minute' | 'second'): string {
  const { patterns } = messages;
  if (field.kind === 'any') return patterns.every(1, unit);
  if (field.kind === 'range') return patterns.everyFromTo(unit, field.from, field.to);
  if (field.kind === 'values') return patterns.atUnits(unit, field.values);
  return stepWords(field.step, unit, 60);
}

/** A step that does not divide the larger unit starts again with each of them. */
function stepWords(step: number, unit: PatternUnit, larger: number): string {
  const words = messages.patterns.every(step, unit);
  return larger % step === 0 ? words : messages.patterns.countedFromStart(words, unit);
}

function hourlyWords(hour: Field): string {
  if (hour.kind === 'range') return messages.patterns.hourlyFromTo(clock(hour.from), clock(hour.to));
  return stepWords(hour.kind === 'step' ? hour.step : 1, 'hour', 24);
}

function withHours(words: string, hour: Field): string {
  const { patterns } = messages;
  if (hour.kind === 'any') return words;
  if (hour.kind === 'step') return patterns.inEveryHour(words, hour.step);
  const spans: [number, number][] =
    hour.kind === 'range' ? [[hour.from, hour.to]] : hour.values.map((value) => [value, value]);
  return patterns.during(
    words,
    spans.map(([from, to]) => [clock(from), `${twoDigits(to)}:59`]),
  );
}

/** Without words for every day. A day of the month and a weekday are alternatives in cron. */
function dayWords(day: string, weekday: string): string | null {
  const inMonth = dayOfMonthWords(day === '?' ? '*' : day);
  const inWeek = weekdayWords(weekday === '?' ? '*' : weekday);
  if (inMonth === null || inWeek === null) return null;
  return inMonth && inWeek ? messages.patterns.eitherDay(inMonth, inWeek) : inMonth || inWeek;
}

function dayOfMonthWords(text: string): string | null {
  const { patterns } = messages;
  if (text === 'L') return patterns.lastDay;
  const field = readField(text, 1, 31);
  if (field === null) return null;
  if (field.kind === 'any') return '';
  if (field.kind === 'range') return patterns.dayRange(field.from, field.to);
  return field.kind === 'step' ? patterns.everyDay(field.step) : patterns.days(field.values);
}

function weekdayWords(text: string): string | null {
  const { patterns } = messages;
  const [, name, nth] = /^(\w+)#([1-5]|L)$/.exec(text) ?? /^(\w)(L)$/.exec(text) ?? [];
  if (name !== undefined) return nthWeekdayWords(readValue(name, 0, WEEKDAYS), nth!);
  const field = readField(text, 0, 7, WEEKDAYS);
  if (field === null || field.kind === 'step') return null;
  if (field.kind === 'any') return '';
  if (field.kind === 'range') return patterns.weekdayRange(weekdayName(field.from), weekdayName(field.to));
  return patterns.weekdays(field.values.map(weekdayName));
}

/** @param nth `1` to `5`, or `L` for the last */
function nthWeekdayWords(weekday: number | null, nth: string): string | null {
  if (weekday === null || weekday > 7) return null;
  return messages.patterns.nthWeekday(nth === 'L' ? 0 : Number(nth), weekdayName(weekday));
}

function monthWords(field: Field | null): string | null {
  if (field === null) return null;
  if (field.kind === 'any') return '';
  if (field.kind === 'range') return messages.patterns.monthRange(monthName(field.from), monthName(field.to));
  const numbers = field.kind === 'step' ? range(1, 12, field.step) : field.values;
  return messages.patterns.months(numbers.map(monthName));
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
  const index = names.indexOf(text);
  return index < 0 ? null : index + min;
}

function isOnly(field: Field, value: number): boolean {
  return field.kind === 'values' && field.values.length === 1 && field.values[0] === value;
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);
}

/** @param number 0 and 7 are Sunday */
function weekdayName(number: number): string {
  return weekdayNames().format(Date.UTC(2023, 0, 1 + number));
}

function monthName(number: number): string {
  return monthNames().format(Date.UTC(2023, number - 1));
}

function clock(hour: number): string {
  return `${twoDigits(hour)}:00`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}
