import { isDate, isStorableText } from './text.js';
import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import { DURATION_MAX_MS, formatDuration, parseDuration } from './duration.js';
import { suggestName } from './suggestion.js';

/** JSON Schema, draft 2020-12, as OpenAPI 3.1 uses it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** Checks one value and converts it to its final form. */
export interface Check<T> {
  /** Completes "expected …, got …". */
  readonly expects: string;
  /** Describes the value in the OpenAPI document. Every check of a request field has one. */
  readonly schema?: JsonSchema;
  /** Returns the value in its final form, or `undefined` if it is invalid. `path` is its name in errors about its parts. */
  parse(value: unknown, path: string): T | undefined;
}

/** Describes one option. `meaning` goes into the OpenAPI document; docstrings document options that no request has. */
export interface Option<T> {
  readonly default: T;
  readonly check: Check<T>;
  readonly meaning: string;
}

/** Describes an option with a default. */
export function option<T>(defaultValue: NoInfer<T>, check: Check<T>, meaning = ''): Option<T> {
  return { default: defaultValue, check, meaning };
}

/** Describes an option without a default of its own. */
export function optional<T>(check: Check<T>, meaning = ''): Option<T | undefined> {
  return { default: undefined, check, meaning };
}

/** Describes a condition of a filter; `null` if it is absent. */
export function condition<T>(check: Check<T>, meaning = ''): Option<T | null> {
  return { default: null, check, meaning };
}

type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The checked values of a table, all present. */
export type OptionValues<Table extends OptionTable> = {
  -readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never;
};

/**
 * Checks the members of `given` against a table and adds the defaults.
 *
 * @param given the caller's options; a member that is `undefined` counts as absent.
 * @param path prefix of the names in errors, such as `backoff`.
 * @param others names of members that are not options; the caller reads them.
 * @throws InvalidOptionsError for an invalid value, or for an unknown name: the error suggests the nearest one.
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
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(table, name) && !others.includes(name));
  if (unknown !== undefined) {
    throw new InvalidOptionsError(join(path, unknown), `unknown option${suggestName(unknown, Object.keys(table))}`);
  }
  // Each `enqueue` runs this: copying all defaults takes half the time of adding members one by one.
  const members = given as Record<string, unknown>;
  const { names, defaults } = summarize(table);
  const values = { ...defaults };
  for (const name of names) {
    const member = members[name];
    if (member !== undefined) {
      values[name] = applyCheck(table[name]!.check, member, join(path, name));
    }
  }
  return values as OptionValues<Table>;
}

/** Names and defaults of a table, computed once. */
interface Summary {
  readonly names: readonly string[];
  readonly defaults: Readonly<Record<string, unknown>>;
}

const summaries = new WeakMap<OptionTable, Summary>();

function summarize(table: OptionTable): Summary {
  let summary = summaries.get(table);
  if (!summary) {
    const defaults = Object.fromEntries(Object.entries(table).map(([name, each]) => [name, each.default]));
    summary = { names: Object.keys(table), defaults };
    summaries.set(table, summary);
  }
  return summary;
}

/** Returns the final form of `value`. @throws InvalidOptionsError with the name `path` if the value is invalid. */
export function applyCheck<T>(check: Check<T>, value: unknown, path: string): T {
  const final = check.parse(value, path);
  if (final === undefined) {
    throw new InvalidOptionsError(path, `expected ${check.expects}, got ${describeValue(value)}`);
  }
  return final;
}

/** A whole number from `min` to `max`. Converts −0 to 0, as a column does. */
export function integer(min: number, max: number): Check<number> {
  return {
    expects: `a whole number from ${min} to ${max}`,
    schema: { type: 'integer', minimum: min, maximum: max },
    parse: (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value + 0 : undefined,
  };
}

/** A number from `min` to `max`. */
export function fraction(min: number, max: number): Check<number> {
  return {
    expects: `a number from ${min} to ${max}`,
    parse: (value) => (typeof value === 'number' && value >= min && value <= max ? value : undefined),
  };
}

/** A duration from `minMs` to `maxMs`, converted to milliseconds. */
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

/** One of the given words. */
export function oneOf<const T extends string>(...words: readonly T[]): Check<T> {
  return {
    expects: words.map((word) => `'${word}'`).join(' or '),
    schema: { enum: words },
    parse: (value) => words.find((word) => word === value),
  };
}

/** Any value. `encodePayload` checks it. */
export const jsonCheck: Check<unknown> = { expects: 'a JSON value', schema: {}, parse: (value) => value };

/** Any object except an array. */
export const recordCheck: Check<Record<string, unknown>> = {
  expects: 'an object',
  schema: { type: 'object' },
  parse: (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined,
};

/** A function. `expects` completes "expected …". */
export function functionCheck<T>(expects: string): Check<T> {
  return { expects, parse: (value) => (typeof value === 'function' ? (value as T) : undefined) };
}

/** `true` or `false`; no value that merely converts to one. */
export const flag: Check<boolean> = {
  expects: 'true or false',
  schema: { type: 'boolean' },
  parse: (value) => (typeof value === 'boolean' ? value : undefined),
};

/** Text of 1 to `lengthMax` characters that the database can store. */
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

/** A list of at least one value, unless it `canBeEmpty`. Drops repeated values. */
export function listOf<T>(member: Check<T>, { canBeEmpty = false } = {}): Check<readonly T[]> {
  return {
    expects: `a ${canBeEmpty ? '' : 'non-empty '}list of ${member.expects}`,
    schema: { type: 'array', items: member.schema ?? {}, ...(!canBeEmpty && { minItems: 1 }) },
    parse: (value, path) => {
      if (!Array.isArray(value) || (value.length === 0 && !canBeEmpty)) {
        return undefined;
      }
      return Object.freeze([...new Set(value.map((item, index) => applyCheck(member, item, `${path}[${index}]`)))]);
    },
  };
}

/** Longest list of {@link oneOrMany}. */
const MANY_MAX = 1_000;

/** One value, or a list of 1 to 1,000 values. Converts one value to a list. */
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

/** A Date that both databases can write in one fixed width. Returns a copy, because the caller can change the original. */
export const dateCheck: Check<Date> = {
  expects: 'a Date between the years 1970 and 9999',
  schema: { type: 'string', format: 'date-time' },
  parse: (value) => {
    const year = isDate(value) ? value.getUTCFullYear() : NaN;
    return year >= 1970 && year <= 9999 ? new Date(value as Date) : undefined;
  },
};

/** The given word, or a value that `check` accepts. */
export function either<const Word extends boolean | null, T>(word: Word, check: Check<T>): Check<Word | T> {
  return {
    expects: `${word} or ${check.expects}`,
    parse: (value, path) => (value === word ? word : check.parse(value, path)),
  };
}

/** An object with the options of a table. */
export function group<Table extends OptionTable>(table: Table): Check<Readonly<OptionValues<Table>>> {
  return {
    expects: `an object with ${Object.keys(table).join(', ')}`,
    parse: (value, path) => (typeof value === 'object' ? Object.freeze(readOptions(table, value, path)) : undefined),
  };
}

/** Returns `backoff.delay`, or `handler of 'mail': delay` if the path ends with a quoted name. */
function join(path: string, name: string): string {
  return path ? `${path}${path.endsWith("'") ? ': ' : '.'}${name}` : name;
}
