import { isDate, isStorableText } from './text.js';
import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import { DURATION_MAX_MS, formatDuration, parseDuration } from './duration.js';
import { suggestName } from './suggestion.js';

/** JSON Schema, draft 2020-12, as OpenAPI 3.1 uses it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** Checks one value of an option and converts it to its final form. */
export interface Check<T> {
  /** Completes "expected …, got …". */
  readonly expects: string;
  /** Describes the value in a request. Every check that a request uses has one. */
  readonly schema?: JsonSchema;
  /** The value in its final form, or `undefined` when it is refused. `path` names the option in errors of parts. */
  parse(value: unknown, path: string): T | undefined;
}

/** One option: its value when absent, what it may be, and what it means. */
export interface Option<T> {
  readonly default: T;
  readonly check: Check<T>;
  readonly meaning: string;
}

type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The checked values of a table, all present. */
export type OptionValues<Table extends OptionTable> = {
  -readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never;
};

/**
 * The values of a table of options, each checked, defaults filled in.
 *
 * @param given what the caller wrote; `undefined` members count as absent.
 * @param path put before the names in errors, such as `backoff`.
 * @param others names of members that are no options, and are read elsewhere.
 * @throws InvalidOptionsError for a name that is not in the table (with the nearest that is), or a refused value.
 */
export function readOptions<Table extends OptionTable>(
  table: Table,
  given: unknown,
  path = '',
  others: readonly string[] = [],
): OptionValues<Table> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new InvalidOptionsError(path || 'options', `expected an object, got ${describeValue(given)}`);
  }
  const stranger = Object.keys(given).find((name) => !Object.hasOwn(table, name) && !others.includes(name));
  if (stranger !== undefined) {
    throw new InvalidOptionsError(join(path, stranger), `unknown option${suggestName(stranger, Object.keys(table))}`);
  }
  // Every `enqueue` passes here, and members that are added one by one take twice as long as a copy of all.
  const members = given as Record<string, unknown>;
  const { names, defaults } = readingOf(table);
  const values = { ...defaults };
  for (const name of names) {
    const member = members[name];
    if (member !== undefined) {
      values[name] = checked(table[name]!.check, member, join(path, name));
    }
  }
  return values as OptionValues<Table>;
}

