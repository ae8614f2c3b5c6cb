import type { Type } from '@nestjs/common';
import { applyDecorators, HttpCode, RequestMethod, SetMetadata } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { MetadataScanner } from '@nestjs/core';
import type { JsonSchema } from '../core/option-checks.js';
import type { AccessKind } from './access-policy.js';
import { RouteOf } from './http-adapter.js';
import type { FieldTable } from './request-fields.js';

const ROUTE_INFO = 'nestjs-jobs:route-info';

/** Describes a route for the guard and for `openapi.json`. */
interface RouteInfo {
  /** What the caller must be allowed to do. */
  readonly access: AccessKind;
  readonly summary: string;
  /** Parameters of the query; any other is an error. */
  readonly query?: FieldTable;
  /** Members of the body, and the name of its schema. Absent: no body. */
  readonly body?: { readonly name?: string; readonly fields: FieldTable; readonly isOptional?: boolean };
  /** Accepts a header `Idempotency-Key` and responds with `Location`. */
  readonly isIdempotent?: boolean;
  /** Successful responses by status. */
  readonly responses: Readonly<
    Record<
      number,
      { readonly meaning: string; readonly schema?: JsonSchema; readonly type?: string | readonly string[] }
    >
  >;
  /** Further statuses of errors, besides those of every route. */
  readonly errors?: readonly number[];
}

/** A {@link RouteInfo} with the method and the path of its route. */
export interface DescribedRoute extends RouteInfo {
  readonly method: string;
  /** Empty, or with a leading slash. */
  readonly path: string;
}

/** Describes a route of the API: access, fields and responses. */
export function DescribeRoute(info: RouteInfo): MethodDecorator {
  return applyDecorators(
    HttpCode(Number(Object.keys(info.responses)[0])),
    SetMetadata(ROUTE_INFO, info),
    RouteOf('api'),
  );
}

/** Returns the description of a controller's method. */
export function readRouteInfo(method: object): RouteInfo {
  return Reflect.getMetadata(ROUTE_INFO, method) as RouteInfo;
}

/** Returns the routes of controllers, in the order of their methods. */
export function describeRoutes(controllers: readonly Type<object>[]): DescribedRoute[] {
  const scanner = new MetadataScanner();
  return controllers.flatMap(({ prototype }) =>
    scanner.getAllMethodNames(prototype as object).flatMap((name) => {
      const method = (prototype as Record<string, object>)[name]!;
      const info = readRouteInfo(method) as RouteInfo | undefined;
      const path = Reflect.getMetadata(PATH_METADATA, method) as string;
      const verb = RequestMethod[Reflect.getMetadata(METHOD_METADATA, method) as RequestMethod];
      return info ? [{ ...info, method: verb, path: path === '/' ? '' : `/${path}` }] : [];
    }),
  );
}
