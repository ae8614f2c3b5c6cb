import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';

/** The job to which a payload belongs. */
export interface PayloadOwner {
  readonly id: string;
  readonly topic: string;
}

/* eslint-disable @typescript-eslint/no-explicit-any -- the application knows the type of its values */

/** Converts payloads before they are stored and before a handler receives them, for example to encrypt them. */
export interface PayloadCodec {
  /**
   * Returns the JSON value to store, or a promise of it. If it throws, the enqueue rejects with that error, and nothing is stored.
   *
   * An encoded value should be an object with the member `$encoded`, such as `{ $encoded: 'br', data }`. A process that
   * cannot decode the value recognizes this mark and returns the job to the queue. Without the mark, a process that lacks the codec passes the
   * stored value to the handler.
   *
   * @param payload the payload as JSON gives it back.
   */
  encode(payload: any, owner: PayloadOwner): unknown;
  /**
   * Returns the payload for the handler, or a promise of it. Called in each attempt, within its time limit. If it throws, the attempt
   * fails; an `UnrecoverableError` fails the job; a `MissingKeyError` returns the job to the queue without using a retry.
   *
   * @param stored the value in the row. The job may be older than the codec.
   */
  decode(stored: any, owner: PayloadOwner): unknown;
}

/* eslint-enable @typescript-eslint/no-explicit-any */

/** The option `codec`. The object may have other members, which its functions use. */
export const codecCheck: Check<PayloadCodec> = {
  expects: 'encryptPayloads(…), or an object with the functions encode and decode',
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null) {
      return undefined;
    }
    const members = value as Record<string, unknown>;
    for (const name of ['encode', 'decode']) {
      if (typeof members[name] !== 'function') {
        throw new InvalidOptionsError(`${path}.${name}`, `expected a function, got ${describeValue(members[name])}`);
      }
    }
    return value as PayloadCodec;
  },
};
