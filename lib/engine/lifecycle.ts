import { endsWithin } from '../core/clock.js';
import { QueueUnavailableError } from '../core/errors.js';
import type { Dispatcher } from './claim/dispatcher.js';
import { runDetached } from '../store/runtime/detached-context.js';
import type { EngineParts } from './runtime/engine-parts.js';
import type { Completer } from './run/completer.js';
import { hashWorker } from './runtime/live-workers.js';
import type { WorkerPresence } from './maintain/worker-presence.js';
import type { Heartbeat } from './run/heartbeat.js';
import type { Scheduler } from './schedules/scheduler.js';
import type { JobRunner } from './run/job-runner.js';

/** Work in the background. `start` and `stop` may be called more than once. */
interface Loop {
  start(): void | Promise<void>;
  stop(): Promise<void>;
}

type LifecycleParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'registry' | 'role' | 'shutdownTimeoutMs' | 'worker'
> & {
  readonly completer: Completer;
  readonly heartbeat: Heartbeat;
  readonly runner: JobRunner;
  readonly dispatcher: Dispatcher;
  /** Also one of `maintenance`. */
  readonly scheduler: Scheduler;
  readonly presence: WorkerPresence;
  /** Stop as soon as shutdown begins. */
  readonly maintenance: readonly Loop[];
  /** Write what attempts did. Stop after the last attempt. */
  readonly recorders: readonly Loop[];
};

/** How long shutdown waits for aborted handlers to return, then for their outcomes, then for new jobs to be stored. */
export const RELEASE_GRACE_MS = 2_000;
/** How long a start waits until the other processes know the topics of this one. */
const START_GRACE_MS = 1_000;

/** Names the connection for notifications in the log. */
const NOTIFICATIONS = 'notifications';

/** Starts and stops the loops of this process. One call of `start` or `stop` runs at a time. */
export class EngineLifecycle {
  private stopListening: (() => Promise<void>) | undefined;
  private isRunning = false;
  /** Whether `start` was called last, and not `stop`: the loops outlive `claimDuring`. */
  private isWanted = false;
  /** Whether `stopClaiming` was called, and not `start` since. */
  private isDraining = false;
  private isClosed = false;
  private lastCall: Promise<void> = Promise.resolve();

  constructor(private readonly parts: LifecycleParts) {}

  /** Does nothing when it runs already, or in a producer. @throws QueueUnavailableError after `close`. */
  start(): Promise<void> {
    return this.runExclusive(async () => {
      this.assertOpen();
      this.isWanted = true;
      this.isDraining = false;
      if (this.isRunning) {
        this.resumeClaiming();
      } else {
        this.isRunning = true;
        await this.startAll().catch(async (error: unknown) => {
          await this.stopAll();
          this.isRunning = false;
          this.isWanted = false;
          throw error;
        });
      }
    });
  }

  /** Whether the loops run. */
  get isStarted(): boolean {
    return this.isRunning;
  }

  /** Whether the loops run, and claim. */
  get isClaiming(): boolean {
    return this.isRunning && this.parts.registry.isClaiming;
  }

  /**
   * Runs the loops during `work`, also in a producer, then stops them and waits for the handlers. In a process that claims anyway, also
   * since a `start` during `work`, they go on.
   *
   * @throws QueueUnavailableError after `stopClaiming` and after `close`.
   */
  async claimDuring(work: () => Promise<void>): Promise<void> {
    const { registry, role } = this.parts;
    const end = async (): Promise<void> => {
      const isWanted = this.isWanted && !this.isClosed;
      if (isWanted && role !== 'producer') {
        return;
      }
      if (this.isRunning) {
        await this.stopAll();
      }
      registry.isClaiming = role !== 'producer';
      this.isRunning = isWanted;
    };
    await this.runExclusive(async () => {
      this.assertOpen();
      if (this.isDraining) {
        throw new QueueUnavailableError('this process has stopped claiming jobs; call start() first');
      }
      if (this.isClaiming) {
        return;
      }
      registry.isClaiming = true;
      this.isRunning = true;
      await this.startAll().catch(async (error: unknown) => {
        await end();
        throw error;
      });
    });
    try {
      await work();
    } finally {
      await this.runExclusive(end);
    }
  }

