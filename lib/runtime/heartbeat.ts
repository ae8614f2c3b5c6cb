import type { Clock } from '../core/clock.js';
import type { JobsLogger } from '../core/logger.js';
import type { JobStore } from '../store/job-store.js';
import type { Attempt } from './attempt.js';
import { Periodic } from './periodic.js';

export interface HeartbeatOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly leaseMs: number;
}

const BATCH_MAX = 1_000;

/**
 * Renews the leases of all attempts of this process, every third of a lease, until each is settled; and brings back
 * what somebody else did to the jobs: cancel requests, and leases that were lost.
 */
export class Heartbeat {
  private readonly held = new Set<Attempt>();
  private readonly renewals: Periodic;
  private readonly watch: Periodic;

  constructor(private readonly options: HeartbeatOptions) {
    this.renewals = new Periodic({
      ...options,
      name: 'renewal of leases',
      intervalMs: options.leaseMs / 3,
      work: () => this.beat(),
    });
    // Apart from the renewals, since one that hangs is how leases get lost.
    this.watch = new Periodic({
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
  get attempts(): ReadonlySet<Attempt> {
    return this.held;
  }

  hold(attempt: Attempt): void {
    this.held.add(attempt);
  }

  letGo(attempt: Attempt): void {
    this.held.delete(attempt);
  }

  /** Asks at once whether any running job is to be cancelled; for hints of other processes. */
  async lookForCancels(): Promise<void> {
    const attempts = this.batch();
    if (attempts.length === 0) {
      return;
    }
    try {
      const tokens = await this.options.store.cancelRequests(attempts.map(({ claim }) => claim));
      const ids = new Set(tokens.map(({ id }) => id));
      attempts.filter(({ id }) => ids.has(id)).forEach(cancelled);
    } catch (error) {
      // The next renewal brings them too.
      this.options.logger.debug(`cancel requests were not read: ${String(error)}`);
    }
  }

  private async beat(): Promise<number | void> {
    let isAnyBusy = false;
    const attempts = this.batch();
    for (let from = 0; from < attempts.length; from += BATCH_MAX) {
      isAnyBusy = (await this.renew(attempts.slice(from, from + BATCH_MAX))) || isAnyBusy;
    }
    return isAnyBusy ? this.options.leaseMs / 10 : undefined;
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
      const { state, cancelRequested } = renewals[index]!;
      if (state === 'renewed') {
        attempt.leaseEndsMs = askedMs + leaseMs;
      }
      if (state === 'lost' && isOurs(attempt)) {
        attempt.loseLease();
      }
      if (cancelRequested) {
        cancelled(attempt);
      }
    });
    return renewals.some(({ state }) => state === 'busy');
  }

  /** Attempts whose lease must have ended, since the database has not answered for so long. */
  private dropExpired(): void {
    const nowMs = this.options.clock.now();
    for (const attempt of this.held) {
      if (attempt.leaseEndsMs <= nowMs && isOurs(attempt)) {
        attempt.loseLease();
      }
    }
  }

  private batch(): Attempt[] {
    return [...this.held];
  }
}

/** Whether the row must still be `processing`: once an outcome is on its way, what it says is the settler's to judge. */
function isOurs(attempt: Attempt): boolean {
  return !attempt.isSettling && !attempt.mayBeCompleted;
}

function cancelled(attempt: Attempt): void {
  attempt.abort('cancelled', 'somebody asked to cancel the job');
}
