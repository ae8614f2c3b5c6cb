/**
 * Reads the fields of a request. A table lists them by the names of core's options; in the request they are snake_case.
 * Each field's check and schema come from core, so that a field is described once.
 */
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { Check, JsonSchema, Option } from '../core/option-checks.js';
import { dateCheck } from '../core/option-checks.js';
import { suggestName } from '../core/suggestion.js';
import type { FieldErrors } from './api-error.js';
import { toWireName } from '../core/wire-name.js';
import { invalidRequest } from './api-error.js';

/** One field of a request. */
export interface Field<T = unknown> {
  readonly check: Check<T>;
  readonly schema: JsonSchema;
  readonly meaning: string;
  readonly isRequired?: boolean;
  /** The request may also use the option's own camelCase name. */
  readonly acceptsCamelCase?: boolean;
  /** A query may repeat it. */
  readonly isRepeatable?: boolean;
}

/** The fields of a request, by the names of their options. */
export type FieldTable = Readonly<Record<string, Field>>;

/** The checked values of a table. */
export type FieldValues<Table extends FieldTable> = {
  readonly [Name in keyof Table as Table[Name] extends { readonly isRequired: true } ? Name : never]: ValueOf<
    Table[Name]
  >;
} & {
  readonly [Name in keyof Table as Table[Name] extends { readonly isRequired: true } ? never : Name]?: ValueOf<
    Table[Name]
  >;
};

type ValueOf<F> = F extends Field<infer T> ? T : never;

/** Fields with the checks, schemas and meanings of core's options. */
export function pickFields<Table extends Readonly<Record<string, Option<unknown>>>, Name extends keyof Table & string>(
  options: Table,
  ...names: readonly Name[]
): { readonly [Key in Name]: Field<OptionValue<Table[Key]>> } {
  const fields = names.map((name) => {
    const { check, default: value, meaning } = options[name]!;
    const schema = { ...check.schema, ...(typeof value === 'number' && { default: value }) };
    // JSON has no dates.
    return [name, { check: check === dateCheck ? isoDateCheck : check, schema, meaning }];
  });
  return Object.fromEntries(fields) as { readonly [Key in Name]: Field<OptionValue<Table[Key]>> };
}

/** All fields of core's options, except some. A new option of core becomes a field of requests: name it if callers must not set it. */
export function fieldsExcept<
  Table extends Readonly<Record<string, Option<unknown>>>,
  Name extends keyof Table & string = never,
>(
  options: Table,
  ...except: readonly Name[]
): { readonly [Key in Exclude<keyof Table & string, Name>]: Field<OptionValue<Table[Key]>> } {
  const names = Object.keys(options).filter((name) => !(except as readonly string[]).includes(name));
  return pickFields(options, ...(names as Exclude<keyof Table & string, Name>[]));
}

type OptionValue<O> = O extends Option<infer T> ? Exclude<T, null | undefined> : never;

/** An object with fields of its own. */
export function objectOf<Table extends FieldTable>(table: Table): Check<FieldValues<Table>> {
  return {
    expects: 'an object',
    parse: (value, path) => {
      const errors = new ValidationErrors();
      const values = readObject(table, value, path, errors);
      errors.throwNested();
      return values;
    },
  };
}

/** A list of objects, each checked on its own. */
export function listOfObjects<T>(member: Check<T>, lengthMax: number): Check<readonly T[]> {
  return {
    expects: `a list of at most ${lengthMax}`,
    parse: (value, path) => {
      if (!Array.isArray(value) || value.length > lengthMax) {
        return undefined;
      }
      const errors = new ValidationErrors();
      const members = value.map((each: unknown, index) => errors.check(member, each, `${path}[${index}]`) as T);
      errors.throwNested();
      return members;
    },
  };
}

/** @throws ApiError 400 that names every wrong field. */
export function readBody<Table extends FieldTable>(table: Table, body: unknown): FieldValues<Table> {
  const errors = new ValidationErrors();
  const values = readObject(table, body, '', errors);
  errors.throwIfAny();
  return values;
}

/** @throws ApiError 400 that names every wrong parameter. */
export function readQuery<Table extends FieldTable>(table: Table, query: URLSearchParams): FieldValues<Table> {
  const errors = new ValidationErrors();
  const fields = fieldsByWireName(table);
  const given = new Map<string, unknown>();
  for (const [name, texts] of groupByName(query)) {
    const field = fields.get(name)?.field;
    if (texts.length > 1 && !field?.isRepeatable) {
      errors.add(shorten(name), 'given more than once');
    }
    const values = texts.map((text) => (field ? parseText(text, field.schema) : text));
    given.set(name, values.length > 1 && field?.isRepeatable ? values : values[0]);
  }
  const values = readMembers(table, given, '', errors);
  errors.throwIfAny();
  return values;
}

/** In one pass: `getAll` for each of the thousands of names that fit into a URL takes quadratic time. */
function groupByName(query: URLSearchParams): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [name, value] of query) {
    const group = groups.get(name);
    if (group) {
      group.push(value);
    } else {
      groups.set(name, [value]);
    }
  }
  return groups;
}

