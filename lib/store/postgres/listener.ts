import type { Clock, ScheduledWake } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { JobsLogger } from '../../core/logger.js';
import type { StoreHints } from '../job-store.js';
import type { NotificationPayload } from './notification-payload.js';
import { CANCEL_CHANNEL, ECHO_CHANNEL, LISTEN, PING } from './sql/notification.js';

/** The part of `pg.Client` that is used. */
export interface PostgresClient {
  connect(): Promise<unknown>;
  query(sql: string): Promise<unknown>;
  end(): Promise<unknown>;
  /** The driver's own: the socket. */
  readonly connection?: { readonly stream?: { destroy(): void } };
  on(event: 'notification', handle: (message: { channel: string; payload?: string }) => void): unknown;
  on(event: 'error' | 'end', handle: (error?: Error) => void): unknown;
}

export interface PostgresListenerOptions {
  readonly makeClient: () => PostgresClient;
  /** Sends a notification to {@link ECHO_CHANNEL} on another connection; resolves when it is committed. */
  readonly sendEcho: () => Promise<unknown>;
  readonly hints: StoreHints;
  readonly codec: NotificationPayload;
  readonly clock: Clock;
  readonly logger: JobsLogger;
}

/** A half-open socket says nothing by itself: it is asked this often. */
const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;
const GOODBYE_MAX_MS = 2_000;
const RECONNECTS: BackoffBounds = { minMs: 100, maxMs: 3_000 };
/** A notification takes milliseconds; one that has not come by then does not come. */
const ECHO_MAX_MS = 3_000;

/**
 * One connection that listens. When it breaks, it is made anew, with growing pauses; since notifications may have been
 * missed meanwhile, every new connection begins with a hint that anything may be due.
 */
export class PostgresListener {
  private client: PostgresClient | undefined;
  private timer: ScheduledWake | undefined;
  private failures = 0;
  private stopped = false;
  /** Whether this connection has heard anything yet. */
  private hasHeard = false;
  private isDeaf = false;
  private echoTimer: ScheduledWake | undefined;

  constructor(private readonly options: PostgresListenerOptions) {}

  /** Resolves when the first try has ended, well or not; later tries go on in the background. */
  async start(): Promise<void> {
    await this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelTimers();
    await this.drop(this.client);
  }

  private async connect(): Promise<void> {
    let client: PostgresClient | undefined;
    try {
      // It reads the certificates that the URL names, which may be away for a moment.
      client = this.options.makeClient();
      this.client = client;
      this.listenTo(client);
      await client.connect();
      await client.query(LISTEN);
    } catch (error) {
      return this.lost(client, error as Error);
    }
    if (this.client === client && !this.stopped) {
      this.listens(client);
    }
  }

  private listenTo(client: PostgresClient): void {
    // After pg_terminate_backend the client emits `error` twice, then `end`; whichever comes first counts.
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client));
    client.on('notification', ({ channel, payload }) => this.heard(channel, payload));
  }

  private listens(client: PostgresClient): void {
    if (this.failures > 0) {
      this.options.logger.log('notifications are back');
    }
    this.failures = 0;
    this.schedulePing(client);
    void this.listenForEcho(client);
    this.options.hints.jobs();
    this.options.hints.cancel();
  }

  private heard(channel: string, payload: string | undefined): void {
    this.hasHeard = true;
    // What a pooler lets through by chance, to whoever has the connection just then, is no news.
    if (this.isDeaf && channel === ECHO_CHANNEL) {
      this.isDeaf = false;
      this.options.logger.log('notifications arrive now');
    }
    if (channel === CANCEL_CHANNEL) {
      this.options.hints.cancel();
    } else if (channel !== ECHO_CHANNEL) {
      const topics = this.options.codec.decode(payload);
      if (topics) {
        topics.forEach((topic) => this.options.hints.jobs(topic));
      } else {
        this.options.hints.jobs();
      }
    }
  }

  /**
   * A pooler in transaction mode, PgBouncer for one, takes a LISTEN without complaint and passes no notification on. So
   * each new connection is tried with one, and what is wrong is said once.
   */
  private async listenForEcho(client: PostgresClient): Promise<void> {
    this.hasHeard = false;
    try {
      await this.options.sendEcho();
    } catch {
      // The database went away meanwhile, or is read-only: that is no news of notifications.
      return;
    }
    if (this.client !== client || this.stopped) {
      return;
    }
    this.echoTimer = this.options.clock.schedule(ECHO_MAX_MS, () => {
      if (this.hasHeard || this.isDeaf) {
        return;
      }
      this.isDeaf = true;
      this.options.logger.warn(
        'notifications do not arrive, as behind a pooler in transaction mode: jobs of other processes are found by ' +
          'polling only, within pollInterval. Connect the queue directly, or through a pool in session mode',
      );
    });
  }

  /** @param client the one that broke; `undefined` when none could be made. */
  private lost(client: PostgresClient | undefined, error?: Error): void {
    if (this.client !== client || this.stopped) {
      return;
    }
    this.client = undefined;
    this.cancelTimers();
    void this.drop(client);
    if (this.failures === 0) {
      this.options.logger.warn(
        `notifications lost, polling until they are back: ${error?.message ?? 'the connection ended'}`,
      );
    }
    const pauseMs = backoffMs(this.failures, RECONNECTS, Math.random());
    this.failures += 1;
    this.timer = this.options.clock.schedule(pauseMs, () => void this.connect());
  }

  private schedulePing(client: PostgresClient): void {
    this.timer = this.options.clock.schedule(PING_INTERVAL_MS, () => {
      const deadline = this.options.clock.schedule(PING_TIMEOUT_MS, () =>
        this.lost(client, new Error('no answer to a ping')),
      );
      client.query(PING).then(
        () => {
          deadline.cancel();
          if (this.client === client && !this.stopped) {
            this.schedulePing(client);
          }
        },
        (error: Error) => {
          deadline.cancel();
          this.lost(client, error);
        },
      );
    });
  }

  private cancelTimers(): void {
    this.timer?.cancel();
    this.echoTimer?.cancel();
  }

  private async drop(client: PostgresClient | undefined): Promise<void> {
    if (client) {
      await endClient(client, this.options.clock);
    }
  }
}

/**
 * Says goodbye to the server, and waits no longer than a moment for its answer: on a network that has gone silent there
 * is none, and the open socket would keep the process alive.
 */
async function endClient(client: PostgresClient, clock: Clock): Promise<void> {
  try {
    if (
      !(await endsWithin(
        clock,
        GOODBYE_MAX_MS,
        client.end().then(() => undefined),
      ))
    ) {
      client.connection?.stream?.destroy();
    }
  } catch {
    // It is gone, which is what was asked for.
  }
}
