import type { Clock } from '../../core/clock.js';
import { DatabaseRefusedError, StatementCancelledError } from '../../core/errors.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { JobsLogger } from '../../core/logger.js';
import type { JobStore } from '../../store/job-store.js';
import type { Attempt } from './attempt.js';
import { PollLoop } from '../poll-loop.js';
import { AdaptiveBatchSize } from '../adaptive-batch-size.js';

export interface HeartbeatOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly leaseMs: number;
}

/**
 * Renews the leases of all attempts of this process, every third of a lease, until each is settled; and brings back
 * what somebody else did to the jobs: cancel requests, and leases that were lost.
 */
export class Heartbeat {
  /** In no order. A set would give each attempt a hash first: a twentieth of what Node spends on a job. */
  private readonly held: Attempt[] = [];
  private readonly size = new AdaptiveBatchSize();
  private readonly renewals: PollLoop;
  private readonly watch: PollLoop;

  constructor(private readonly options: HeartbeatOptions) {
    this.renewals = new PollLoop({
      ...options,
      name: 'renewal of leases',
      intervalMs: options.leaseMs / 3,
      work: () => this.beat(),
    });
    // Apart from the renewals, since one that hangs is how leases get lost.
    this.watch = new PollLoop({
      ...options,
      name: 'watch over leases',
      intervalMs: options.leaseMs / 6,
      work: async () => this.dropExpired(),
    });
  }

  start(): void {
    this.renewals.start();
    this.watch.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.renewals.stop(), this.watch.stop()]);
  }

  /** The attempts whose leases it renews: those whose outcome is not in the table yet. */
  get attempts(): readonly Attempt[] {
    return this.held;
  }

  /** Once for each attempt. */
  track(attempt: Attempt): void {
    attempt.heldAt = this.held.push(attempt) - 1;
  }

  /** Harmless for one that is not held. */
  untrack(attempt: Attempt): void {
    const { heldAt } = attempt;
    if (heldAt === undefined) {
      return;
    }
    const last = this.held.pop()!;
    if (last !== attempt) {
      this.held[heldAt] = last;
      last.heldAt = heldAt;
    }
    attempt.heldAt = undefined;
  }

  /** Asks at once whether any running job is to be cancelled; for hints of other processes. */
  async checkCancelRequests(): Promise<void> {
    const attempts = [...this.held];
    if (attempts.length === 0) {
      return;
    }
    try {
      const tokens = await this.options.store.cancelRequests(attempts.map(({ claim }) => claim));
      const ids = new Set(tokens.map(({ id }) => id));
      attempts.filter(({ id }) => ids.has(id)).forEach((attempt) => attempt.cancel());
    } catch (error) {
      // The next renewal brings them too.
      this.options.logger.debug(`cancel requests were not read: ${toErrorMessage(error)}`);
    }
  }

  private async beat(): Promise<number | void> {
    // What ends first comes first, where they take several statements.
    const attempts = [...this.held].sort((one, other) => one.leaseEndsMs - other.leaseEndsMs);
    const isAnyBusy = attempts.length > 0 && (await this.renewAll(attempts));
    return isAnyBusy ? this.options.leaseMs / 10 : undefined;
  }

  /** In halves where there are too many, or the database refuses one of them: the others must not lose their leases. */
  private async renewAll(attempts: readonly Attempt[]): Promise<boolean> {
    if (attempts.length > this.size.limit) {
      return this.renewHalves(attempts);
    }
    try {
      const isAnyBusy = await this.renew(attempts);
      this.size.grow();
      return isAnyBusy;
    } catch (error) {
      const isTooLarge = error instanceof StatementCancelledError;
      if (isTooLarge) {
        this.size.shrink(attempts.length);
      }
      if ((isTooLarge || error instanceof DatabaseRefusedError) && attempts.length > 1) {
        return this.renewHalves(attempts);
      }
      throw error;
    }
  }

  /** @throws what the last refused one was refused for, when all others are renewed. */
  private async renewHalves(attempts: readonly Attempt[]): Promise<boolean> {
    const middle = Math.ceil(attempts.length / 2);
    let isAnyBusy = false;
    let refusal: DatabaseRefusedError | undefined;
    for (const half of [attempts.slice(0, middle), attempts.slice(middle)]) {
      try {
        isAnyBusy = (await this.renewAll(half)) || isAnyBusy;
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
    return isAnyBusy;
  }

  private async renew(attempts: readonly Attempt[]): Promise<boolean> {
    const { store, clock, leaseMs, logger } = this.options;
    const askedMs = clock.now();
    const renewals = await store.renew(
      attempts.map(({ claim }) => claim),
      leaseMs,
    );
    const tookMs = clock.now() - askedMs;
    if (tookMs > leaseMs / 3) {
      logger.warn(
        `renewing leases took ${Math.round(tookMs)} ms of a lease of ${leaseMs} ms; a longer lease would be safer`,
      );
    }
    attempts.forEach((attempt, index) => {
      const { state, cancelRequested, rowRef: place } = renewals[index]!;
      if (state === 'held') {
        attempt.setRowRef(place);
        attempt.leaseEndsMs = askedMs + leaseMs;
      }
      if (state === 'lost' && attempt.mustBeProcessing) {
        attempt.loseLease();
      }
      if (cancelRequested) {
        attempt.cancel();
      }
    });
    return renewals.some(({ state }) => state === 'busy');
  }

  private dropExpired(): void {
    [...this.held].forEach((attempt) => attempt.loseEndedLease());
  }
}
