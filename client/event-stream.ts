import { JobsApiError } from './api-error.js';
import { noAnswer, notUnderstood, tooLate } from './answer.js';
import type { CallOptions } from './call-options.js';
import { pause, within } from './deadline.js';
import type { ServerEvent } from './event-parser.js';
import { EventParser } from './event-parser.js';
import type { HttpExchange, HttpRequest } from './http-exchange.js';
import { labelOf } from './http-exchange.js';
import { backoffMs, isTransient } from './retry.js';
import type { JobStats, StreamChanged, StreamEvent } from './wire.js';

/** The server sends a heart-beat every 15 s; after three missed ones nobody is there. */
const HEARTBEAT_TIMEOUT_MS = 45_000;
const FIRST_DELAY_MS = 2_000;
const DELAY_MS_MAX = 30_000;

/** What `stream` takes. */
export interface StreamOptions extends CallOptions {
  /** Changes of these topics only. Default: of all. */
  topics?: readonly string[] | undefined;
  /** A connection on which nothing came for so long, in ms, is given up for a new one. Default 45,000. */
  heartbeatTimeout?: number | undefined;
  /** Called on each connection. What happened before it was not told: fetch anew. */
  onOpen?: (() => void) | undefined;
  /** Called when a connection ends or fails; another one follows by itself. Without an error the server ended it. */
  onLost?: ((error: JobsApiError | undefined) => void) | undefined;
}

/**
 * The events of one connection after another, until the signal aborts.
 * @throws JobsApiError when connecting again would not help: a refusal, or an answer that is no stream of events
 */
export async function* streamEvents(
  exchange: HttpExchange,
  request: HttpRequest,
  options: StreamOptions,
): AsyncGenerator<StreamEvent, void, undefined> {
  const { signal, onLost } = options;
  let firstDelayMs = FIRST_DELAY_MS;
  for (let failures = 0; ; failures += 1) {
    const connection = new Connection(exchange, request, options);
    yield* connection.events();
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
  /** The server has answered with a stream. */
  isOpened = false;
  /** Why it has ended, unless the server or the signal ended it. */
  failure: JobsApiError | undefined;

  readonly #parser = new EventParser();
  readonly #label: string;

  constructor(
    private readonly exchange: HttpExchange,
    private readonly request: HttpRequest,
    private readonly options: StreamOptions,
  ) {
    this.#label = labelOf(request);
  }

  /** What the server asked to wait before the next connection. */
  get retryMs(): number | undefined {
    return this.#parser.retryMs;
  }

  /** Ends with the connection. @throws whatever another connection would meet, too */
  async *events(): AsyncGenerator<StreamEvent, void, undefined> {
    try {
      yield* this.#received();
    } catch (error) {
      if (this.options.signal?.aborted) {
        return;
      }
      if (!mayComeBack(error)) {
        throw error;
      }
      this.failure = error;
    }
  }

  async *#received(): AsyncGenerator<StreamEvent, void, undefined> {
    const body = await this.exchange.eventStream(this.request);
    const reader = body.getReader();
    // Closes the connection. One that has failed is closed already, and says so by rejecting.
    const close = () => void reader.cancel().catch(() => undefined);
    // At once, though nobody may be asking for the next event.
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
          yield* this.#known(event);
        }
      }
    } finally {
      this.options.signal?.removeEventListener('abort', close);
      close();
    }
  }

  #read(reader: ReadableStreamDefaultReader<Uint8Array>): ReturnType<typeof reader.read> {
    const { signal, heartbeatTimeout: ms = HEARTBEAT_TIMEOUT_MS } = this.options;
    const error = () => tooLate(this.#label, ms);
    return within({ ms, error, signal }, () =>
      reader.read().catch((cause: unknown) => {
        throw noAnswer(this.#label, cause);
      }),
    );
  }

  /** The event as the caller is told it, if at all: later servers may send events of other types. */
  *#known({ type, data }: ServerEvent): Generator<StreamEvent, void, undefined> {
    if (type === 'stats') {
      yield { type, data: this.#parsed<JobStats>(data) };
    } else if (type === 'changed') {
      const { topics: wanted } = this.options;
      const changed = this.#parsed<StreamChanged>(data);
      const topics = wanted ? changed.topics.filter((topic) => wanted.includes(topic)) : changed.topics;
      if (!wanted || topics.length > 0) {
        yield { type, data: { ...changed, topics } };
      }
    }
  }

  #parsed<T>(data: string): T {
    try {
      return JSON.parse(data) as T;
    } catch {
      throw notUnderstood(200, `events with JSON, got '${data.slice(0, 120)}'`, this.#label);
    }
  }
}

/** Beside what is transient for other requests: a live view waits for a server that is broken, too. */
function mayComeBack(error: unknown): error is JobsApiError {
  return isTransient(error) || (error instanceof JobsApiError && error.status >= 500);
}

async function isAbortedWithin(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await pause(ms, signal);
    return false;
  } catch {
    // The signal's reason; nothing else ends the pause.
    return true;
  }
}
