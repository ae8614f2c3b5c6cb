import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { Check } from '../core/option-checks.js';
import { suggestName } from '../core/suggestion.js';
import type { FieldComplaints } from './api-error.js';
import { invalidRequest } from './api-error.js';
import type { JsonSchema } from './json-schema.js';

/** One member of a request: what it may be, said for the code and for `openapi.json`. */
export interface Field<T> {
  readonly check: Check<T>;
  readonly schema: JsonSchema;
  readonly meaning: string;
  readonly isRequired?: boolean;
  /** Another spelling that is taken, too. */
  readonly alias?: string;
  /** In a query: it may be repeated. */
  readonly isRepeatable?: boolean;
}

/** The members of a request by their names on the wire. */
export type FieldTable = Readonly<Record<string, Field<unknown>>>;

/** What a request held, checked; `undefined` where nothing was given. */
export type FieldValues<Table extends FieldTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Field<infer T>
    ? Table[Name] extends { readonly isRequired: true }
      ? T
      : T | undefined
    : never;
};

/** So many complaints are enough for a request of a thousand jobs. */
const COMPLAINTS_MAX = 20;

/** Names come from outside, and go back in the answer. */
const NAME_LENGTH_MAX = 100;

/** @throws ApiError 400 that names every field that is wrong. */
export function readBody<Table extends FieldTable>(table: Table, body: unknown): FieldValues<Table> {
  const complaints = new Complaints();
  const values = readObject(table, body, '', complaints);
  complaints.refuse();
  return values;
}

/** @throws ApiError 400 that names every parameter that is wrong. */
export function readQuery<Table extends FieldTable>(table: Table, query: URLSearchParams): FieldValues<Table> {
  const complaints = new Complaints();
  const given = Object.create(null) as Record<string, unknown>;
  for (const [name, values] of valuesByName(query)) {
    const isMany = Object.hasOwn(table, name) && table[name]!.isRepeatable === true;
    if (values.length > 1 && !isMany) {
      complaints.add(shortened(name), 'given more than once');
    }
    given[name] = values.length > 1 && isMany ? values : values[0];
  }
  const values = readMembers(table, given, '', complaints);
  complaints.refuse();
  return values;
}

/** In one pass: `getAll` for each of the thousands of names that fit into a URL would look at all of them each time. */
function valuesByName(query: URLSearchParams): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const [name, value] of query) {
    const earlier = values.get(name);
    if (earlier) {
      earlier.push(value);
    } else {
      values.set(name, [value]);
    }
  }
  return values;
}

/** An object with fields of its own. */
export function objectField<Table extends FieldTable>(table: Table): Check<FieldValues<Table>> {
  return {
    expects: 'an object',
    parse: (value, path) => {
      const complaints = new Complaints();
      const values = readObject(table, value, path, complaints);
      complaints.raise();
      return values;
    },
  };
}

/** Several at once, from a check of a part. */
class FieldErrors extends Error {
  constructor(readonly complaints: FieldComplaints) {
    super('several fields are wrong');
  }
}

/** A list of objects; each is checked by itself. */
export function listField<T>(member: Check<T>, lengthMax: number): Check<readonly T[]> {
  return {
    expects: `a list of at most ${lengthMax}`,
    parse: (value, path) => {
      if (!Array.isArray(value) || value.length > lengthMax) {
        return undefined;
      }
      const complaints = new Complaints();
      const members = value.map((each: unknown, index) => complaints.judge(member, each, `${path}[${index}]`) as T);
      complaints.raise();
      return members;
    },
  };
}

/** What is wrong with a request, so far. */
class Complaints {
  private readonly byField = new Map<string, string>();

  /** Nothing more would be told. */
  get isFull(): boolean {
    return this.byField.size >= COMPLAINTS_MAX;
  }

  add(field: string, reason: string): void {
    if (!this.byField.has(field) && !this.isFull) {
      this.byField.set(field, reason);
    }
  }

  /** The value in its final form, or `undefined` with a complaint. */
  judge<T>(check: Check<T>, value: unknown, path: string): T | undefined {
    try {
      const final = check.parse(value, path);
      if (final === undefined) {
        this.add(path, `expected ${check.expects}, got ${given(value)}`);
      }
      return final;
    } catch (error) {
      if (error instanceof FieldErrors) {
        Object.entries(error.complaints).forEach(([field, reason]) => this.add(field, reason));
      } else if (error instanceof InvalidOptionsError) {
        // Of a member of a list.
        this.add(path, error.reason);
      } else {
        throw error;
      }
      return undefined;
    }
  }

  /** Tells whoever reads the whole. */
  raise(): void {
    if (this.byField.size > 0) {
      throw new FieldErrors(this.all());
    }
  }

  /** Tells the caller. */
  refuse(): void {
    if (this.byField.size > 0) {
      throw invalidRequest(this.all());
    }
  }

  /** Without a prototype of consequence: names come from outside. */
  private all(): FieldComplaints {
    return Object.fromEntries(this.byField);
  }
}

function readObject<Table extends FieldTable>(
  table: Table,
  value: unknown,
  path: string,
  complaints: Complaints,
): FieldValues<Table> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    complaints.add(path || 'body', `expected an object, got ${given(value)}`);
    return {} as FieldValues<Table>;
  }
  return readMembers(table, value as Record<string, unknown>, path, complaints);
}

function readMembers<Table extends FieldTable>(
  table: Table,
  members: Readonly<Record<string, unknown>>,
  path: string,
  complaints: Complaints,
): FieldValues<Table> {
  const names = wireNames(table);
  const found = new Map<string, unknown>();
  for (const [spelling, value] of Object.entries(members)) {
    if (complaints.isFull) {
      break;
    }
    const name = names.get(spelling);
    if (name === undefined) {
      complaints.add(
        place(path, shortened(spelling)),
        `unknown field${suggestName(shortened(spelling), Object.keys(table))}`,
      );
    } else if (found.has(name)) {
      complaints.add(place(path, name), `given twice, as ${name} and ${table[name]!.alias}`);
    } else {
      found.set(name, value);
    }
  }
  const values = Object.entries(table).map(([name, field]) => {
    if (found.has(name)) {
      return [name, complaints.judge(field.check, found.get(name), place(path, name))] as const;
    }
    if (field.isRequired) {
      complaints.add(place(path, name), `missing; expected ${field.check.expects}`);
    }
    return [name, undefined] as const;
  });
  return Object.fromEntries(values) as FieldValues<Table>;
}

/** Every spelling that is taken, and which field it means. */
function wireNames(table: FieldTable): ReadonlyMap<string, string> {
  const aliases = Object.entries(table).flatMap(([name, { alias }]) => (alias ? [[alias, name] as const] : []));
  return new Map([...Object.keys(table).map((name) => [name, name] as const), ...aliases]);
}

function shortened(name: string): string {
  return name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
}

function place(path: string, name: string): string {
  return path ? `${path}.${name}` : name;
}

function given(value: unknown): string {
  return value === undefined ? 'nothing' : describeValue(value);
}
