import type { Clock, ScheduledWake } from '../../core/clock.js';
import { NotificationPayload } from './notification-payload.js';

/** Notifications are merged within this time: each takes a lock that all commits of the database share. */
const WINDOW_MS = 5;

/**
 * An insert that begins this long after the last hint takes along those that wait. Under a steady flow no hint needs a
 * statement of its own: with 64 callers those took a twelfth of what could be stored.
 */
const CARRY_AFTER_MS = 3;

/** Hints of others are left for so long to a statement that may not come back. */
const CARRY_MAX_MS = 20;

/** A hint that a statement is to send with its commit. */
export interface PiggybackNotification {
  readonly hint: string;
  /** To be called when it is. Unless that is soon, the hints of others in it are sent once more. */
  wasSent(): void;
}

/**
 * Hints to other processes: the first at once, those that come within a few milliseconds as one, with the next insert or at
 * the end of that time.
 */
export class Notifier {
  /** What writes its hints, and reads those of others. */
  readonly codec = new NotificationPayload();

  private readonly waiting = new Set<string>();
  private sentAtMs = -Infinity;
  private sending: Promise<void> | undefined;
  /** Sends what waits when the rest after the last hint is over. */
  private afterRest: ScheduledWake | undefined;

  /**
   * @param send never fails. One is under way at a time: where they take long, the next one speaks for all that have come
   * meanwhile.
   */
  constructor(
    private readonly send: (hint: string) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  /** Jobs of these topics have been stored. */
  announce(topics: Iterable<string>): void {
    this.gather(topics);
    if (this.sending || this.waiting.size === 0) {
      return;
    }
    const restMs = WINDOW_MS - this.sinceSentMs;
    if (restMs > 0) {
      this.afterRest ??= this.clock.schedule(restMs, () => this.sendWaiting());
    } else {
      this.sendWaiting();
    }
  }

  /** Sends what waits now, and what comes meanwhile: at the end. */
  async flush(): Promise<void> {
    do {
      await this.sending;
      this.sendWaiting();
    } while (this.sending);
  }

  /**
   * The hint for a statement that is about to store jobs of these topics, which saves a round trip and a commit. `undefined`
   * when it has to wait: then they are to be announced when they are stored.
   *
   * @param mayCarry whether the statement sends it whenever it succeeds: then it may speak of what others have stored, too.
   */
  hintFor(topics: Iterable<string>, mayCarry: boolean): PiggybackNotification | undefined {
    if (this.sinceSentMs < (mayCarry ? CARRY_AFTER_MS : WINDOW_MS)) {
      return undefined;
    }
    const others = [...this.waiting];
    this.gather(topics);
    const hint = this.take();
    const late = others.length > 0 ? this.clock.schedule(CARRY_MAX_MS, () => this.announce(others)) : undefined;
    return { hint, wasSent: () => late?.cancel() };
  }

  private gather(topics: Iterable<string>): void {
    for (const topic of topics) {
      this.waiting.add(topic);
    }
  }

  /** All that waits, as one. */
  private take(): string {
    const hint = this.codec.encode(this.waiting);
    this.waiting.clear();
    this.sentAtMs = this.clock.now();
    this.afterRest?.cancel();
    this.afterRest = undefined;
    return hint;
  }

  private get sinceSentMs(): number {
    return this.clock.now() - this.sentAtMs;
  }

  private sendWaiting(): void {
    if (this.sending || this.waiting.size === 0) {
      return;
    }
    this.sending = this.send(this.take()).then(() => {
      this.sending = undefined;
      this.announce([]);
    });
  }
}
