import { Cron } from 'croner';
import type { Duration } from './duration.js';
import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';
import { dateCheck, duration, option, readOptions } from './option-checks.js';

/**
 * When a schedule fires: a cron pattern with 5 fields, or 6 with seconds first; or a fixed interval of at least 1 s, counted from
 * `anchor` (default: the Unix epoch), so that it never drifts.
 */
export type SchedulePattern = string | { every: Duration; anchor?: Date | undefined };

/** The moments at which a schedule fires. */
export interface Ticks {
  /** The pattern as the schedule's row stores it: the cron text, or JSON of the interval and its anchor in milliseconds. */
  readonly text: string;
  /** Returns the first tick after `moment`; `null` if there is none. */
  next(moment: Date): Date | null;
  /** Returns the newest tick at or before `moment`; `null` if there is none. */
  latest(moment: Date): Date | null;
}

const EVERY_MIN_MS = 1_000;
const PATTERN_LENGTH_MAX = 255;
/** Parsed patterns of stored schedules that are kept in memory. A tick takes microseconds, and parsing a pattern ten times that. */
const PARSED_MAX = 1_000;

const everyTable = {
  every: option(0, duration(EVERY_MIN_MS)),
  anchor: option(new Date(0), dateCheck),
};

/** An IANA time zone, such as `'Europe/Berlin'`. */
export const timeZoneCheck: Check<string> = {
  expects: "an IANA time zone such as 'Europe/Berlin'",
  schema: { type: 'string' },
  parse: (value) => (typeof value === 'string' && isTimeZone(value) ? value : undefined),
};

/** A pattern as a request has it: an anchor is ISO 8601 text. {@link parsePattern} checks the rest. */
export const patternCheck: Check<SchedulePattern> = {
  expects: "a cron pattern with 5 or 6 fields, or { every: '10s' }",
  schema: {
    description: "Cron with 5 fields, or 6 with seconds first; or an interval of at least '1s'",
    oneOf: [
      { type: 'string', maxLength: PATTERN_LENGTH_MAX },
      {
        type: 'object',
        properties: { every: duration(EVERY_MIN_MS).schema, anchor: dateCheck.schema },
        required: ['every'],
        additionalProperties: false,
      },
    ],
  },
  parse: (value) => {
    if (typeof value === 'string') {
      return value;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return undefined;
    }
    const { anchor } = value as { anchor?: unknown };
    return (typeof anchor === 'string' ? { ...value, anchor: new Date(anchor) } : value) as SchedulePattern;
  },
};

/**
 * Parses a pattern.
 *
 * @param path name of the pattern in errors.
 * @throws InvalidOptionsError if the pattern is invalid.
 */
export function parsePattern(pattern: SchedulePattern, tz: string, path = 'pattern'): Ticks {
  if (typeof pattern === 'string') {
    if (pattern.length > PATTERN_LENGTH_MAX) {
      throw new InvalidOptionsError(
        path,
        `expected a cron pattern of at most ${PATTERN_LENGTH_MAX} characters, got one of ${pattern.length}`,
      );
    }
    return parseCron(pattern.trim(), tz, path);
  }
  if (typeof pattern !== 'object' || pattern === null || !('every' in pattern)) {
    throw new InvalidOptionsError(path, `expected a cron pattern or { every: '10s' }, got ${describeValue(pattern)}`);
  }
  const { every, anchor } = readOptions(everyTable, pattern, path);
  return createInterval(every, anchor.getTime());
}

const parsed = new Map<string, Ticks>();

/** Parses a pattern from a schedule's row, once. @throws InvalidOptionsError if this version cannot read it. */
export function parseStoredPattern(text: string, tz: string): Ticks {
  const key = `${tz} ${text}`;
  const known = parsed.get(key);
  if (known) {
    return known;
  }
  const ticks = parsePattern(toPattern(text), tz);
  if (parsed.size >= PARSED_MAX) {
    parsed.clear();
  }
  parsed.set(key, ticks);
  return ticks;
}

/** Returns a pattern from a schedule's row as users write it: an interval in milliseconds, any other text unchanged. */
export function toPattern(text: string): string | { every: number; anchor: Date } {
  const interval = /^\{"every":(\d+),"anchor":(-?\d+)\}$/.exec(text);
  return interval ? { every: Number(interval[1]), anchor: new Date(Number(interval[2])) } : text;
}

function parseCron(text: string, tz: string, path: string): Ticks {
  const fields = text.split(/\s+/).length;
  if (fields !== 5 && fields !== 6) {
    throw new InvalidOptionsError(
      path,
      `expected a cron pattern with 5 fields, or 6 with seconds first, got ${describeValue(text)}`,
    );
  }
  let cron: Cron;
  try {
    cron = new Cron(text, { timezone: tz, paused: true, mode: '5-or-6-parts' });
  } catch (error) {
    const reason = (error as Error).message.replace(/^CronPattern: /, '');
    throw new InvalidOptionsError(path, `'${text}' is not a cron pattern: ${reason}`);
  }
  return {
    text,
    next: (moment) => cron.nextRun(moment),
    // `previousRuns` returns ticks strictly before its reference, and ticks fall on whole seconds.
    latest: (moment) => cron.previousRuns(1, new Date(Math.floor(moment.getTime() / 1_000) * 1_000 + 1_000))[0] ?? null,
  };
}

function createInterval(everyMs: number, anchorMs: number): Ticks {
  const at = (ms: number): Date | null => (ms >= anchorMs ? new Date(ms) : null);
  return {
    text: JSON.stringify({ every: everyMs, anchor: anchorMs }),
    next: (moment) => {
      const passed = Math.floor((moment.getTime() - anchorMs) / everyMs);
      return new Date(anchorMs + Math.max(0, passed + 1) * everyMs);
    },
    latest: (moment) => at(anchorMs + Math.floor((moment.getTime() - anchorMs) / everyMs) * everyMs),
  };
}

function isTimeZone(name: string): boolean {
  try {
    // Node 22 accepts offsets such as '+02:00' too, but only names follow daylight saving.
    new Intl.DateTimeFormat('en', { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
