import type { Clock, ScheduledWake } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { JobsLogger } from '../../core/logger.js';
import type { StoreHints } from '../runtime/store-hints.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import { toJobsError } from './postgres-errors.js';
import type { NotificationPayload } from './notifier.js';
import {
  BACKEND,
  CANCEL_CHANNEL,
  ECHO_CHANNEL,
  LISTEN,
  PING,
  SCHEDULES_CHANNEL,
  WORKERS_CHANNEL,
} from './session.postgres.js';

/** The part of `pg.Client` that is used. */
export interface PostgresClient {
  connect(): Promise<unknown>;
  query(sql: string): Promise<{ readonly rows: readonly SqlRow[] }>;
  end(): Promise<unknown>;
  /** Internals of the driver: the socket. */
  readonly connection?: { readonly stream?: { destroy(): void } };
  on(event: 'notification', handle: (message: { channel: string; payload?: string }) => void): unknown;
  on(event: 'error' | 'end', handle: () => void): unknown;
}

interface PostgresListenerOptions {
  readonly makeClient: () => PostgresClient;
  /** Sends a notification to {@link ECHO_CHANNEL} on another connection; resolves when that has committed. */
  readonly sendEcho: () => Promise<unknown>;
  readonly hints: StoreHints;
  readonly codec: NotificationPayload;
  readonly clock: Clock;
  readonly logger: JobsLogger;
}

/** A half-open socket emits no error, so the listener pings it. */
const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;
const END_MAX_MS = 2_000;
const RECONNECT_BACKOFF: BackoffBounds = { minMs: 100, maxMs: 3_000 };
/** A notification takes milliseconds. After this time it counts as lost. */
const ECHO_TIMEOUT_MS = 3_000;

/**
 * Receives notifications on one connection. When the connection breaks, the listener reconnects with a growing backoff. Each new
 * connection starts with a hint for all topics, since notifications may have been lost.
 */
export class PostgresListener {
  private client: PostgresClient | undefined;
  private timer: ScheduledWake | undefined;
  private failures = 0;
  private stopped = false;
  /** Whether this connection has received a notification. */
  private hasReceived = false;
  private isDeaf = false;
  /** The process of the server that serves the connection. */
  private backend: number | undefined;
  private echoTimer: ScheduledWake | undefined;

  constructor(private readonly options: PostgresListenerOptions) {}

  /** Resolves after the first attempt to connect, even if that failed; later attempts run in the background. */
  async start(): Promise<void> {
    await this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelTimers();
    await this.end(this.client);
  }

  private async connect(): Promise<void> {
    let client: PostgresClient | undefined;
    try {
      // This reads the certificates that the URL names, and throws when a file is missing.
      client = this.options.makeClient();
      this.client = client;
      this.attach(client);
      await client.connect();
      const { rows } = await client.query(BACKEND);
      this.backend = Number(rows[0]?.pid);
      await client.query(LISTEN);
    } catch (error) {
      if (!this.stopped) {
        this.options.hints.onConnectFailed(toJobsError(error));
      }
      return this.onLost(client);
    }
    if (this.client === client && !this.stopped) {
      this.onListening(client);
    }
  }

  private attach(client: PostgresClient): void {
    // After pg_terminate_backend the client emits `error` twice, then `end`; the first event counts.
    client.on('error', () => this.onLost(client));
    client.on('end', () => this.onLost(client));
    client.on('notification', ({ channel, payload }) => this.onNotification(channel, payload));
  }

  private onListening(client: PostgresClient): void {
    this.failures = 0;
    this.options.hints.onConnected();
    this.options.hints.onListening(!this.isDeaf, this.backend);
    this.schedulePing(client);
    void this.testNotifications(client);
    this.options.hints.onJobs();
    this.options.hints.onCancel();
    this.options.hints.onSchedules(false);
  }

  private onNotification(channel: string, payload: string | undefined): void {
    this.hasReceived = true;
    // Only the echo counts: a pooler passes a notification on by chance, to whichever client has the connection.
    if (this.isDeaf && channel === ECHO_CHANNEL) {
      this.isDeaf = false;
      this.options.hints.onListening(true, this.backend);
      this.options.logger.log('notifications arrive again');
    }
    if (channel === CANCEL_CHANNEL) {
      this.options.hints.onCancel();
    } else if (channel === SCHEDULES_CHANNEL) {
      this.options.hints.onSchedules(true);
    } else if (channel === WORKERS_CHANNEL) {
      this.options.hints.onWorkers();
    } else if (channel !== ECHO_CHANNEL) {
      const notification = this.options.codec.decode(payload);
      if (notification) {
        const { topics, hint } = notification;
        topics.forEach((topic) => this.options.hints.onJobs(topic, hint));
      } else {
        this.options.hints.onJobs();
      }
    }
  }

  /**
   * Sends a test notification for each new connection and logs one warning when none arrives. A pooler in transaction mode, such as
   * PgBouncer, accepts LISTEN and passes no notification on.
   */
  private async testNotifications(client: PostgresClient): Promise<void> {
    this.hasReceived = false;
    try {
      await this.options.sendEcho();
    } catch {
      // The database is unavailable or read-only, which says nothing about notifications.
      return;
    }
    if (this.client !== client || this.stopped) {
      return;
    }
    this.echoTimer = this.options.clock.schedule(ECHO_TIMEOUT_MS, () => {
      if (this.hasReceived || this.isDeaf) {
        return;
      }
      this.isDeaf = true;
      this.options.hints.onListening(false);
      this.options.logger.warn(
        'notifications do not arrive; is there a pooler in transaction mode? Jobs of other processes start within pollInterval. ' +
          'Connect the queue directly, or through a pooler in session mode',
      );
    });
  }

  /** Connects again. @param client the client that broke; `undefined` when it could not be created. */
  private onLost(client: PostgresClient | undefined): void {
    if (this.client !== client || this.stopped) {
      return;
    }
    this.client = undefined;
    this.options.hints.onListening(false);
    this.cancelTimers();
    void this.end(client);
    const waitMs = backoffMs(this.failures, RECONNECT_BACKOFF, Math.random());
    this.failures += 1;
    this.timer = this.options.clock.schedule(waitMs, () => void this.connect());
  }

  private schedulePing(client: PostgresClient): void {
    this.timer = this.options.clock.schedule(PING_INTERVAL_MS, () => {
      const deadline = this.options.clock.schedule(PING_TIMEOUT_MS, () => this.onLost(client));
      client.query(PING).then(
        () => {
          deadline.cancel();
          if (this.client === client && !this.stopped) {
            this.schedulePing(client);
          }
        },
        () => {
          deadline.cancel();
          this.onLost(client);
        },
      );
    });
  }

  private cancelTimers(): void {
    this.timer?.cancel();
    this.echoTimer?.cancel();
  }

  private async end(client: PostgresClient | undefined): Promise<void> {
    if (client) {
      await endClient(client, this.options.clock);
    }
  }
}

/** Closes a connection. On a silent network the server does not reply, and the open socket would keep the process alive. */
async function endClient(client: PostgresClient, clock: Clock): Promise<void> {
  try {
    const ended = client.end().then(() => undefined);
    if (!(await endsWithin(clock, END_MAX_MS, ended))) {
      client.connection?.stream?.destroy();
    }
  } catch {
    // The connection is closed already.
  }
}
