import type { OnModuleDestroy } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { QueueUnavailableError } from '../core/errors.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { Access } from './access.js';
import { EventChannel } from './event-channel.js';
import type { HttpExchange } from './http-exchange.js';
import { API_HEADERS } from './http-exchange.js';
import { wireStats } from './wire-reports.js';

const STREAM_HEADERS = {
  ...API_HEADERS,
  // Nobody on the way may change, hold back or compress what is to be seen at once.
  'Cache-Control': 'no-store, no-transform',
  'Content-Type': 'text/event-stream; charset=utf-8',
  'X-Accel-Buffering': 'no',
};

const RETURN_AFTER_MS = 2_000;

/** Everybody who watches over HTTP. The engine looks once for all of them. */
@Injectable()
export class JobStreams implements OnModuleDestroy {
  /** How often a stream shows that it is alive, and asks whether its reader still may. Clients give up after 45 s. */
  heartbeatMs = 15_000;

  private readonly channels = new Set<EventChannel>();
  private isClosed = false;

  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(Access) private readonly access: Access,
  ) {}

  /** How many are open. */
  get size(): number {
    return this.channels.size;
  }

  /**
   * Answers with a stream.
   *
   * @param ensureAccess rejects when whoever reads may not do so any more; the stream ends then.
   */
  open(exchange: HttpExchange, ensureAccess: () => Promise<void>): void {
    if (this.isClosed) {
      throw new QueueUnavailableError('the application is shutting down');
    }
    const response = exchange.open(200, STREAM_HEADERS);
    // Whoever left while being judged has closed it already, and would never be seen to leave.
    if (exchange.method === 'HEAD' || response.closed) {
      response.end();
      return;
    }
    let isAsking = false;
    const beat = async (): Promise<void> => {
      channel.beat();
      // A judgement that takes long is waited for; another one would not be quicker.
      if (!isAsking) {
        isAsking = true;
        await ensureAccess().catch(() => channel.end());
        isAsking = false;
      }
    };
    const beats = setInterval(() => void beat(), this.heartbeatMs);
    const channel = new EventChannel(response, () => {
      clearInterval(beats);
      leave();
      this.channels.delete(channel);
    });
    this.channels.add(channel);
    channel.askToReturnAfter(RETURN_AFTER_MS);
    const leave = this.watch(channel);
  }

  /** The streams end first: the server waits for its connections. */
  onModuleDestroy(): void {
    this.isClosed = true;
    this.channels.forEach((channel) => channel.end());
  }

  private watch(channel: EventChannel): () => void {
    return this.engine.changes.watch({
      topics: this.access.topics,
      stats: (stats) => channel.send('stats', wireStats(stats)),
      changed: (topics) =>
        channel.send('changed', { topics: [...topics] }, (earlier, later) => ({
          topics: [...new Set([...earlier.topics, ...later.topics])],
        })),
    });
  }
}
