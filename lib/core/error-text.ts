import { cutToBytes, isDate, toStorableText } from './text.js';

/** Upper bound of `lastError` and of a message in `errors`, in bytes of UTF-8. */
export const ERROR_MESSAGE_BYTES_MAX = 8 * 1024;
/** Upper bound of a stack in `errors`, in bytes of UTF-8. One row holds up to twenty stacks. */
export const ERROR_STACK_BYTES_MAX = 8 * 1024;

/** Upper bound of the causes that a message includes. */
const CAUSES_MAX = 5;
/** At least three characters: a minifier gives classes shorter names. */
const CLASS_NAME = /^[A-Za-z_$][\w$]{2,99}$/;
/** Upper bound of the errors of an AggregateError that are read. Many of them can be the same. */
const ERRORS_MAX = 100;

/** The error of a failed attempt, ready to store: bounded, and without characters that a `jsonb` column rejects. */
export interface Failure {
  /** Messages of the error and its causes. At most 8 KiB. */
  readonly message: string;
  /** At most 8 KiB; `null` if the thrown value has no stack. */
  readonly stack: string | null;
}

/** Replaces an error that the database rejected. */
export const UNRECORDABLE_FAILURE: Failure = {
  message: 'the attempt failed; the database rejected the text of its error',
  stack: null,
};

/** Converts any value that a handler threw to a {@link Failure}. Never throws. */
export function toFailure(thrown: unknown): Failure {
  try {
    const chain = collectCauses(thrown);
    return {
      message: bound(chain.reduce(appendMessage, ''), ERROR_MESSAGE_BYTES_MAX),
      stack: joinStacks(chain),
    };
  } catch {
    // A getter or a toString that throws.
    return { message: 'the handler threw a value that cannot be described', stack: null };
  }
}

/** Returns the message of a thrown value of any type. Errors are recognised by shape, because each realm has its own class. */
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
      // An AggregateError, such as a refused connection to `localhost`, has no message of its own.
      return Array.isArray(errors) && errors.length > 0 ? `${name}: ${toErrorMessage(errors[0])}` : name;
    }
  }
  return `thrown value: ${describeValue(thrown)}`;
}

/** Describes a received value briefly, for "expected …, got …". Never throws. */
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

type ErrorMember = 'cause' | 'constructor' | 'errors' | 'message' | 'name' | 'stack';

/** A thrown value, or one of its causes. */
interface Link {
  readonly value: unknown;
  /** Separator before its message: `: ` for the cause of the previous link, `; ` for a further cause of an earlier one. */
  readonly joint: ': ' | '; ';
}

/** Returns the thrown value and its causes, each followed by its own causes. */
function collectCauses(thrown: unknown): Link[] {
  const chain: Link[] = [];
  const add = (value: unknown, joint: Link['joint']): void => {
    if (chain.length > CAUSES_MAX || chain.some((link) => link.value === value)) {
      return;
    }
    const length = chain.push({ value, joint });
    readCauses(value).forEach((cause) => add(cause, chain.length === length ? ': ' : '; '));
  };
  add(thrown, ': ');
  return chain;
}

/** Returns the cause of an error and the errors of an AggregateError, without those that have no message. */
function readCauses(value: unknown): unknown[] {
  return [readMember(value, 'cause'), ...readErrors(value)].filter(hasMessage);
}

/** Returns the errors of an AggregateError: a server that refuses on two addresses throws one without a message. */
function readErrors(value: unknown): unknown[] {
  const errors = readMember(value, 'errors');
  // Validators put plain objects into `errors` and repeat them in their message.
  return Array.isArray(errors) ? errors.slice(0, ERRORS_MAX).filter((each) => readMember(each, 'stack')) : [];
}

function hasMessage(cause: unknown): boolean {
  const message = typeof cause === 'string' ? cause : readMember(cause, 'message');
  return (typeof message === 'string' && message !== '') || readErrors(cause).length > 0;
}

/** Appends the message of a cause, unless the text contains it already: many errors repeat the message of their cause. */
function appendMessage(text: string, { value, joint }: Link): string {
  const message = toErrorMessage(value);
  const isRepeated = text.length > ERROR_MESSAGE_BYTES_MAX || delimit(text).includes(delimit(message));
  return text === '' ? message : isRepeated ? text : `${text}${joint}${message}`;
}

function delimit(text: string): string {
  return `: ${text}: `.replaceAll('; ', ': ');
}

function joinStacks(chain: readonly Link[]): string | null {
  const [own, ...causes] = chain.map(({ value }) => readStack(value));
  if (own === undefined) {
    return null;
  }
  const texts = causes.filter((stack) => stack !== undefined).map((stack) => `\n[cause]: ${stack}`);
  return bound(own + texts.join(''), ERROR_STACK_BYTES_MAX);
}

/** A stack begins with `Error` if the class of the error has no name when V8 writes the stack. Then this writes the name of the class. */
function readStack(thrown: unknown): string | undefined {
  const stack = readMember(thrown, 'stack');
  if (typeof stack !== 'string') {
    return undefined;
  }
  const isUnnamed = /^Error(?=[:\n]|$)/.test(stack);
  return isUnnamed ? `${readClassName(thrown)}${stack.slice('Error'.length)}` : stack;
}

function readClassName(error: unknown): string {
  const own = readMember(error, 'name');
  const name = own === 'Error' ? readMember(readMember(error, 'constructor'), 'name') : own;
  return typeof name === 'string' && CLASS_NAME.test(name) ? name : 'Error';
}

/** Returns `undefined` for a getter that throws, so that the other members are still read. */
function readMember(value: unknown, name: ErrorMember): unknown {
  try {
    return (typeof value === 'object' && value !== null) || typeof value === 'function'
      ? (value as Record<string, unknown>)[name]
      : undefined;
  } catch {
    return undefined;
  }
}

function bound(text: string, bytesMax: number): string {
  return cutToBytes(toStorableText(text), bytesMax);
}
