import type { HttpServer } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import type { AdapterDoors } from './adapter-doors.js';
import type { DoorMark } from './door-mark.js';
import { doorMarkOf } from './door-mark.js';
import { ExpressDoors } from './express-doors.js';
import { FastifyDoors } from './fastify-doors.js';
import type { HttpDoor } from './http-exchange.js';

type Registration = (...args: unknown[]) => unknown;

/** The ways in which Nest registers a route with its adapter. */
const REGISTRATIONS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'all'] as const;

/**
 * Puts doors in the place of the routes that are marked with them. Nest comes to the adapter with each route when the
 * application starts, after all middleware: a marked one is turned back there, and the door opened at its path. So the
 * path is Nest's own, whatever prefix it has; and what Nest puts around routes, global enhancers, is not around a door.
 */
@Injectable()
export class HttpMount {
  private readonly paths = new Map<HttpDoor, string>();
  private doors: AdapterDoors | undefined;

  constructor(
    @Inject(HttpAdapterHost) host: HttpAdapterHost,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {
    whenGiven(host, () => this.takeOver(host.httpAdapter as HttpServer | null));
  }

  /** Whether requests can come at all. */
  get hasAdapter(): boolean {
    return this.doors !== undefined;
  }

  /** Where a door is, with the global prefix; `undefined` as long as the application has not started. */
  pathOf(door: HttpDoor): string | undefined {
    return this.paths.get(door);
  }

  private takeOver(adapter: HttpServer | null): void {
    if (!adapter) {
      return;
    }
    this.doors = doorsOf(adapter);
    const methods = adapter as unknown as Record<string, Registration>;
    for (const name of REGISTRATIONS) {
      const register = methods[name]!.bind(adapter);
      methods[name] = (...args) => {
        const mark = doorMarkOf(args.at(-1));
        return mark ? this.openOnce(args[0] as string, mark) : register(...args);
      };
    }
  }

  private openOnce(routePath: string, { door: token, path }: DoorMark): void {
    const door = this.moduleRef.get<HttpDoor>(token, { strict: false });
    if (!this.paths.has(door)) {
      const base = routePath.slice(0, routePath.length - path.length).replace(/\/$/, '');
      this.paths.set(door, base);
      this.doors!.open(base, door);
    }
  }
}

/** Calls back when the host has its adapter: in a test's module it has none yet, and in an application context never. */
function whenGiven(host: HttpAdapterHost, tell: () => void): void {
  const { init$ } = host as Partial<HttpAdapterHost>;
  if (init$) {
    init$.subscribe(tell);
  } else if (host.httpAdapter as HttpServer | undefined) {
    tell();
  } else {
    // Nest before 11.1.5 tells nobody. The accessor of the class is covered until it is used.
    Object.defineProperty(host, 'httpAdapter', {
      configurable: true,
      get: () => undefined,
      set: (adapter: HttpServer) => {
        Reflect.deleteProperty(host, 'httpAdapter');
        Object.assign(host, { httpAdapter: adapter });
        tell();
      },
    });
  }
}

function doorsOf(adapter: HttpServer): AdapterDoors {
  const type = adapter.getType();
  switch (type) {
    case 'express':
      return new ExpressDoors(adapter as never);
    case 'fastify':
      return new FastifyDoors(adapter as never);
    default:
      throw new InvalidOptionsError(
        'http',
        `expected Express or Fastify below Nest, got ${type}; false mounts no routes`,
      );
  }
}
