import { messageOf } from './errors.js';
import { cutToBytes, storableText } from './text.js';

/** `lastError` and the message of an entry in `errors` are cut to this many bytes of UTF-8. */
export const ERROR_MESSAGE_BYTES_MAX = 8 * 1024;
/** A stack is cut to this many bytes; twenty of them stand in one row. */
export const ERROR_STACK_BYTES_MAX = 8 * 1024;

/** So many causes of an error are told. */
const CAUSES_MAX = 5;

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
export function failureOf(thrown: unknown): Failure {
  try {
    const chain = chainOf(thrown);
    return {
      message: bounded(chain.map(messageOf).reduce(withCause), ERROR_MESSAGE_BYTES_MAX),
      stack: stackOf(chain),
    };
  } catch {
    // A getter or a toString that throws.
    return { message: 'the handler threw a value that cannot be described', stack: null };
  }
}

/** What was thrown, what caused that, and so on, as far as it can be read. */
function chainOf(thrown: unknown): unknown[] {
  const chain = [thrown];
  for (let cause = causeOf(thrown); cause !== undefined && !chain.includes(cause); cause = causeOf(cause)) {
    if (chain.push(cause) > CAUSES_MAX) {
      break;
    }
  }
  return chain;
}

/** The cause of an error, when it says something. */
function causeOf(value: unknown): unknown {
  const cause = memberOf(value, 'cause');
  const message = typeof cause === 'string' ? cause : memberOf(cause, 'message');
  return typeof message === 'string' && message !== '' ? cause : undefined;
}

/** `fetch failed` says nothing, and its cause which server refused. Many errors repeat what their cause says. */
function withCause(text: string, cause: string): string {
  const isSaid = text.length > ERROR_MESSAGE_BYTES_MAX || `: ${text}: `.includes(`: ${cause}: `);
  return isSaid ? text : `${text}: ${cause}`;
}

function stackOf(chain: readonly unknown[]): string | null {
  const [own, ...causes] = chain.map((each) => memberOf(each, 'stack'));
  if (typeof own !== 'string') {
    return null;
  }
  const texts = causes.filter((stack) => typeof stack === 'string').map((stack) => `\n[cause]: ${stack}`);
  return bounded(own + texts.join(''), ERROR_STACK_BYTES_MAX);
}

/** A getter that throws takes nothing from the rest. */
function memberOf(value: unknown, name: 'cause' | 'message' | 'stack'): unknown {
  try {
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  } catch {
    return undefined;
  }
}

function bounded(text: string, bytesMax: number): string {
  return cutToBytes(storableText(text), bytesMax);
}
