import type { InjectionToken, Type } from '@nestjs/common';
import { Controller, VERSION_NEUTRAL } from '@nestjs/common';
import type { HttpDoor } from './http-exchange.js';

const DOOR = 'nestjs-jobs:door';

/** What stands on a route that a door answers. */
export interface DoorMark {
  /** The provider that answers. */
  readonly door: InjectionToken<HttpDoor>;
  /** What this route adds to the path of its controller: empty, or with a slash in front. */
  readonly path: string;
}

/**
 * Marks a route of a controller as answered by a door. Nest plans the route, with its global prefix and for whoever reads
 * the application's routes; requests reach the door instead of the method.
 */
export function AnsweredBy(door: InjectionToken<HttpDoor>, path = ''): MethodDecorator {
  return (_target, _name, descriptor: PropertyDescriptor) => {
    Reflect.defineMetadata(DOOR, { door, path } satisfies DoorMark, descriptor.value as object);
  };
}

/** Nest copies what stands on the method to the function with which it registers the route. */
export function doorMarkOf(handler: unknown): DoorMark | undefined {
  return typeof handler === 'function' ? (Reflect.getMetadata(DOOR, handler) as DoorMark | undefined) : undefined;
}

/** The same controller at a path that an option says, under any version. */
export function controllerAt<T extends Type<object>>(path: string, base: T): T {
  const { [base.name]: Mounted } = { [base.name]: class extends (base as Type<object>) {} };
  Controller({ path, version: VERSION_NEUTRAL })(Mounted!);
  return Mounted as T;
}
