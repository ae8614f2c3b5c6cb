import type { CallOptions } from './call-options.js';
import { JobsApiError } from './jobs-api-error.js';
import { backoffMs, isTransient, pause, withDeadline } from './retry.js';
import type { HttpRequest, HttpTransport } from './transport.js';
import { invalidResponse, networkError, timeoutError, toLabel } from './transport.js';
import type { StreamJob } from './log-wire.js';
import type { StreamChanged, StreamEvent } from './wire.js';

/** Three missed heartbeats: the server sends one every 15 s. */
const HEARTBEAT_TIMEOUT_MS = 45_000;
const FIRST_DELAY_MS = 2_000;
const DELAY_MS_MAX = 30_000;

/** Options of `watch`. */
export interface WatchOptions extends CallOptions {
  /** After this time without data, in ms, the client opens a new connection. Default 45,000. */
  heartbeatTimeout?: number | undefined;
  /** Called at each connection. Refetch your data here: events before the connection are not repeated. */
  onOpen?: (() => void) | undefined;
  /** Called when a connection ends or fails. The client reconnects. There is no error if the server ended the connection. */
  onLost?: ((error: JobsApiError | undefined) => void) | undefined;
}

/** Options of `stream`. */
export interface StreamOptions extends WatchOptions {
  /** Reports changes of these topics only. Default: all topics. */
  topics?: readonly string[] | undefined;
}

type AnyEvent = StreamEvent | { type: 'job'; data: StreamJob };

/**
 * Yields the events of one connection after another until the signal aborts.
 * @throws JobsApiError if a new connection cannot help: the server refuses, or its response is not an event stream
 */
export async function* streamEvents<Event extends AnyEvent>(
  transport: HttpTransport,
  request: HttpRequest,
  options: StreamOptions,
): AsyncGenerator<Event, void, undefined> {
  const { signal, onLost } = options;
  let firstDelayMs = FIRST_DELAY_MS;
  for (let failures = 0; ; failures += 1) {
    const connection = new Connection(transport, request, options);
    yield* connection.events() as AsyncGenerator<Event, void, undefined>;
    if (signal?.aborted) {
      return;
    }
    onLost?.(connection.failure);
    firstDelayMs = connection.retryMs ?? firstDelayMs;
    failures = connection.isOpened ? 0 : failures;
    const delayMs = backoffMs(failures, firstDelayMs, DELAY_MS_MAX, connection.failure?.retryAfterMs);
    if (await isAbortedWithin(delayMs, signal)) {
      return;
    }
  }
}

/** One connection, from the request to its end. */
class Connection {
  /** Whether the server has responded with a stream. */
  isOpened = false;
  /** Why the connection failed; `undefined` if the server or the signal ended it. */
  failure: JobsApiError | undefined;

  readonly #parser = new EventParser();
  readonly #label: string;

  constructor(
    private readonly transport: HttpTransport,
    private readonly request: HttpRequest,
    private readonly options: StreamOptions,
  ) {
    this.#label = toLabel(request);
  }

  /** Delay before the next connection, if the server sent one. */
  get retryMs(): number | undefined {
    return this.#parser.retryMs;
  }

  /** Yields events until the connection ends. @throws any error that a new connection would meet, too */
  async *events(): AsyncGenerator<AnyEvent, void, undefined> {
    try {
      yield* this.#receive();
    } catch (error) {
      if (this.options.signal?.aborted) {
        return;
      }
      if (!canReconnect(error)) {
        throw error;
      }
      this.failure = error;
    }
  }

  async *#receive(): AsyncGenerator<AnyEvent, void, undefined> {
    const body = await this.transport.stream(this.request, 'text/event-stream');
    const reader = body.getReader();
    // Closes the connection. A failed connection is closed already, and `cancel` rejects.
    const close = () => void reader.cancel().catch(() => undefined);
    // Closes at once, even if no call waits for the next event.
    this.options.signal?.addEventListener('abort', close);
    try {
      this.isOpened = true;
      this.options.onOpen?.();
      for (;;) {
        const { done, value } = await this.#read(reader);
        if (done) {
          return;
        }
        for (const event of this.#parser.push(value)) {
          yield* this.#toStreamEvents(event);
        }
      }
    } finally {
      this.options.signal?.removeEventListener('abort', close);
      close();
    }
  }

  #read(reader: ReadableStreamDefaultReader<Uint8Array>): ReturnType<typeof reader.read> {
    const { signal, heartbeatTimeout: ms = HEARTBEAT_TIMEOUT_MS } = this.options;
    const error = () => timeoutError(this.#label, ms);
    return withDeadline({ ms, error, signal }, () =>
      reader.read().catch((cause: unknown) => {
        throw networkError(this.#label, cause);
      }),
    );
  }

  /** Yields the event if its type is known and one of its topics is wanted. Later servers can send other types. */
  *#toStreamEvents({ type, data }: ServerEvent): Generator<AnyEvent, void, undefined> {
    if (type === 'stats' || type === 'job') {
      yield { type, data: this.#parse(data) } as AnyEvent;
    } else if (type === 'changed') {
      const { topics: wanted } = this.options;
      const changed = this.#parse<StreamChanged>(data);
      const topics = wanted ? changed.topics.filter((topic) => wanted.includes(topic)) : changed.topics;
      if (!wanted || topics.length > 0) {
        yield { type, data: { ...changed, topics } };
      }
    }
  }

  #parse<T>(data: string): T {
    try {
      return JSON.parse(data) as T;
    } catch {
      throw invalidResponse(200, `events with JSON, got '${data.slice(0, 120)}'`, this.#label);
    }
  }
}

/** Reconnects after every transient error and after every 5xx: a live view waits for a broken server. */
function canReconnect(error: unknown): error is JobsApiError {
  return isTransient(error) || (error instanceof JobsApiError && error.status >= 500);
}

async function isAbortedWithin(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await pause(ms, signal);
    return false;
  } catch {
    // The signal's reason. The pause has no other error.
    return true;
  }
}

/** One server-sent event. */
export interface ServerEvent {
  /** `message` if the server sent no type. */
  type: string;
  data: string;
}

/**
 * Parses server-sent events from chunks of bytes. Lines end with CRLF, LF or CR. Skips comments, event ids, and a last event
 * without a blank line after it.
 */
export class EventParser {
  /** Delay before the next connection, in ms, if the stream contained one. */
  retryMs: number | undefined;

  readonly #decoder = new TextDecoder();
  /** The last line, which has not ended yet. */
  #rest = '';
  /** A CR ended the last chunk: an LF at the start of the next one belongs to it. */
  #afterCarriageReturn = false;
  #type = '';
  #data: string[] = [];

  /** Yields the events that this chunk completes. */
  *push(chunk: Uint8Array): Generator<ServerEvent, void, undefined> {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === '') {
      return;
    }
    if (this.#afterCarriageReturn && text.startsWith('\n')) {
      text = text.slice(1);
    }
    this.#afterCarriageReturn = text.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = this.#readLine(line);
      if (event) {
        yield event;
      }
    }
  }

  #readLine(line: string): ServerEvent | undefined {
    if (line === '') {
      return this.#endEvent();
    }
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') {
      this.#type = value;
    } else if (name === 'data') {
      this.#data.push(value);
    } else if (name === 'retry' && /^\d+$/.test(value)) {
      this.retryMs = Number(value);
    }
    return undefined;
  }

  #endEvent(): ServerEvent | undefined {
    const event = { type: this.#type || 'message', data: this.#data.join('\n') };
    const isEvent = this.#data.length > 0;
    this.#type = '';
    this.#data = [];
    return isEvent ? event : undefined;
  }
}
