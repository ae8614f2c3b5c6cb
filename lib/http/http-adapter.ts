/**
 * What differs between Express and Fastify: requests, responses, body parsers and the paths of registered routes. The rest
 * of this folder works on both.
 */
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { HttpServer } from '@nestjs/common';
import { Injectable, SetMetadata } from '@nestjs/common';
import { InvalidOptionsError } from '../core/errors.js';
import { BAD_ADAPTER } from './http.messages.js';
import { discardUnreadBody } from './request-body.js';

/** An Express or Fastify request. */
export interface HttpRequest {
  readonly method: string;
  /** The path and query that the caller sent. */
  readonly originalUrl: string;
  /** `originalUrl` without the path under which another application mounts this one. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly params: Readonly<Record<string, string>>;
  /** Set by a platform that reads the body before the application does. */
  readonly body?: unknown;
  /** Fastify only. */
  readonly raw?: IncomingMessage;
}

type ExpressResponse = ServerResponse & { readonly req: IncomingMessage & HttpRequest };

interface FastifyReply {
  readonly raw: ServerResponse;
  readonly request: HttpRequest;
  readonly sent: boolean;
  code(status: number): FastifyReply;
  headers(headers: object): FastifyReply;
  getHeaders(): Record<string, number | string | string[] | undefined>;
  send(body?: Buffer): FastifyReply;
  hijack(): FastifyReply;
}

/** An Express response or a Fastify reply. */
export type HttpResponse = ExpressResponse | FastifyReply;

/** A complete response. */
export interface CompleteResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** On every response of the API: no cache stores it, and no browser guesses its type. */
export const API_HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
};

/** Sends JSON. */
export function sendJson(
  response: HttpResponse,
  status: number,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const all = { ...API_HEADERS, 'Content-Type': 'application/json; charset=utf-8', ...headers };
  return send(response, { status, headers: all, body: Buffer.from(JSON.stringify(value), 'utf8') });
}

/** Sends 204. */
export function sendNothing(response: HttpResponse): Promise<void> {
  return send(response, { status: 204, headers: API_HEADERS, body: undefined });
}

/** Sends a response, unless a response was already sent. Node sends no body to HEAD requests. */
export async function send(response: HttpResponse, { status, headers, body }: CompleteResponse): Promise<void> {
  const request = 'raw' in response ? response.request : response.req;
  await discardUnreadBody(request.headers, getBody(request));
  if ('raw' in response) {
    if (!response.sent) {
      void response.code(status).headers(headers).send(body);
    }
  } else if (!response.headersSent) {
    response.shouldKeepAlive &&= isListening(response.req);
    const contentLength: Record<string, string> = body ? { 'Content-Length': String(body.length) } : {};
    response.writeHead(status, { ...headers, ...contentLength }).end(body);
  }
}

/** Ends a response whose headers were sent, as Nest does after an error. @returns `false` if it can still be sent. */
export function endStartedResponse(response: HttpResponse): boolean {
  const isStarted = 'raw' in response ? response.sent : response.headersSent;
  if (isStarted) {
    ('raw' in response ? response.raw : response).end();
  }
  return isStarted;
}

/**
 * Starts a stream of events. Its connection is not kept alive: reuse saves nothing, as a client that aborts a `fetch` opens a new
 * connection, and a server that closes would wait for the old one.
 */
export function openStream(response: HttpResponse, headers: Readonly<Record<string, string>>): ServerResponse {
  ('raw' in response ? response.raw : response).shouldKeepAlive = false;
  return openResponse(response, headers);
}

/**
 * Starts a response with status 200 that is written in parts. Where the connection is kept alive, clients see that a response lacks its
 * end. The `fetch` of Node reads one with `Connection: close` as complete.
 */
export function openResponse(response: HttpResponse, headers: Readonly<Record<string, string>>): ServerResponse {
  if ('raw' in response) {
    const given = response.getHeaders();
    response.hijack();
    return response.raw.writeHead(200, { ...given, ...headers });
  }
  return response.writeHead(200, headers);
}

