import type { Clock, ScheduledWake } from '../core/clock.js';
import { toFailure } from '../core/error-text.js';
import { growingBackoffMs } from '../core/backoff.js';
import type { JobsLogger } from '../core/logger.js';

export interface PeriodicOptions {
  /** What the loop is called in the log. */
  readonly name: string;
  readonly intervalMs: number;
  /** One round. May return how long to sleep instead of the interval. */
  readonly work: () => Promise<number | void>;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** A number in [0, 1); spreads the rounds of many processes over time. */
  readonly random: () => number;
}

const FAILURE_PAUSE_MIN_MS = 100;
const FAILURE_PAUSE_MAX_MS = 5_000;
const JITTER = 0.1;

/**
 * A loop: a round of work, a sleep that can be cut short, and so on until it is stopped. A round that fails is logged
 * once; the loop goes on with growing pauses, and says when it is well again.
 */
export class PollLoop {
  private isStopped = true;
  private isWoken = false;
  private failures = 0;
  private generation = 0;
  private isLooping = false;
  private running: Promise<void> = Promise.resolve();
  private endSleep: (() => void) | undefined;

  constructor(private readonly options: PeriodicOptions) {}

  /** Begins with a round at once. Harmless when it runs already. */
  start(): void {
    if (this.isStopped) {
      this.isStopped = false;
      this.generation += 1;
      const mine = this.generation;
      // After a stop that nobody awaited, the loop before this one ends first.
      this.running = this.isLooping ? this.running.then(() => this.loop(mine)) : this.loop(mine);
    }
  }

  /** Resolves when the round under way has ended. Harmless when it is stopped already. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.endSleep?.();
    await this.running;
  }

  /** Begins the next round now, or right after the one under way. A failing loop keeps its pause. */
  wake(): void {
    this.isWoken = true;
    if (this.failures === 0) {
      this.endSleep?.();
    }
  }

  /** Its work goes well, though the round has not ended: what has failed is over. */
  markHealthy(): void {
    if (this.failures > 0) {
      this.failures = 0;
      this.options.logger.log(`${this.options.name}: goes on`);
    }
  }

  private async loop(generation: number): Promise<void> {
    this.isLooping = true;
    const isCurrent = (): boolean => !this.isStopped && generation === this.generation;
    while (isCurrent()) {
      this.isWoken = false;
      const sleepMs = await this.round();
      if (isCurrent() && !(this.isWoken && this.failures === 0)) {
        await this.sleep(sleepMs);
      }
    }
    this.isLooping = false;
  }

  private async round(): Promise<number> {
    const { name, work, logger, random, intervalMs } = this.options;
    try {
      const sleepMs = await work();
      this.markHealthy();
      return sleepMs ?? intervalMs * (1 + JITTER * (2 * random() - 1));
    } catch (error) {
      if (this.failures === 0) {
        const { message, stack } = toFailure(error);
        logger.error(`${name}: failed, trying again: ${message}`, stack ?? undefined);
      }
      // A loop that is meant to run often must not come too late when the database is back.
      const maxMs = Math.max(FAILURE_PAUSE_MIN_MS, Math.min(FAILURE_PAUSE_MAX_MS, intervalMs));
      const pauseMs = growingBackoffMs(this.failures, { minMs: FAILURE_PAUSE_MIN_MS, maxMs }, random());
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