/** What each reading of a table needs. */
interface Reading {
  readonly names: readonly string[];
  /** The value of each option that is absent. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

const readings = new WeakMap<OptionTable, Reading>();

function readingOf(table: OptionTable): Reading {
  let reading = readings.get(table);
  if (!reading) {
    const defaults = Object.fromEntries(Object.entries(table).map(([name, option]) => [name, option.default]));
    reading = { names: Object.keys(table), defaults };
    readings.set(table, reading);
  }
  return reading;
}

/** The final form of `value`. @throws InvalidOptionsError naming `path` when the check refuses it. */
export function checked<T>(check: Check<T>, value: unknown, path: string): T {
  const final = check.parse(value, path);
  if (final === undefined) {
    throw new InvalidOptionsError(path, `expected ${check.expects}, got ${describeValue(value)}`);
  }
  return final;
}

/** A whole number within bounds, both included; a negative zero becomes a plain one, as in a column. */
export function integer(min: number, max: number): Check<number> {
  return {
    expects: `a whole number from ${min} to ${max}`,
    schema: { type: 'integer', minimum: min, maximum: max },
    parse: (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value + 0 : undefined,
  };
}

/** A number within bounds, both included. */
export function fraction(min: number, max: number): Check<number> {
  return {
    expects: `a number from ${min} to ${max}`,
    parse: (value) => (typeof value === 'number' && value >= min && value <= max ? value : undefined),
  };
}

/** A duration within bounds, in milliseconds when read. */
export function duration(minMs: number, maxMs = DURATION_MAX_MS): Check<number> {
  const hasMax = maxMs < DURATION_MAX_MS;
  const least = minMs > 0 ? ` of at least ${formatDuration(minMs)}` : '';
  const bounds = hasMax ? ` from ${formatDuration(minMs)} to ${formatDuration(maxMs)}` : least;
  const most = hasMax ? '' : `; at most ${formatDuration(DURATION_MAX_MS)}`;
  return {
    expects: `a duration${bounds}, in milliseconds or such as '30s' (ms, s, m, h, d${most})`,
    schema: {
      description: "Milliseconds, or text such as '250ms', '30s', '10m', '1h', '7d'",
      oneOf: [{ type: 'number', minimum: minMs }, { type: 'string' }],
    },
    parse: (value) => {
      const ms = parseDuration(value);
      return ms !== undefined && ms >= minMs && ms <= maxMs ? ms : undefined;
    },
  };
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Check<T> {
  return {
    expects: words.map((word) => `'${word}'`).join(' or '),
    schema: { enum: words },
    parse: (value) => words.find((word) => word === value),
  };
}

/** Any value: the payload encoder checks what JSON cannot hold. */
export const jsonCheck: Check<unknown> = { expects: 'a JSON value', schema: {}, parse: (value) => value };

/** Any object but a list. */
export const recordCheck: Check<Record<string, unknown>> = {
  expects: 'an object',
  schema: { type: 'object' },
  parse: (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined,
};

/** `true` or `false`, and nothing that is like them. */
export const flag: Check<boolean> = {
  expects: 'true or false',
  schema: { type: 'boolean' },
  parse: (value) => (typeof value === 'boolean' ? value : undefined),
};

/** Text that the database can hold, of 1 to `lengthMax` characters. */
export function text(lengthMax: number): Check<string> {
  return {
    expects: `text of 1 to ${lengthMax} characters without NUL or lone surrogates`,
    schema: { type: 'string', minLength: 1, maxLength: lengthMax },
    parse: (value) =>
      typeof value === 'string' && value.length > 0 && value.length <= lengthMax && isStorableText(value)
        ? value
        : undefined,
  };
}

/** A non-empty list without repetitions. */
export function listOf<T>(member: Check<T>): Check<readonly T[]> {
  return {
    expects: `a non-empty list of ${member.expects}`,
    schema: { type: 'array', items: member.schema ?? {}, minItems: 1 },
    parse: (value, path) => {
      if (!Array.isArray(value) || value.length === 0) {
        return undefined;
      }
      return Object.freeze([...new Set(value.map((item, index) => checked(member, item, `${path}[${index}]`)))]);
    },
  };
}

/** Largest list of {@link oneOrMany}. */
const MANY_MAX = 1_000;

/** One value, or a list of 1 to 1,000; always returns a list. */
export function oneOrMany<T>(member: Check<T>): Check<readonly T[]> {
  const many = listOf(member);
  return {
    expects: `${member.expects}, or a list of 1 to ${MANY_MAX} such`,
    schema: { oneOf: [member.schema ?? {}, { ...many.schema, maxItems: MANY_MAX }] },
    parse: (value, path) => {
      if (Array.isArray(value)) {
        return value.length <= MANY_MAX ? many.parse(value, path) : undefined;
      }
      const one = member.parse(value, path);
      return one === undefined ? undefined : Object.freeze([one]);
    },
  };
}

/** A moment of a job: years 1970 to 9999, which both databases write in one fixed width. A copy: the caller may change his own. */
export const dateCheck: Check<Date> = {
  expects: 'a Date between the years 1970 and 9999',
  schema: { type: 'string', format: 'date-time' },
  parse: (value) => {
    const year = isDate(value) ? value.getUTCFullYear() : NaN;
    return year >= 1970 && year <= 9999 ? new Date(value as Date) : undefined;
  },
};

/** Either a word of its own, taken as it is, or whatever `check` takes. */
export function either<const Word extends boolean | null, T>(word: Word, check: Check<T>): Check<Word | T> {
  return {
    expects: `${word} or ${check.expects}`,
    parse: (value, path) => (value === word ? word : check.parse(value, path)),
  };
}

/** An object with options of its own. */
export function group<Table extends OptionTable>(table: Table): Check<Readonly<OptionValues<Table>>> {
  return {
    expects: `an object with ${Object.keys(table).join(', ')}`,
    parse: (value, path) => (typeof value === 'object' ? Object.freeze(readOptions(table, value, path)) : undefined),
  };
}

/** `backoff.delay`; behind words that end with a quoted name, `handler of 'mail': delay`. */
function join(path: string, name: string): string {
  return path ? `${path}${path.endsWith("'") ? ': ' : '.'}${name}` : name;
}
