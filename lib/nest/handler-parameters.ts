import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import { Job } from '../core/job.js';
import { BODY_PARAMETER, ROUTE_ARGUMENTS_METADATA } from './decorators/payload.decorator.js';
import * as messages from './jobs.messages.js';

/**
 * Checks that a handler's method takes the job alone, or the jobs of a batch, or that each of its parameters has a decorator.
 *
 * @param method the decorated function.
 * @param declared the option `parameters` of `@JobHandler`.
 * @param isBatch whether the handler takes the jobs of a batch.
 * @throws InvalidOptionsError that names class and method.
 */
export function assertParameters(
  instance: object,
  name: string,
  method: object,
  declared: unknown,
  isBatch: boolean,
): void {
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
    (decorated.size === 0
      ? describeUndecorated(count, declared, isBatch ? undefined : readFirstClass(instance, name))
      : describePartlyDecorated(count, decorated)) ??
    (isBatch ? describeNoArray(instance, name, count, decorated) : undefined);
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

/** A batch handler takes an array. An interface such as `JobBatch` has no class, so only other classes are certain mistakes. */
function describeNoArray(
  instance: object,
  name: string,
  count: number,
  decorated: ReadonlySet<number>,
): string | undefined {
  const types = Reflect.getMetadata('design:paramtypes', instance, name) as readonly unknown[] | undefined;
  if ((types?.length ?? count) === 0) {
    return messages.NO_BATCH_PARAMETER;
  }
  const arrays = decorated.size === 0 ? [0] : findPayloads(instance, name);
  const other = arrays
    .map((index) => types?.[index])
    .find((type) => typeof type === 'function' && type !== Object && type !== Array);
  return other === undefined ? undefined : messages.batchParameter((other as () => unknown).name);
}

/** Returns the indexes of the parameters that have a decorator. */
function findDecorated(instance: object, name: string): ReadonlySet<number> {
  const metadata = Reflect.getMetadata(ROUTE_ARGUMENTS_METADATA, instance.constructor, name) as object | undefined;
  return new Set(Object.values(metadata ?? {}).map(({ index }: { index: number }) => index));
}

/** Returns the indexes of the parameters with `@Payload()`. */
function findPayloads(instance: object, name: string): readonly number[] {
  const metadata = Reflect.getMetadata(ROUTE_ARGUMENTS_METADATA, instance.constructor, name) as object | undefined;
  return Object.entries(metadata ?? {})
    .filter(([key]) => key.startsWith(`${BODY_PARAMETER}:`))
    .map(([, { index }]: [string, { index: number }]) => index);
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
