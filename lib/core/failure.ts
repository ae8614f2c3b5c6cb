import { messageOf } from './errors.js';
import { cutToBytes, storableText } from './text.js';

/** `lastError` and the message of an entry in `errors` are cut to this many bytes of UTF-8. */
export const ERROR_MESSAGE_BYTES_MAX = 8 * 1024;
/** A stack is cut to this many bytes; twenty of them stand in one row. */
export const ERROR_STACK_BYTES_MAX = 8 * 1024;

/** What a failed attempt left behind, safe to store: bounded, and free of what a `jsonb` column refuses. */
export interface Failure {
  /** At most 8 KiB. */
  readonly message: string;
  /** At most 8 KiB; `null` when what was thrown had none. */
  readonly stack: string | null;
}

/** Written in place of an error or a result that the database refused to take. */
export const UNRECORDABLE_FAILURE: Failure = {
  message: 'the attempt failed; the database refused the text of its error',
  stack: null,
};

/** Describes whatever a handler threw. Never throws itself, however hostile the value. */
export function failureOf(thrown: unknown): Failure {
  try {
    const stack = typeof thrown === 'object' && thrown !== null ? (thrown as { stack?: unknown }).stack : null;
    return {
      message: bounded(messageOf(thrown), ERROR_MESSAGE_BYTES_MAX),
      stack: typeof stack === 'string' ? bounded(stack, ERROR_STACK_BYTES_MAX) : null,
    };
  } catch {
    // A getter or a toString that throws.
    return { message: 'the handler threw a value that cannot be described', stack: null };
  }
}

function bounded(text: string, bytesMax: number): string {
  return cutToBytes(storableText(text), bytesMax);
}
