import type { ServerResponse } from 'node:http';
import type { OnModuleDestroy } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { QueueUnavailableError } from '../core/errors.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { API_HEADERS, openStream } from './http-adapter.js';
import { toStatsDto, toWatchedJobDto } from './report-serializer.js';

const STREAM_HEADERS = {
  ...API_HEADERS,
  // No proxy may buffer or compress the events.
  'Cache-Control': 'no-store, no-transform',
  'Content-Type': 'text/event-stream; charset=utf-8',
  'X-Accel-Buffering': 'no',
};

/** When a client reconnects after it has lost a stream. */
const RECONNECT_MS = 2_000;
/** Ten minutes. Clients reconnect, so that the application's global guards run again. */
const HEARTBEATS_MAX = 40;

/** Rejects when a reader is no longer allowed to read. */
type AccessCheck = () => Promise<unknown>;

/** The open streams of server-sent events. The engine reads its statistics once for all of them. */
@Injectable()
export class JobStreams implements OnModuleDestroy {
  /** How often a stream sends a comment and checks the access of its reader. Clients give up after 45 s. */
  heartbeatMs = 15_000;

  private readonly channels = new Set<EventChannel>();
  private isClosed = false;

  constructor(@Inject(JobsEngine) private readonly engine: JobsEngine) {}

  /** How many streams are open. */
  get size(): number {
    return this.channels.size;
  }

  /**
   * Responds with a stream of the changes of topics; `null`: of all.
   *
   * @param ensureAccess rejects when the reader is no longer allowed to read; the stream ends then.
   */
  open(request: HttpRequest, reply: HttpResponse, ensureAccess: AccessCheck, topics: readonly string[] | null): void {
    this.start(request, reply, ensureAccess, (channel) => this.watch(channel, topics));
  }

  /** Responds with a stream of the events of a job. */
  openJob(request: HttpRequest, reply: HttpResponse, ensureAccess: AccessCheck, id: string): void {
    this.start(request, reply, ensureAccess, (channel) => this.watchJob(channel, id));
  }

  /** Ends the streams first, because the server waits for its connections. */
  onModuleDestroy(): void {
    this.isClosed = true;
    this.channels.forEach((channel) => channel.end());
  }

  /** @param watch sends events until the function that it returns is called. */
  private start(
    { method }: HttpRequest,
    reply: HttpResponse,
    ensureAccess: AccessCheck,
    watch: (channel: EventChannel) => () => void,
  ): void {
    if (this.isClosed) {
      throw new QueueUnavailableError('the application is shutting down');
    }
    const response = openStream(reply, STREAM_HEADERS);
    // A caller who has disconnected emits no further event.
    if (method === 'HEAD' || response.closed) {
      response.end();
      return;
    }
    let isChecking = false;
    let heartbeats = 0;
    const heartbeat = async (): Promise<void> => {
      heartbeats += 1;
      if (heartbeats > HEARTBEATS_MAX) {
        return channel.end();
      }
      channel.sendHeartbeat();
      // A slow check continues; a second one would not be faster.
      if (!isChecking) {
        isChecking = true;
        await ensureAccess().catch(() => channel.end());
        isChecking = false;
      }
    };
    const timer = setInterval(() => void heartbeat(), this.heartbeatMs);
    const channel = new EventChannel(response, () => {
      clearInterval(timer);
      stopWatching();
      this.channels.delete(channel);
    });
    this.channels.add(channel);
    channel.sendReconnectTime(RECONNECT_MS);
    const stopWatching = watch(channel);
  }

  private watchJob(channel: EventChannel, id: string): () => void {
    return this.engine.changes.watchJob(id, (job) => channel.send('job', toWatchedJobDto(job)));
  }

  private watch(channel: EventChannel, shown: readonly string[] | null): () => void {
    return this.engine.changes.watch({
      topics: shown,
      stats: (stats) => channel.send('stats', toStatsDto(stats)),
      changed: (topics) =>
        channel.send('changed', { topics: [...topics] }, (earlier, later) => ({
          topics: [...new Set([...earlier.topics, ...later.topics])],
        })),
    });
  }
}

/** Time for a reader to take the rest. A reader that has stopped reading would keep the server from closing. */
const ENDING_MS_MAX = 2_000;

/** One connection with server-sent events. For a slow reader, only the latest event of each type waits. */
export class EventChannel {
  /** The latest event of each type that could not be written. */
  private readonly waiting = new Map<string, unknown>();
  private isClosed = false;
  private ending: NodeJS.Timeout | undefined;

  constructor(
    private readonly response: ServerResponse,
    /** Called once, when the connection has closed. */
    onClose: () => void,
  ) {
    response.once('close', () => {
      this.isClosed = true;
      clearTimeout(this.ending);
      onClose();
    });
    response.on('drain', () => this.flush());
    // A reset connection emits `close` as well.
    response.on('error', () => undefined);
  }

  /** `merge` combines an event that still waits with this one. Default: this one replaces it. */
  send<T>(type: string, data: T, merge: (earlier: T, later: T) => T = (_, later) => later): void {
    const earlier = this.waiting.get(type) as T | undefined;
    this.waiting.set(type, earlier === undefined ? data : merge(earlier, data));
    this.flush();
  }

  /** How long a reader waits before it reconnects. */
  sendReconnectTime(ms: number): void {
    this.write(`retry: ${ms}\n\n`);
  }

  sendHeartbeat(): void {
    if (!this.response.writableNeedDrain) {
      this.write(': still here\n\n');
    }
  }

  end(): void {
    if (!this.isClosed) {
      this.response.end();
      this.ending ??= setTimeout(() => this.response.destroy(), ENDING_MS_MAX);
    }
  }

  private flush(): void {
    for (const [type, data] of this.waiting) {
      if (this.response.writableNeedDrain) {
        return;
      }
      this.waiting.delete(type);
      this.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
    }
  }

  private write(text: string): void {
    if (!this.isClosed && !this.response.writableEnded) {
      this.response.write(text);
    }
  }
}
