import type { Type } from '@nestjs/common';
import type { ApiMethod, ApiRouteDescription } from './api-route.js';
import { decodedPart } from './request-url.js';

/** A route with the method that answers it. */
export interface ApiRouteEntry {
  readonly description: ApiRouteDescription;
  readonly controller: Type<object>;
  readonly handler: ApiMethod;
  /** Calls the method on its controller. */
  readonly run: ApiMethod;
}

/** The route that a request means, with the id in its path. */
export interface MatchedRoute {
  readonly route: ApiRouteEntry;
  readonly id: string;
}

/** Finds routes by method and path. */
export class RouteTable {
  readonly descriptions: readonly ApiRouteDescription[];
  private readonly fixed = new Map<string, ApiRouteEntry>();
  /** By what follows the id. */
  private readonly ofJobs = new Map<string, ApiRouteEntry>();

  constructor(readonly routes: readonly ApiRouteEntry[]) {
    this.descriptions = routes.map(({ description }) => description);
    for (const route of routes) {
      const { method, path } = route.description;
      const isOfJob = path.startsWith('/:id');
      (isOfJob ? this.ofJobs : this.fixed).set(`${method} ${isOfJob ? path.slice('/:id'.length) : path}`, route);
    }
  }

  /** `path` percent-encoded as it came. HEAD asks for what GET would give. */
  find(method: string, path: string): MatchedRoute | undefined {
    const verb = method === 'HEAD' ? 'GET' : method;
    const fixed = this.fixed.get(`${verb} ${path}`);
    if (fixed) {
      return { route: fixed, id: '' };
    }
    const [, part, rest] = /^\/([^/]+)(\/.*)?$/s.exec(path) ?? [];
    const id = part === undefined ? undefined : decodedPart(part);
    const route = this.ofJobs.get(`${verb} ${rest ?? ''}`);
    return route && id !== undefined ? { route, id } : undefined;
  }
}
