import { applyDecorators, HttpCode, RequestMapping, RequestMethod } from '@nestjs/common';
import type { AccessKind } from './caller.js';
import type { Visit } from './access.js';
import { AnsweredBy } from './door-mark.js';
import type { HttpAnswer, HttpExchange } from './http-exchange.js';
import type { JsonSchema } from './json-schema.js';
import { JOBS_API } from './http.tokens.js';
import type { FieldTable, FieldValues } from './request-fields.js';

const ROUTE = 'nestjs-jobs:api-route';

/** A route of the API, described once: for Nest, for the door that answers it, and for `openapi.json`. */
export interface ApiRouteDescription {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Empty, or with a slash in front. */
  readonly path: string;
  /** What a caller must be allowed to do. */
  readonly access: AccessKind;
  readonly summary: string;
  /** Parameters of the query; others are refused. */
  readonly query?: FieldTable;
  /** Members of the body, and the name of their schema; absent: no body. */
  readonly body?: { readonly name?: string; readonly fields: FieldTable; readonly isOptional?: boolean };
  /** Largest body in bytes. */
  readonly bodyBytesMax?: number;
  /** Takes a header `Idempotency-Key`, and says where the job is. */
  readonly isIdempotent?: boolean;
  /** What it answers when all is well, by status: meaning, and schema of the body. */
  readonly answers: Readonly<
    Record<number, { readonly meaning: string; readonly schema?: JsonSchema; readonly type?: string }>
  >;
  /** Errors of its own, beside those that any route has. */
  readonly errors?: readonly number[];
}

/** A request as a method of a controller is given it: judged and checked. */
export interface ApiCall<Body extends FieldTable = FieldTable, Query extends FieldTable = FieldTable> {
  readonly exchange: HttpExchange;
  readonly visit: Visit;
  /** All routes of the API. */
  readonly routes: readonly ApiRouteDescription[];
  /** The id in the path; empty where there is none. */
  readonly id: string;
  readonly query: FieldValues<Query>;
  readonly body: FieldValues<Body>;
}

/** A whole answer, or `undefined` when the method has answered itself. */
export type ApiMethod = (call: ApiCall<never, never>) => Promise<HttpAnswer | undefined>;

/** Makes a method of a controller a route of the API. */
export function ApiRoute(description: ApiRouteDescription): MethodDecorator {
  const { method, path, answers } = description;
  return applyDecorators(
    RequestMapping({ method: RequestMethod[method], path: path || '/' }),
    HttpCode(Number(Object.keys(answers)[0])),
    AnsweredBy(JOBS_API, path),
    (_target: object, _name: string | symbol, descriptor: PropertyDescriptor) =>
      Reflect.defineMetadata(ROUTE, description, descriptor.value as object),
  );
}

/** The description of a method that is a route. */
export function apiRouteOf(method: unknown): ApiRouteDescription | undefined {
  return typeof method === 'function' ? (Reflect.getMetadata(ROUTE, method) as ApiRouteDescription) : undefined;
}
