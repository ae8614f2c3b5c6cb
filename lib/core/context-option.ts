import { InvalidOptionsError } from './errors.js';
import type { Check } from './option-checks.js';
import { functionCheck, option, readOptions } from './option-checks.js';

/* eslint-disable @typescript-eslint/no-explicit-any -- the application knows the type of its values */

/** Carries values of the caller, such as a tenant or a request id, from an enqueue to the handler. */
export interface ContextOptions {
  /**
   * Returns values that JSON can store, at most 4 KiB, or `undefined` to store nothing. It must not return a promise. Called once by
   * each `enqueue`, `enqueueAt`, `enqueueTx` and `enqueueMany`. If it throws, the call rejects with that error.
   */
  capture(): any;
  /**
   * Calls `next`, which runs the guards and the handler, and returns its result. Called for each attempt of a job that has values. If it
   * throws or does not call `next`, the attempt fails.
   */
  run(values: any, next: () => Promise<unknown>): unknown;
}

/* eslint-enable @typescript-eslint/no-explicit-any */

/** One context of the option `context`. */
export interface NamedContext extends ContextOptions {
  /** Key of its values in `metadata.$context`; `null`: its values are all of `$context`. */
  readonly name: string | null;
}

/** The member of `metadata` that holds the values of the contexts. */
export const CONTEXT_METADATA = '$context';
/** Largest JSON text of the values of all contexts, in bytes of UTF-8. */
export const CONTEXT_BYTES_MAX = 4_096;

const unset = (): never => {
  throw new Error('not set');
};

const contextTable = {
  capture: option<ContextOptions['capture']>(unset, functionCheck('a function')),
  run: option<ContextOptions['run']>(unset, functionCheck('a function')),
};

/** Accepts one context, or several by name. Converts them to a list. */
export const contextCheck: Check<readonly NamedContext[]> = {
  expects: 'an object with the functions capture and run, or such objects by name',
  parse: (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return undefined;
    }
    const isOne = Object.keys(contextTable).some(
      (name) => typeof (value as Partial<ContextOptions>)[name as 'run'] === 'function',
    );
    const contexts = isOne
      ? [readContext(value, path, null)]
      : Object.entries(value).map(([name, each]) => readContext(each, `${path}.${name}`, name));
    return contexts.length > 0 ? Object.freeze(contexts) : undefined;
  },
};

function readContext(given: unknown, path: string, name: string | null): NamedContext {
  const context = readOptions(contextTable, given, path);
  const missing = Object.entries(context).find(([, each]) => each === unset);
  if (missing) {
    throw new InvalidOptionsError(`${path}.${missing[0]}`, 'expected a function, got none');
  }
  return Object.freeze({ name, ...context });
}