/** Returns the path in a URL, still percent-encoded. A proxy may send a URL with scheme and host. */
export function toPathname(url: string): string {
  return /^(?:https?:\/\/[^/?#]*)?([^?#]*)/i.exec(url)![1]!;
}

/** The bodies of Fastify requests, as the application's preParsing hooks return them: a hook may decompress a body. */
const unparsedBodies = new WeakMap<IncomingMessage, Readable>();

/** Returns the body of a request. No parser has read it. */
export function getBody(request: HttpRequest): Readable {
  const raw = request.raw ?? (request as unknown as IncomingMessage);
  return unparsedBodies.get(raw) ?? raw;
}

/** During shutdown `send` ends keep-alive: the admin UI's polling would hold its connection open, and the server waits for it. */
function isListening({ socket }: IncomingMessage): boolean {
  return (socket as { server?: Server }).server?.listening !== false;
}

/** The part of the module that a route belongs to. */
type RouteGroup = 'api' | 'ui';

/** The key of `@RouteConfig()` of @nestjs/platform-fastify. Nest copies it to the registered handler, on Express too. */
const ROUTE_CONFIG = '__fastify_route_config__';

/** Marks a controller's method as a route of this module. */
export function RouteOf(group: RouteGroup): MethodDecorator {
  return SetMetadata(ROUTE_CONFIG, { nestjsJobs: group });
}

interface RouteConfig {
  readonly nestjsJobs?: RouteGroup;
}

/**
 * The paths at which Nest has registered the routes, global prefix included. Also keeps the application's body parsers away from
 * the API: its controllers read bodies after the guard, with their own limits.
 */
@Injectable()
export class RegisteredRoutes {
  private findPaths: (group: RouteGroup) => readonly string[] = () => [];

  /** Called after the body parsers and before the routes are registered. @throws InvalidOptionsError for another adapter. */
  bypassBodyParsers(adapter: HttpServer): void {
    switch (adapter.getType()) {
      case 'express':
        return this.bypassOnExpress((adapter as { getInstance(): ExpressInstance }).getInstance());
      case 'fastify':
        return this.bypassOnFastify((adapter as { getInstance(): FastifyInstance }).getInstance());
      default:
        throw new InvalidOptionsError('http', `${BAD_ADAPTER}; got ${adapter.getType()}`);
    }
  }

  /** The path of a group, such as `/v1/api/jobs`; `undefined` before the application has started. */
  findPath(group: RouteGroup): string | undefined {
    const shortestFirst = [...this.findPaths(group)].sort((a, b) => a.length - b.length);
    return shortestFirst[0];
  }

  private bypassOnExpress({ router }: ExpressInstance): void {
    this.findPaths = (group) =>
      router.stack.flatMap(({ route }) => (route && findGroup(route) === group ? [route.path] : []));
    let apiPath: RegExp | undefined;
    const isApi = ({ url }: HttpRequest): boolean => {
      apiPath ??= pathPattern(this.findPath('api'));
      return apiPath?.test(toPathname(url)) ?? false;
    };
    for (const layer of router.stack.filter(({ name }) => BODY_PARSERS.includes(name))) {
      const parse = layer.handle;
      layer.handle = (request, response, next) => (isApi(request) ? next() : parse(request, response, next));
    }
  }

  private bypassOnFastify(instance: FastifyInstance): void {
    const paths: Record<RouteGroup, string[]> = { api: [], ui: [] };
    this.findPaths = (group) => paths[group];
    instance.addHook('onRoute', (route) => {
      const group = route.config?.nestjsJobs;
      if (group) {
        paths[group].push(route.url);
      }
      if (group === 'api') {
        route.preParsing = [route.preParsing ?? [], hideBodyHeaders].flat();
        route.preValidation = [restoreHeaders, route.preValidation ?? []].flat();
      }
    });
  }
}

/** The function names of Express's body parsers. Nest finds the parsers by these names, too. */
const BODY_PARSERS = ['jsonParser', 'urlencodedParser', 'textParser', 'rawParser'];

type ExpressHandler = (request: HttpRequest, response: unknown, next: () => void) => void;

interface ExpressRoute {
  readonly path: string;
  readonly stack: readonly { readonly handle: ExpressHandler }[];
}

interface ExpressInstance {
  readonly router: {
    readonly stack: { readonly name: string; readonly route?: ExpressRoute; handle: ExpressHandler }[];
  };
}

function findGroup({ stack }: ExpressRoute): RouteGroup | undefined {
  const configs = stack.map(({ handle }) => Reflect.getMetadata(ROUTE_CONFIG, handle) as RouteConfig | undefined);
  return configs.find((config) => config?.nestjsJobs)?.nestjsJobs;
}

/**
 * Returns a pattern for a path and all paths below it. It ignores case and accepts any segment for a parameter such as `:tenant`
 * in the global prefix, as Express does.
 */
function pathPattern(path: string | undefined): RegExp | undefined {
  const parts = path?.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[^\w~-]/g, '\\$&')));
  return parts && new RegExp(`^${parts.join('/')}($|/)`, 'i');
}

type FastifyRequest = HttpRequest & { readonly raw: IncomingMessage; headers: IncomingHttpHeaders };
type FastifyHook = (request: FastifyRequest, reply: unknown, ...rest: never[]) => void;

interface FastifyRoute {
  readonly url: string;
  readonly config?: RouteConfig;
  preParsing?: FastifyHook | FastifyHook[];
  preValidation?: FastifyHook | FastifyHook[];
}

interface FastifyInstance {
  addHook(name: 'onRoute', hook: (route: FastifyRoute) => void): void;
}

/** Hides the headers by which Fastify decides whether to parse a body: it has no parsers per route. */
function hideBodyHeaders(
  request: FastifyRequest,
  _reply: unknown,
  body: Readable,
  done: (error: null, body: Readable) => void,
) {
  unparsedBodies.set(request.raw, body);
  request.headers = { 'content-type': undefined, 'content-length': undefined, 'transfer-encoding': undefined };
  done(null, body);
}

function restoreHeaders(request: FastifyRequest, _reply: unknown, done: () => void): void {
  request.headers = request.raw.headers;
  done();
}
