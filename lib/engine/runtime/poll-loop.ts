import type { Clock, ScheduledWake } from '../../core/clock.js';
import { backoffMs } from '../../core/backoff.js';
import type { FailureLog } from './failure-log.js';

interface PollLoopOptions {
  /** Names the loop in the log. Unique in the process. */
  readonly name: string;
  readonly intervalMs: number;
  /** How long to sleep before the first pass. Default 0. */
  readonly initialDelayMs?: number;
  /** One pass of the loop. May return the time to sleep in milliseconds; the default is the interval, with jitter. */
  readonly work: () => Promise<number | void>;
  readonly clock: Clock;
  readonly failureLog: FailureLog;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
}

const FAILURE_PAUSE_MIN_MS = 100;
const FAILURE_PAUSE_MAX_MS = 5_000;
const JITTER = 0.1;

/**
 * A loop: work, an abortable sleep, work again, until it is stopped. The first failure is logged; the loop goes on with
 * growing pauses and logs its recovery.
 */
export class PollLoop {
  private isStopped = true;
  private isWoken = false;
  private failures = 0;
  private generation = 0;
  private isLooping = false;
  private running: Promise<void> = Promise.resolve();
  private endSleep: (() => void) | undefined;
  private readonly passWaiters: (() => void)[] = [];
  /** When the current pass began, or the first one that failed; later when a pass reported that it works. */
  private unprovenSinceMs: number | undefined;

  constructor(private readonly options: PollLoopOptions) {}

  /** Starts with a pass at once. Has no effect when the loop already runs. */
  start(): void {
    if (this.isStopped) {
      this.isStopped = false;
      this.generation += 1;
      const generation = this.generation;
      // After a `stop` that was not awaited, the previous loop ends first.
      this.running = this.isLooping ? this.running.then(() => this.loop(generation)) : this.loop(generation);
    }
  }

  /** Resolves when the current pass has ended. May be called more than once. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.endSleep?.();
    await this.running;
    this.endPass();
    this.unprovenSinceMs = undefined;
    this.options.failureLog.forget(this.options.name);
  }

  /** Starts the next pass now, or right after the current one. A failing loop keeps its pause. */
  wake(): void {
    this.isWoken = true;
    if (this.failures === 0) {
      this.endSleep?.();
    }
  }

  /** Resolves when the current or the next pass has ended, with an error too; at once while the loop is stopped. */
  passed(): Promise<void> {
    if (this.isStopped) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.passWaiters.push(resolve);
      if (this.endSleep) {
        this.wake();
      }
    });
  }

  /** Whether the loop has made no progress for longer than this: its pass hangs, or each one fails. */
  isStuck(limitMs: number): boolean {
    return this.unprovenSinceMs !== undefined && this.options.clock.now() - this.unprovenSinceMs > limitMs;
  }

  /** Logs the recovery after a failure. The loop does so after a pass without an error; a long pass may call this earlier. */
  markHealthy(): void {
    this.unprovenSinceMs &&= this.options.clock.now();
    if (this.failures > 0) {
      this.failures = 0;
      this.options.failureLog.recordSuccess(this.options.name);
    }
  }

  private async loop(generation: number): Promise<void> {
    this.isLooping = true;
    const isCurrent = (): boolean => !this.isStopped && generation === this.generation;
    if (this.options.initialDelayMs) {
      await this.sleep(this.options.initialDelayMs);
    }
    while (isCurrent()) {
      this.isWoken = false;
      const sleepMs = await this.runOnce();
      this.endPass();
      if (isCurrent() && !(this.isWoken && this.failures === 0)) {
        await this.sleep(sleepMs);
      }
    }
    this.isLooping = false;
  }

  private endPass(): void {
    this.passWaiters.splice(0).forEach((resolve) => resolve());
  }

  /** @returns how long to sleep. */
  private async runOnce(): Promise<number> {
    const { name, work, failureLog, random, intervalMs, clock } = this.options;
    this.unprovenSinceMs ??= clock.now();
    try {
      const sleepMs = await work();
      this.markHealthy();
      this.unprovenSinceMs = undefined;
      return sleepMs ?? intervalMs * (1 + JITTER * (2 * random() - 1));
    } catch (error) {
      failureLog.recordFailure(name, error);
      // At most one interval: a frequent loop must resume soon after the database is back.
      const maxMs = Math.max(FAILURE_PAUSE_MIN_MS, Math.min(FAILURE_PAUSE_MAX_MS, intervalMs));
      const pauseMs = backoffMs(this.failures, { minMs: FAILURE_PAUSE_MIN_MS, maxMs }, random());
      this.failures += 1;
      return pauseMs;
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.endSleep = undefined;
        resolve();
      };
      const timer: ScheduledWake = this.options.clock.schedule(ms, end);
      this.endSleep = end;
    });
  }
}
