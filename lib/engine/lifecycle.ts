import type { Clock } from '../core/clock.js';
import { endsWithin } from '../core/clock.js';
import { QueueUnavailableError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { JobsSettings } from '../core/options.js';
import type { JobStore } from '../store/job-store.js';
import type { JobRunner } from './run/job-runner.js';
import type { Dispatcher } from './claim/dispatcher.js';
import type { HandlerRegistry } from './handler-registry.js';
import type { Heartbeat } from './run/heartbeat.js';
import { runDetached } from './detached-context.js';
import type { Completer } from './run/completer.js';

/** Work in the background. */
export interface Loop {
  start(): void;
  stop(): Promise<void>;
}

export interface WorkerLifecycleOptions {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly store: JobStore;
  readonly role: JobsSettings['role'];
  readonly shutdownTimeoutMs: number;
  readonly registry: HandlerRegistry;
  readonly completer: Completer;
  readonly heartbeat: Heartbeat;
  readonly runner: JobRunner;
  readonly dispatcher: Dispatcher;
  /** What looks after the table, and ends as soon as the process is to. */
  readonly chores: readonly Loop[];
  /** What writes down what attempts came to, and ends after them. */
  readonly records: readonly Loop[];
}

/**
 * How long a process that ends waits for handlers that were told to end, and for what is to reach the table: outcomes of aborted
 * attempts, then new jobs.
 */
export const RELEASE_GRACE_MS = 2_000;

/** Starts and stops what claims and runs jobs in this process, one after another. */
export class EngineLifecycle {
  private stopListening: (() => Promise<void>) | undefined;
  private isRunning = false;
  private isClosed = false;
  private turn: Promise<void> = Promise.resolve();

  constructor(private readonly options: WorkerLifecycleOptions) {}

  /** Harmless when it runs already, and in a producer. @throws QueueUnavailableError after `close`. */
  start(): Promise<void> {
    return this.inTurn(async () => {
      if (this.isClosed) {
        throw new QueueUnavailableError(
          'the queue has been closed together with its application, and cannot start again',
        );
      }
      if (this.isRunning) {
        this.claimAgain();
      } else {
        this.isRunning = true;
        await this.startAll().catch(async (error: unknown) => {
          await this.stopAll();
          this.isRunning = false;
          throw error;
        });
      }
    });
  }

  /** At once; what runs goes on. Until `start`. */
  stopClaiming(): void {
    void this.options.dispatcher.stop();
  }

  /** Harmless when it is stopped already. */
  stop(): Promise<void> {
    return this.inTurn(async () => {
      if (this.isRunning) {
        await this.stopAll();
        this.isRunning = false;
      }
    });
  }

  /** Stops for good. */
  close(): Promise<void> {
    this.isClosed = true;
    return this.stop();
  }

  private async startAll(): Promise<void> {
    const { role, registry, logger, completer, heartbeat, dispatcher, chores, records, store } = this.options;
    if (role === 'producer') {
      logger.log("role 'producer': runs no jobs");
      return;
    }
    registry.describe(logger);
    completer.start();
    for (const loop of [heartbeat, dispatcher, ...chores, ...records]) {
      loop.start();
    }
    this.stopListening = await store.listen({
      jobs: (topic) => dispatcher.wake(topic),
      cancel: () => void heartbeat.checkCancelRequests(),
    });
  }

  private claimAgain(): void {
    const { role, completer, dispatcher } = this.options;
    if (role !== 'producer') {
      completer.start();
      dispatcher.start();
    }
  }

  /** Bounded as a whole: a loop that hangs in a silent network is left alone, and ends by itself. */
  private async stopAll(): Promise<void> {
    const { clock, logger, shutdownTimeoutMs, heartbeat, runner, dispatcher, chores, records } = this.options;
    const drained = dispatcher.stop().then(() => runner.allSettled());
    const others = Promise.all([this.stopListening?.(), ...chores.map((loop) => loop.stop())]);
    this.stopListening = undefined;
    if (await endsWithin(clock, shutdownTimeoutMs, drained)) {
      // Who lost a lease or took too long has been told to end, and may be about to: with the connections still open.
      await endsWithin(clock, Math.min(RELEASE_GRACE_MS, shutdownTimeoutMs), runner.allReturned());
    } else {
      logger.warn(
        `shutdownTimeout (${shutdownTimeoutMs} ms) is over, handlers at work: ${runner.count}; they are aborted and their jobs released`,
      );
      runner.abortAll();
      await endsWithin(clock, RELEASE_GRACE_MS, drained);
      runner.abandon();
    }
    const ends = Promise.all([others, heartbeat.stop(), ...records.map((loop) => loop.stop())]);
    await endsWithin(clock, RELEASE_GRACE_MS, ends);
  }

  /** What starts here goes on when the caller, and the transaction he may be in, are long gone. */
  private inTurn(work: () => Promise<void>): Promise<void> {
    const result = runDetached(() => this.turn.then(work));
    this.turn = result.catch(() => undefined);
    return result;
  }
}
