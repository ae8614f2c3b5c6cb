import { cutToBytes, isDate, toStorableText } from './text.js';

/** `lastError` and the message of an entry in `errors` are cut to this many bytes of UTF-8. */
export const ERROR_MESSAGE_BYTES_MAX = 8 * 1024;
/** A stack is cut to this many bytes; twenty of them stand in one row. */
export const ERROR_STACK_BYTES_MAX = 8 * 1024;

/** So many causes of an error are told. */
const CAUSES_MAX = 5;
/** So many errors of an aggregate are looked at: most may be one and the same. */
const ERRORS_MAX = 100;

/** What a failed attempt left behind, safe to store: bounded, and free of what a `jsonb` column refuses. */
export interface Failure {
  /** What the error and its causes say. At most 8 KiB. */
  readonly message: string;
  /** At most 8 KiB; `null` when what was thrown had none. */
  readonly stack: string | null;
}

/** Written in place of an error that the database refused to take. */
export const UNRECORDABLE_FAILURE: Failure = {
  message: 'the attempt failed; the database refused the text of its error',
  stack: null,
};

/** Describes whatever a handler threw. Never throws itself, however hostile the value. */
export function toFailure(thrown: unknown): Failure {
  try {
    const chain = chainOf(thrown);
    return {
      message: bounded(chain.reduce(withLink, ''), ERROR_MESSAGE_BYTES_MAX),
      stack: stackOf(chain),
    };
  } catch {
    // A getter or a toString that throws.
    return { message: 'the handler threw a value that cannot be described', stack: null };
  }
}

/** One of what was thrown and what that stems from. */
interface Link {
  readonly value: unknown;
  /** What stands before it: it caused the one before, or is another of several that caused one further up. */
  readonly joint: ': ' | '; ';
}

/** What was thrown, and what caused that, as far as it can be read: each is followed by its own causes. */
function chainOf(thrown: unknown): Link[] {
  const chain: Link[] = [];
  const add = (value: unknown, joint: Link['joint']): void => {
    if (chain.length > CAUSES_MAX || chain.some((link) => link.value === value)) {
      return;
    }
    const place = chain.push({ value, joint });
    causesOf(value).forEach((cause) => add(cause, chain.length === place ? ': ' : '; '));
  };
  add(thrown, ': ');
  return chain;
}

/** The cause of an error, and the errors of one that stands for several, when they say something. */
function causesOf(value: unknown): unknown[] {
  return [memberOf(value, 'cause'), ...errorsOf(value)].filter(saysSomething);
}

/** A server that refused at both of its addresses is an error without a message, made of two that have one. */
function errorsOf(value: unknown): unknown[] {
  const errors = memberOf(value, 'errors');
  // Others keep complaints of a form there, which are no errors themselves and stand in the message.
  return Array.isArray(errors) ? errors.slice(0, ERRORS_MAX).filter((each) => memberOf(each, 'stack')) : [];
}

function saysSomething(cause: unknown): boolean {
  const message = typeof cause === 'string' ? cause : memberOf(cause, 'message');
  return (typeof message === 'string' && message !== '') || errorsOf(cause).length > 0;
}

/** `fetch failed` says nothing, and its cause which server refused. Many errors repeat what their cause says. */
function withLink(text: string, { value, joint }: Link): string {
  const said = toErrorMessage(value);
  const isSaid = text.length > ERROR_MESSAGE_BYTES_MAX || between(text).includes(between(said));
  return text === '' ? said : isSaid ? text : `${text}${joint}${said}`;
}

function between(text: string): string {
  return `: ${text}: `.replaceAll('; ', ': ');
}

function stackOf(chain: readonly Link[]): string | null {
  const [own, ...causes] = chain.map(({ value }) => memberOf(value, 'stack'));
  if (typeof own !== 'string') {
    return null;
  }
  const texts = causes.filter((stack) => typeof stack === 'string').map((stack) => `\n[cause]: ${stack}`);
  return bounded(own + texts.join(''), ERROR_STACK_BYTES_MAX);
}

/** A getter that throws takes nothing from the rest. */
function memberOf(value: unknown, name: 'cause' | 'errors' | 'message' | 'stack'): unknown {
  try {
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  } catch {
    return undefined;
  }
}

function bounded(text: string, bytesMax: number): string {
  return cutToBytes(toStorableText(text), bytesMax);
}

/**
 * What a value of any type says about itself, for messages: handlers may throw strings, objects or nothing. Errors are
 * known by their shape, since those of another realm (all of Node's own, under Jest) are no `instanceof Error`.
 */
export function toErrorMessage(thrown: unknown): string {
  if (typeof thrown === 'string') {
    return thrown;
  }
  if (typeof thrown === 'object' && thrown !== null) {
    const { message, name, errors } = thrown as { message?: unknown; name?: unknown; errors?: unknown };
    if (message !== undefined && message !== '') {
      return typeof message === 'string' ? message : describeValue(message);
    }
    if (typeof name === 'string' && name !== '') {
      // An AggregateError says nothing itself; a refused connection to `localhost` is one.
      return Array.isArray(errors) && errors.length > 0 ? `${name}: ${toErrorMessage(errors[0])}` : name;
    }
  }
  return `thrown value: ${describeValue(thrown)}`;
}

/** A short text of what came, for messages that say what was expected and what came. Never throws. */
export function describeValue(value: unknown): string {
  try {
    return describe(value);
  } catch {
    // A revoked proxy, or a toString that throws.
    return 'something that cannot be read';
  }
}

function describe(value: unknown): string {
  if (typeof value === 'string') {
    return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`;
  }
  if (typeof value === 'function') {
    return 'a function';
  }
  if (isDate(value)) {
    return Number.isNaN(value.getTime()) ? 'an invalid date' : `the date ${value.toISOString()}`;
  }
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? 'an array' : 'an object';
  }
  return String(value);
}
