import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AdapterDoors } from './adapter-doors.js';
import type { HttpAnswer, HttpDoor, HttpExchange } from './http-exchange.js';
import { requestUrl } from './request-url.js';

/** Express's request, as far as it is needed here. */
interface ExpressRequest extends IncomingMessage {
  readonly originalUrl: string;
  /** The part of the path at which a handler is mounted. */
  readonly baseUrl: string;
  readonly url: string;
  readonly body?: unknown;
}

type Handler = (request: ExpressRequest, response: ServerResponse, next: (error?: unknown) => void) => void;

interface ExpressAdapter {
  use(handler: Handler): void;
  use(path: string, handler: Handler): void;
}

interface OpenDoor {
  readonly path: RegExp;
  readonly door: HttpDoor;
}

/** Doors in an Express application. */
export class ExpressDoors implements AdapterDoors {
  private readonly opened: OpenDoor[] = [];
  /** Content types that were put away, by request. */
  private readonly types = new WeakMap<IncomingMessage, string>();

  constructor(private readonly adapter: ExpressAdapter) {
    // The first of all middleware: body parsers come next.
    adapter.use((request, _response, next) => {
      this.keepBodyUnread(request);
      next();
    });
  }

  open(path: string, door: HttpDoor): void {
    this.opened.push({ path: pathPattern(path), door });
    this.adapter.use(path, (request, response, next) => {
      const type = this.types.get(request);
      if (type !== undefined) {
        request.headers['content-type'] = type;
      }
      // What a door cannot tell is the application's to tell; unhandled, it would end the process.
      door.answer(new ExpressExchange(request, response, next)).catch(next);
    });
  }

  /**
   * The application's body parser would take the body with limits and errors of its own. All body parsers go by the
   * content type, so it is put away until the door is reached.
   */
  private keepBodyUnread(request: ExpressRequest): void {
    const type = request.headers['content-type'];
    if (type === undefined) {
      return;
    }
    const { pathname } = requestUrl(request.url);
    if (this.opened.some(({ path, door }) => door.readsBodies && path.test(pathname))) {
      this.types.set(request, type);
      delete request.headers['content-type'];
    }
  }
}

class ExpressExchange implements HttpExchange {
  readonly method: string;
  readonly path: string;
  readonly basePath: string;
  readonly query: URLSearchParams;
  readonly headers: HttpExchange['headers'];
  readonly body: IncomingMessage;

  constructor(
    readonly request: ExpressRequest,
    readonly response: ServerResponse,
    private readonly next: () => void,
  ) {
    const { pathname, query } = requestUrl(request.url);
    this.method = request.method!;
    this.path = pathname.replace(/\/$/, '');
    this.basePath = request.baseUrl;
    this.query = query;
    this.headers = request.headers;
    this.body = request;
  }

  get parsedBody(): unknown {
    return this.request.body;
  }

  send({ status, headers, body }: HttpAnswer): void {
    if (this.response.headersSent) {
      // Some middleware has lost patience.
      return;
    }
    this.response.shouldKeepAlive &&= isOpen(this.request);
    const length: Record<string, string> = body ? { 'Content-Length': String(body.length) } : {};
    this.response.writeHead(status, { ...headers, ...length }).end(body);
  }

  open(status: number, headers: Readonly<Record<string, string>>): ServerResponse {
    this.response.shouldKeepAlive = false;
    return this.response.writeHead(status, headers);
  }

  pass(): void {
    this.next();
  }
}

/**
 * Whether its server takes other requests. One that closes waits until its connections are gone: whoever asks again every few
 * seconds, as an open admin UI does, would keep theirs, and the application, for long.
 */
function isOpen({ socket }: IncomingMessage): boolean {
  return (socket as { server?: Server }).server?.listening !== false;
}

/** As Express matches a path at which a handler is mounted: in any case, with parameters in the global prefix. */
function pathPattern(path: string): RegExp {
  const parts = path.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[^\w~-]/g, '\\$&')));
  return new RegExp(`^${parts.join('/')}($|/)`, 'i');
}