/** Converts text of a query or a command line to the field's JSON type; leaves other text for the check to reject. */
export function parseText(text: string, { type }: JsonSchema): unknown {
  if (type === 'integer' && /^-?\d{1,15}$/.test(text)) {
    return Number(text);
  }
  return type === 'boolean' && (text === 'true' || text === 'false') ? text === 'true' : text;
}

/** A date, a time with optional seconds and fraction, and a zone. */
const ISO_DATE = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})$/;

/** A moment as ISO 8601 text. Without a zone, each machine would read another moment. */
const isoDateCheck: Check<Date> = {
  expects: "ISO 8601 text with a zone, such as '2030-01-31T09:00:00.000Z'",
  parse: (value, path) => {
    const [text, day, minute, second = '00', fraction = ''] =
      ISO_DATE.exec(typeof value === 'string' ? value : '') ?? [];
    if (text === undefined) {
      return undefined;
    }
    // A date that does not exist comes back as another one.
    const plain = `${day}T${minute}:${second}.${fraction.padEnd(3, '0').slice(0, 3)}Z`;
    const local = new Date(plain);
    const isReal = !Number.isNaN(local.getTime()) && local.toISOString() === plain;
    return isReal ? dateCheck.parse(new Date(text), path) : undefined;
  },
};

/** A request of 1,000 jobs could have thousands. */
const ERRORS_MAX = 20;
/** Callers choose the names of unknown fields, and the response repeats them. */
const NAME_LENGTH_MAX = 100;

/** Errors of the parts of a field. */
class NestedErrors extends Error {
  constructor(readonly byField: FieldErrors) {
    super('several fields are wrong');
  }
}

/** Collects what is wrong with a request. */
class ValidationErrors {
  private readonly byField = new Map<string, string>();

  get isFull(): boolean {
    return this.byField.size >= ERRORS_MAX;
  }

  add(field: string, reason: string): void {
    if (!this.byField.has(field) && !this.isFull) {
      this.byField.set(field, reason);
    }
  }

  /** The value in its final form; `undefined` when the check rejects it. */
  check<T>(check: Check<T>, value: unknown, path: string): T | undefined {
    try {
      const final = check.parse(value, path);
      if (final === undefined) {
        this.add(path, `expected ${check.expects}, got ${describe(value)}`);
      }
      return final;
    } catch (error) {
      if (error instanceof NestedErrors) {
        Object.entries(error.byField).forEach(([field, reason]) => this.add(field, reason));
      } else if (error instanceof InvalidOptionsError) {
        // Names a member of a list.
        this.add(path, error.reason);
      } else {
        throw error;
      }
      return undefined;
    }
  }

  throwNested(): void {
    if (this.byField.size > 0) {
      throw new NestedErrors(Object.fromEntries(this.byField));
    }
  }

  throwIfAny(): void {
    if (this.byField.size > 0) {
      throw invalidRequest(Object.fromEntries(this.byField));
    }
  }
}

function readObject<Table extends FieldTable>(
  table: Table,
  value: unknown,
  path: string,
  errors: ValidationErrors,
): FieldValues<Table> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    errors.add(path || 'body', `expected an object, got ${describe(value)}`);
    return {} as FieldValues<Table>;
  }
  return readMembers(table, Object.entries(value), path, errors);
}

function readMembers<Table extends FieldTable>(
  table: Table,
  members: Iterable<readonly [string, unknown]>,
  path: string,
  errors: ValidationErrors,
): FieldValues<Table> {
  const fields = fieldsByWireName(table);
  const found = new Map<string, unknown>();
  for (const [spelling, value] of members) {
    if (errors.isFull) {
      break;
    }
    const name = fields.get(spelling)?.name;
    if (name === undefined) {
      const known = Object.keys(table).map(toWireName);
      errors.add(join(path, shorten(spelling)), `unknown field${suggestName(shorten(spelling), known)}`);
    } else if (found.has(name)) {
      errors.add(join(path, toWireName(name)), `given twice, as ${toWireName(name)} and ${name}`);
    } else {
      found.set(name, value);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(table)) {
    const fieldPath = join(path, toWireName(name));
    if (found.has(name)) {
      values[name] = errors.check(field.check, found.get(name), fieldPath);
    } else if (field.isRequired) {
      errors.add(fieldPath, `missing; expected ${field.check.expects}`);
    }
  }
  return values as FieldValues<Table>;
}

/** Every accepted spelling, with its field. */
function fieldsByWireName(table: FieldTable): ReadonlyMap<string, { readonly name: string; readonly field: Field }> {
  const entries = Object.entries(table).flatMap(([name, field]) => {
    const spellings = field.acceptsCamelCase ? [toWireName(name), name] : [toWireName(name)];
    return spellings.map((spelling) => [spelling, { name, field }] as const);
  });
  return new Map(entries);
}

function shorten(name: string): string {
  return name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
}

function join(path: string, name: string): string {
  return path ? `${path}.${name}` : name;
}

function describe(value: unknown): string {
  return value === undefined ? 'nothing' : describeValue(value);
}
