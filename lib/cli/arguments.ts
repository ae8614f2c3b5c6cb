import { parseArgs } from 'node:util';
import { InvalidOptionsError } from '../core/errors.js';
import { describeValue } from '../core/error-text.js';
import { jsonCheck } from '../core/option-checks.js';
import { suggestNearest } from '../core/suggestion.js';
import type { Field, FieldTable } from '../http/request-fields.js';
import { parseText } from '../http/request-fields.js';
import type { Verb } from './verb.js';
import { UsageError } from './exit.js';

/** Options with a value that every verb takes, with their metavariables and meanings. */
export const COMMON_OPTIONS = {
  url: ['URL', 'database: postgres://… or sqlite:path/to/file; default: $DATABASE_URL'],
  schema: ['NAME', 'schema of the tables on PostgreSQL; default: the search_path of the login'],
} as const;

/** Switches that every verb takes. */
export const COMMON_SWITCHES = {
  json: 'print JSON, in the form of the HTTP API',
  yes: 'do not ask',
  help: 'print this help',
} as const;

const SHORT_NAMES: Readonly<Record<string, string>> = { help: 'h', yes: 'y', version: 'V' };

/** Returns the option of the command line for a field: `maxRetries` becomes `max-retries`. */
export function toOptionName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What the command line says before the options of its verb are known. */
export interface Words {
  /** Words that are not options, as far as that can be known. The verb comes first. */
  readonly words: readonly string[];
  readonly isHelp: boolean;
  readonly isVersion: boolean;
}

/** Reads the words of a command line, to find its verb. */
export function readWords(args: readonly string[]): Words {
  const { values, positionals } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      schema: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'V' },
    },
  });
  return { words: positionals, isHelp: values.help === true, isVersion: values.version === true };
}

/** The options of a call, checked. */
export interface ReadArguments {
  readonly args: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
  readonly switches: ReadonlySet<string>;
  readonly url: string | undefined;
  readonly schema: string | undefined;
}

/** Reads the options and arguments of a verb. @throws UsageError for an unknown or invalid one. */
export function readArguments(verb: Verb, args: readonly string[]): ReadArguments {
  const fields = new Map(Object.keys(verb.fields).map((name) => [toOptionName(name), name]));
  const switchNames = [...Object.keys(verb.switches ?? {}), ...Object.keys(COMMON_SWITCHES)];
  const valueNames = [...fields.keys(), ...Object.keys(COMMON_OPTIONS)];
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries([
      ...switchNames.map((name) => [name, toConfig(name, 'boolean')] as const),
      ...valueNames.map((name) => [name, toConfig(name, 'string')] as const),
    ]),
  });
  const texts = new Map<string, string[]>();
  const switches = new Set<string>();
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') {
      words.push(token.value);
    } else if (token.kind === 'option' && switchNames.includes(token.name)) {
      assertNoValue(token);
      switches.add(token.name);
    } else if (token.kind === 'option') {
      assertKnown(verb, token, [...valueNames, ...switchNames]);
      texts.set(token.name, [...(texts.get(token.name) ?? []), readValue(token)]);
    }
  }
  const [url, schema] = [takeOne('url', texts.get('url')), takeOne('schema', texts.get('schema'))];
  const values = readValues(verb.fields, fields, texts);
  return { args: checkArguments(verb, words), values, switches, url, schema };
}

type Token = Extract<NonNullable<ReturnType<typeof parseArgs>['tokens']>[number], { kind: 'option' }>;

function toConfig(name: string, type: 'boolean' | 'string'): { type: 'boolean' | 'string'; short?: string } {
  const short = SHORT_NAMES[name];
  return short === undefined ? { type } : { type, short };
}

function assertNoValue({ rawName, value }: Token): void {
  if (value !== undefined) {
    throw new UsageError(`${rawName} takes no value`);
  }
}

function assertKnown(verb: Verb, { name, rawName }: Token, known: readonly string[]): void {
  if (!known.includes(name)) {
    const suggestion = suggestNearest(`--${name}`, known.map((each) => `--${each}`).sort());
    throw new UsageError(`${verb.name} has no option ${rawName}${suggestion}`);
  }
}

/** A value that begins with a dash is more likely the next option. */
function readValue({ rawName, value, inlineValue }: Token): string {
  if (value === undefined || (!inlineValue && /^-\D/.test(value))) {
    throw new UsageError(
      `${rawName} needs a value${value === undefined ? '' : `; if it is '${value}', write ${rawName}=${value}`}`,
    );
  }
  return value;
}

function takeOne(name: string, texts: readonly string[] = []): string | undefined {
  if (texts.length > 1) {
    throw new UsageError(`--${name} is given more than once`);
  }
  return texts[0];
}

function readValues(
  table: FieldTable,
  fields: ReadonlyMap<string, string>,
  texts: ReadonlyMap<string, readonly string[]>,
): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const [option, name] of fields) {
    const given = texts.get(option);
    const field = table[name]!;
    if (given) {
      values[name] = checkField(`--${option}`, field, field.isRepeatable ? given : takeOne(option, given)!);
    } else if (field.isRequired) {
      throw new UsageError(`--${option} is missing; expected ${field.check.expects}`);
    }
  }
  return values;
}

function checkField(option: string, { check, schema }: Field, given: string | readonly string[]): unknown {
  const toValue = (text: string): unknown => (check === jsonCheck ? parseJson(option, text) : parseText(text, schema));
  const value = typeof given === 'string' ? toValue(given) : given.map(toValue);
  try {
    const final = check.parse(value, option);
    if (final !== undefined) {
      return final;
    }
  } catch (error) {
    // Names a member of a list, such as `--status[0]`.
    throw error instanceof InvalidOptionsError ? new UsageError(`${option}: ${error.reason}`) : error;
  }
  throw new UsageError(`${option}: expected ${check.expects}, got ${describeValue(value)}`);
}

function parseJson(option: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UsageError(`${option}: expected JSON, such as '{"orderId":7}' or '"text"'`);
  }
}

/** Returns the words behind the name of the verb. */
function checkArguments({ name, args = '', argsCount: [min, max] = [0, 0] }: Verb, words: readonly string[]): string[] {
  const given = words.slice(name.split(' ').length);
  if (given.length < min) {
    throw new UsageError(`${name} needs ${args}`);
  }
  if (given.length > max) {
    throw new UsageError(
      max === 0
        ? `${name} takes no argument, got '${given[0]}'`
        : `${name} takes ${args}, got ${given.length} arguments`,
    );
  }
  return given;
}
