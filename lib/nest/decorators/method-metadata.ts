import { describeValue } from '../../core/error-text.js';
import { InvalidOptionsError } from '../../core/errors.js';

/* Metadata that method decorators write and the explorer reads. A method may have several entries under a key. */

/** Adds an entry to the class and the name, because another decorator may replace the method. */
export function addMethodMetadata(key: string, target: object, name: string, entry: object): void {
  Reflect.defineMetadata(key, [...readMethodMetadata(key, target, name), entry], target, name);
}

/**
 * Returns the entries of an instance's class and its base classes, by method name. A method that overrides a decorated one has
 * entries only with a decorator of its own.
 */
export function findMethodMetadata<T>(key: string, instance: object): ReadonlyMap<string, readonly T[]> {
  const byName = new Map<string, readonly T[]>();
  let owner = Object.getPrototypeOf(instance) as object | null;
  while (owner) {
    for (const name of Object.getOwnPropertyNames(owner)) {
      byName.set(name, byName.get(name) ?? readMethodMetadata<T>(key, owner, name));
    }
    owner = Object.getPrototypeOf(owner) as object | null;
  }
  return new Map([...byName].filter(([, entries]) => entries.length > 0));
}

function readMethodMetadata<T>(key: string, target: object, name: string): readonly T[] {
  return (Reflect.getOwnMetadata(key, target, name) as T[] | undefined) ?? [];
}

/**
 * Checks that a decorator is on a method, because the explorer finds only methods.
 *
 * @throws InvalidOptionsError
 */
export function assertMethod(
  decorator: string,
  target: object,
  name: string | symbol | undefined,
  value: unknown,
): void {
  const owner = typeof target === 'function' ? target.name : target.constructor.name;
  const location = name === undefined ? owner : `${owner}.${String(name)}`;
  const found = describeNonMethod(target, name, value);
  if (found) {
    throw new InvalidOptionsError(decorator, `on ${location}: expected a method of the class, got ${found}`);
  }
}

function describeNonMethod(target: object, name: string | symbol | undefined, value: unknown): string | undefined {
  if (typeof target === 'function') {
    return name === undefined ? 'the class itself' : 'a static member';
  }
  if (typeof name === 'symbol') {
    return 'one whose name is a symbol';
  }
  if (typeof value === 'function') {
    return undefined;
  }
  return value === undefined ? 'a property or an accessor' : describeValue(value);
}
