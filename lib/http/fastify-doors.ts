import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { AdapterDoors } from './adapter-doors.js';
import type { HttpAnswer, HttpDoor, HttpExchange } from './http-exchange.js';
import { requestUrl } from './request-url.js';

/** Fastify's request, as far as it is needed here. */
interface FastifyRequest {
  readonly raw: IncomingMessage;
  readonly headers: IncomingMessage['headers'];
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
}

interface FastifyReply {
  readonly raw: ServerResponse;
  readonly sent: boolean;
  code(status: number): FastifyReply;
  headers(headers: object): FastifyReply;
  getHeaders(): Record<string, number | string | string[] | undefined>;
  send(body?: Buffer): FastifyReply;
  hijack(): FastifyReply;
  callNotFound(): FastifyReply;
}

/** A part of the application with parsers and errors of its own; it inherits the hooks around it. */
interface FastifyInstance {
  register(plugin: (child: FastifyInstance, options: unknown, done: () => void) => void): void;
  removeAllContentTypeParsers(): void;
  addContentTypeParser(
    type: '*',
    parser: (request: FastifyRequest, body: Readable, done: (error: null) => void) => void,
  ): void;
  setErrorHandler(handler: (error: Error, request: FastifyRequest, reply: FastifyReply) => unknown): void;
  route(options: {
    readonly method: readonly string[];
    readonly url: string;
    readonly handler: (request: FastifyRequest, reply: FastifyReply) => unknown;
  }): void;
}

interface FastifyAdapter {
  getInstance(): FastifyInstance;
}

/** OPTIONS is left to the application, which may have something to say about other origins. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Doors in a Fastify application. */
export class FastifyDoors implements AdapterDoors {
  constructor(private readonly adapter: FastifyAdapter) {}

  open(path: string, door: HttpDoor): void {
    this.adapter.getInstance().register((child, _options, done) => {
      const bodies = new WeakMap<IncomingMessage, Readable>();
      const base = beginningOf(path);
      const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
        await door.answer(new FastifyExchange(request, reply, bodies.get(request.raw), base));
        return reply;
      };
      // Nobody parses the body: the door reads it, when it has judged who sends it.
      child.removeAllContentTypeParsers();
      child.addContentTypeParser('*', (request, body, parsed) => {
        bodies.set(request.raw, body);
        parsed(null);
      });
      child.setErrorHandler((error, request, reply) => {
        if ((error as { code?: string }).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
          return handler(request, reply);
        }
        // The application's own, from one of its hooks.
        throw error;
      });
      child.route({ method: METHODS, url: path || '/', handler });
      child.route({ method: METHODS, url: `${path}/*`, handler });
      done();
    });
  }
}

class FastifyExchange implements HttpExchange {
  readonly method: string;
  readonly path: string;
  readonly basePath: string;
  readonly query: URLSearchParams;
  readonly headers: HttpExchange['headers'];
  readonly body: Readable;

  constructor(
    readonly request: FastifyRequest,
    readonly response: FastifyReply,
    body: Readable | undefined,
    base: RegExp,
  ) {
    const { pathname, query } = requestUrl(request.url);
    this.method = request.method;
    this.basePath = base.exec(pathname)?.[0] ?? pathname;
    this.path = pathname.slice(this.basePath.length).replace(/\/$/, '');
    this.query = query;
    this.headers = request.headers;
    this.body = body ?? request.raw;
  }

  get parsedBody(): unknown {
    return this.request.body ?? undefined;
  }

  send({ status, headers, body }: HttpAnswer): void {
    if (this.response.sent) {
      // Some hook has lost patience.
      return;
    }
    this.response.code(status).headers(headers).send(body);
  }

  open(status: number, headers: Readonly<Record<string, string>>): ServerResponse {
    const given = this.response.getHeaders();
    this.response.hijack();
    this.response.raw.shouldKeepAlive = false;
    return this.response.raw.writeHead(status, { ...given, ...headers });
  }

  pass(): void {
    this.response.callNotFound();
  }
}

/**
 * As many parts as the path of a door has, however they are spelled. Fastify gives what follows them decoded, so that
 * `%2F` could not be told from a slash.
 */
function beginningOf(path: string): RegExp {
  return new RegExp(`^(?:/+[^/]+){${path.split('/').length - 1}}`);
}