  /** Stops claiming at once, until `start`. Running handlers go on. */
  stopClaiming(): void {
    this.isDraining = true;
    void this.parts.dispatcher.stop();
    this.parts.presence.markDraining(true);
  }

  /** Does nothing when it is stopped already. */
  stop(): Promise<void> {
    return this.runExclusive(async () => {
      this.isWanted = false;
      if (this.isRunning) {
        await this.stopAll();
        this.isRunning = false;
        if (this.parts.registry.isClaiming) {
          this.parts.logger.log('stopped');
        }
      }
    });
  }

  /** Stops for good. */
  close(): Promise<void> {
    this.isClosed = true;
    return this.stop();
  }

  private assertOpen(): void {
    if (this.isClosed) {
      throw new QueueUnavailableError('the queue was closed with its application and cannot start again');
    }
  }

  private async startAll(): Promise<void> {
    const {
      role,
      registry,
      logger,
      failureLog,
      clock,
      completer,
      heartbeat,
      dispatcher,
      maintenance,
      recorders,
      presence,
      store,
      scheduler,
      worker,
    } = this.parts;
    if (!registry.isClaiming) {
      logger.log("role 'producer': runs no jobs");
      return;
    }
    presence.markDraining(false);
    await scheduler.checkPayloads();
    registry.describe(logger, role);
    completer.start();
    const loops = [heartbeat, dispatcher, ...maintenance, ...recorders];
    const started = Promise.all(loops.map(async (loop) => loop.start()));
    this.stopListening = await store.listen({
      worker: hashWorker(worker),
      onJobs: (topic, hint) => dispatcher.onHint(topic, hint),
      onWorkers: () => presence.onWorkers(),
      onCancel: () => void heartbeat.checkCancelRequests(),
      onSchedules: (isLikely) => scheduler.onHint(isLikely),
      onListening: (isListening, backend) => presence.markNotified(isListening, backend),
      onConnected: () => failureLog.recordSuccess(NOTIFICATIONS),
      onConnectFailed: (error) => failureLog.recordFailure(NOTIFICATIONS, error),
    });
    // After `listen`: the first record says whether notifications arrive.
    await endsWithin(clock, START_GRACE_MS, Promise.all([started, presence.start()]));
  }

  private resumeClaiming(): void {
    const { registry, completer, dispatcher, presence } = this.parts;
    if (registry.isClaiming) {
      completer.start();
      dispatcher.start();
      presence.markDraining(false);
    }
  }

  /** Every wait is bounded: a loop that hangs on a dead connection ends by itself later. */
  private async stopAll(): Promise<void> {
    const { clock, logger, shutdownTimeoutMs, heartbeat, runner, dispatcher, maintenance, recorders, presence } =
      this.parts;
    presence.markDraining(true);
    const drained = dispatcher.stop().then(() => runner.allSettled());
    const others = Promise.all([this.stopListening?.(), ...maintenance.map((loop) => loop.stop())]);
    this.stopListening = undefined;
    if (await endsWithin(clock, shutdownTimeoutMs, drained)) {
      // Handlers that timed out or lost their lease were aborted before. They may still use the connections.
      await endsWithin(clock, Math.min(RELEASE_GRACE_MS, shutdownTimeoutMs), runner.allReturned());
    } else {
      logger.warn(
        `shutdownTimeout (${shutdownTimeoutMs} ms) is over; aborting ${runner.slotCount} running handlers and releasing their jobs`,
      );
      runner.terminateAll();
      await endsWithin(clock, RELEASE_GRACE_MS, drained);
      runner.abandon();
    }
    const ends = Promise.all([others, heartbeat.stop(), presence.stop(), ...recorders.map((loop) => loop.stop())]);
    await endsWithin(clock, RELEASE_GRACE_MS, ends);
  }

  /** Runs calls one after another, outside the caller's async context and its transaction. */
  private runExclusive(work: () => Promise<void>): Promise<void> {
    const result = runDetached(() => this.lastCall.then(work));
    this.lastCall = result.catch(() => undefined);
    return result;
  }
}
