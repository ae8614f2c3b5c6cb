import type { NamedContext } from '../../core/context-option.js';
import { CONTEXT_BYTES_MAX, CONTEXT_METADATA } from '../../core/context-option.js';
import { InvalidOptionsError } from '../../core/errors.js';
import { encodePayload } from '../../core/payload.js';
import type { JobHook } from '../runtime/job-hook.js';

/** Stores the values of the application's contexts with each job, and restores them around its handler. */
export function createContextHook(contexts: readonly NamedContext[]): JobHook {
  return {
    aroundEnqueue: async (call, store) => {
      const values = captureAll(contexts);
      if (values !== undefined) {
        call.members.set(CONTEXT_METADATA, encodePayload(values, CONTEXT_BYTES_MAX, 'context'));
      }
      return store();
    },
    aroundHandler: ([claim, ...others], run) => {
      const values = claim!.metadata?.[CONTEXT_METADATA];
      // The jobs of a batch were enqueued in different contexts.
      return values === undefined || others.length > 0 ? run() : restoreAll(contexts, values, run);
    },
  };
}

/** Returns `undefined` when no context has values. */
function captureAll(contexts: readonly NamedContext[]): unknown {
  const [first] = contexts;
  if (first!.name === null) {
    return captureOne(first!);
  }
  const captured = contexts.map((context) => [context.name!, captureOne(context)] as const);
  const present = captured.filter(([, values]) => values !== undefined);
  return present.length === 0 ? undefined : Object.fromEntries(present);
}

function captureOne(context: NamedContext): unknown {
  const values: unknown = context.capture();
  if (values instanceof Promise) {
    values.catch(() => undefined);
    throw new InvalidOptionsError(`${describe(context)}.capture`, 'must return its values at once, got a promise');
  }
  return values;
}

/** Runs the handler inside the contexts whose values are stored. The first one is outside. */
function restoreAll(contexts: readonly NamedContext[], stored: unknown, run: () => Promise<unknown>): Promise<unknown> {
  return contexts.reduceRight((next, context) => {
    const values = context.name === null ? stored : readMember(stored, context.name);
    return values === undefined ? next : () => restore(context, values, next);
  }, run)();
}

/** Returns the result of `next`, whatever the context's `run` returns. Waits until both have ended. */
async function restore(context: NamedContext, values: unknown, next: () => Promise<unknown>): Promise<unknown> {
  let work: Promise<unknown> | undefined;
  try {
    await context.run(values, () => {
      work ??= Promise.resolve().then(next);
      // The context may wait for something else before it awaits this promise.
      work.catch(() => undefined);
      return work;
    });
  } catch (error) {
    await work?.catch(() => undefined);
    throw error;
  }
  if (!work) {
    throw new InvalidOptionsError(`${describe(context)}.run`, 'must call next, which runs the handler');
  }
  return work;
}

function describe({ name }: NamedContext): string {
  return name === null ? 'context' : `context.${name}`;
}

/** The stored values may be those of an earlier version of the application. */
function readMember(values: unknown, name: string): unknown {
  return typeof values === 'object' && values !== null && Object.hasOwn(values, name)
    ? (values as Record<string, unknown>)[name]
    : undefined;
}
