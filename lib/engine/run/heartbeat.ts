import { toErrorMessage } from '../../core/error-text.js';
import { DatabaseRefusedError, StatementCancelledError } from '../../core/errors.js';
import { AdaptiveBatchSize } from '../runtime/adaptive-batch-size.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { Attempt } from './attempt.js';
import { EventLoopWatch } from './event-loop-watch.js';

/**
 * Renews the leases of all attempts of this process, every third of a lease, until their outcomes are in the rows. The response
 * reports cancel requests and lost leases.
 */
export class Heartbeat {
  /** In no order. A `Set` computes a hash for each attempt: a twentieth of what Node spends on a job. */
  private readonly tracked: Attempt[] = [];
  private readonly size = new AdaptiveBatchSize();
  private readonly renewalLoop: PollLoop;
  private readonly expiryLoop: PollLoop;
  private readonly eventLoop: EventLoopWatch;

  constructor(
    private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'leaseMs'>,
  ) {
    this.eventLoop = new EventLoopWatch(parts);
    this.renewalLoop = new PollLoop({
      ...parts,
      name: 'renewing leases',
      intervalMs: parts.leaseMs / 3,
      work: () => this.renewTracked(),
    });
    // A loop of its own, since leases expire while a renewal hangs.
    this.expiryLoop = new PollLoop({
      ...parts,
      name: 'checking leases',
      intervalMs: parts.leaseMs / 6,
      work: () => this.checkLeases(),
    });
  }

  start(): void {
    this.renewalLoop.start();
    this.expiryLoop.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.renewalLoop.stop(), this.expiryLoop.stop()]);
  }

  /** Renews now. Aborts the attempts that have lost their lease. */
  wake(): void {
    this.renewalLoop.wake();
  }

  isStuck(limitMs: number): boolean {
    return this.renewalLoop.isStuck(limitMs);
  }

  /** The attempts whose leases it renews. */
  get attempts(): readonly Attempt[] {
    return this.tracked;
  }

  /** Call this once for each attempt. */
  track(attempt: Attempt): void {
    attempt.trackedAt = this.tracked.push(attempt) - 1;
  }

  /** Does nothing for an attempt that is not tracked. */
  untrack(attempt: Attempt): void {
    const { trackedAt } = attempt;
    if (trackedAt === undefined) {
      return;
    }
    const last = this.tracked.pop()!;
    if (last !== attempt) {
      this.tracked[trackedAt] = last;
      last.trackedAt = trackedAt;
    }
    attempt.trackedAt = undefined;
  }

  /** Call this when an attempt ends that has run for long: it may have stopped the event loop, and is not tracked for much longer. */
  checkEventLoop(): void {
    this.eventLoop.check(this.tracked);
  }

  /** Reads the cancel requests of all attempts now. Called for a notification of another process. */
  async checkCancelRequests(): Promise<void> {
    const attempts = [...this.tracked];
    if (attempts.length === 0) {
      return;
    }
    try {
      const tokens = await this.parts.store.cancelRequests(attempts.map(({ claim }) => claim));
      const ids = new Set(tokens.map(({ id }) => id));
      attempts.filter(({ id }) => ids.has(id)).forEach((attempt) => attempt.cancel());
    } catch (error) {
      this.parts.logger.debug(`could not read cancel requests; the next renewal brings them: ${toErrorMessage(error)}`);
    }
  }

  private checkLeases(): Promise<number> {
    const pauseMs = this.eventLoop.check(this.tracked);
    [...this.tracked].forEach((attempt) => attempt.loseExpiredLease());
    return Promise.resolve(pauseMs);
  }

  /** Returns a shorter pause when rows were locked. */
  private async renewTracked(): Promise<number | void> {
    // Leases that expire first come first, in case several statements are needed.
    const attempts = [...this.tracked].sort((a, b) => a.leaseEndsMs - b.leaseEndsMs);
    const hasLockedRow = attempts.length > 0 && (await this.renewAll(attempts));
    await this.eventLoop.explainLosses();
    return hasLockedRow ? this.parts.leaseMs / 10 : undefined;
  }

  /** Returns whether a row was locked. Splits a set that is too large, or that the database refuses because of one row. */
  private async renewAll(attempts: readonly Attempt[]): Promise<boolean> {
    if (attempts.length > this.size.limit) {
      return this.renewHalves(attempts);
    }
    try {
      const hasLockedRow = await this.renew(attempts);
      this.size.grow();
      return hasLockedRow;
    } catch (error) {
      const tookTooLong = error instanceof StatementCancelledError;
      if (tookTooLong) {
        this.size.shrink(attempts.length);
      }
      if ((tookTooLong || error instanceof DatabaseRefusedError) && attempts.length > 1) {
        return this.renewHalves(attempts);
      }
      throw error;
    }
  }

  /** @throws the last refusal, after all other leases were renewed. */
  private async renewHalves(attempts: readonly Attempt[]): Promise<boolean> {
    const middle = Math.ceil(attempts.length / 2);
    let hasLockedRow = false;
    let refusal: DatabaseRefusedError | undefined;
    for (const half of [attempts.slice(0, middle), attempts.slice(middle)]) {
      try {
        hasLockedRow = (await this.renewAll(half)) || hasLockedRow;
      } catch (error) {
        if (!(error instanceof DatabaseRefusedError)) {
          throw error;
        }
        refusal = error;
      }
    }
    if (refusal) {
      throw refusal;
    }
    return hasLockedRow;
  }

  private async renew(attempts: readonly Attempt[]): Promise<boolean> {
    const { store, clock, leaseMs, logger } = this.parts;
    const sentMs = clock.now();
    const states = await store.renew(
      attempts.map(({ claim }) => claim),
      leaseMs,
    );
    const tookMs = clock.now() - sentMs;
    if (tookMs > leaseMs / 3) {
      logger.warn(`renewing leases took ${Math.round(tookMs)} ms of a lease of ${leaseMs} ms; raise the option lease`);
    }
    attempts.forEach((attempt, index) => {
      const row = states[index]!;
      if (row.state === 'held') {
        attempt.leaseEndsMs = sentMs + leaseMs;
      }
      attempt.applyState(row);
    });
    return states.some(({ state }) => state === 'locked');
  }
}
