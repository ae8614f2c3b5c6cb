import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import { Job } from '../core/job.js';
import { ROUTE_ARGUMENTS_METADATA } from './decorators/payload.decorator.js';
import * as messages from './jobs.messages.js';

/**
 * Checks that a handler's method takes the job alone, or that each of its parameters has a decorator.
 *
 * @param method the decorated function.
 * @param declared the option `parameters` of `@JobHandler`.
 * @throws InvalidOptionsError that names class and method.
 */
export function assertParameters(instance: object, name: string, method: object, declared: unknown): void {
  const location = `${instance.constructor.name}.${name}`;
  if (declared !== undefined && declared !== 'decorated') {
    throw new InvalidOptionsError(
      `handler ${location}: parameters`,
      `expected 'decorated', got ${describeValue(declared)}`,
    );
  }
  // `length` ignores parameters with a default value. It may be 0 if another decorator has replaced the function.
  const count = (method as () => unknown).length;
  const decorated = findDecorated(instance, name);
  const problem =
    decorated.size === 0
      ? describeUndecorated(count, declared, readFirstClass(instance, name))
      : describePartlyDecorated(count, decorated);
  if (problem !== undefined) {
    throw new InvalidOptionsError('@JobHandler', `on ${location}: ${problem}`);
  }
}

function describeUndecorated(count: number, declared: unknown, firstClass: string | undefined): string | undefined {
  if (declared) {
    return messages.NO_DECORATED_PARAMETER;
  }
  if (count > 1) {
    return messages.undecoratedParameters(count);
  }
  return firstClass === undefined ? undefined : messages.payloadParameter(firstClass);
}

function describePartlyDecorated(count: number, decorated: ReadonlySet<number>): string | undefined {
  const index = Array.from({ length: count }, (_, each) => each).find((each) => !decorated.has(each));
  return index === undefined ? undefined : messages.undecoratedParameter(index + 1);
}

/** Returns the indexes of the parameters that have a decorator. */
function findDecorated(instance: object, name: string): ReadonlySet<number> {
  const metadata = Reflect.getMetadata(ROUTE_ARGUMENTS_METADATA, instance.constructor, name) as object | undefined;
  return new Set(Object.values(metadata ?? {}).map(({ index }: { index: number }) => index));
}

/**
 * Returns the class name of the first parameter, if TypeScript emits it (`emitDecoratorMetadata`). Returns `undefined` if the parameter
 * may take the job: an interface or a type, whose class is `Object`, or a `Job`, which has the payload too.
 */
function readFirstClass(instance: object, name: string): string | undefined {
  const types = Reflect.getMetadata('design:paramtypes', instance, name) as readonly unknown[] | undefined;
  const first = types?.[0];
  return typeof first === 'function' && first !== Object && first !== Job ? first.name : undefined;
}
