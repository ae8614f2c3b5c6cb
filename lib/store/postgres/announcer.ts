import type { Clock, ScheduledWake } from '../../core/clock.js';
import { HintCodec } from './hint-codec.js';

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
export interface CarriedHint {
  readonly hint: string;
  /** To be called when it is. Unless that is soon, the hints of others in it are sent once more. */
  wasSent(): void;
}

/**
 * Hints to other processes: the first at once, those that come within a few milliseconds as one, with the next insert or at
 * the end of that time.
 */
export class Announcer {
  /** What writes its hints, and reads those of others. */
  readonly codec = new HintCodec();

  private readonly waiting = new Set<string>();
  /** Until its end hints are merged. */
  private rest: ScheduledWake | undefined;
  private sentAtMs = -Infinity;
  private sending: Promise<void> | undefined;

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
    if (!this.rest && !this.sending && this.waiting.size > 0) {
      this.sending = this.send(this.take()).then(() => {
        this.sending = undefined;
        this.announce([]);
      });
    }
  }

  /** Sends what waits now, and rests no more: at the end. */
  async flush(): Promise<void> {
    await this.sending;
    this.endRest();
    this.announce([]);
    await this.sending;
    this.endRest();
  }

  /**
   * The hint for a statement that is about to store jobs of these topics, which saves a round trip and a commit. `undefined`
   * when it has to wait: then they are to be announced when they are stored.
   *
   * @param mayCarry whether the statement sends it whenever it succeeds: then it may speak of what others have stored, too.
   */
  hintFor(topics: Iterable<string>, mayCarry: boolean): CarriedHint | undefined {
    if (this.rest && !(mayCarry && this.clock.now() - this.sentAtMs >= CARRY_AFTER_MS)) {
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
    this.endRest();
    this.rest = this.clock.schedule(WINDOW_MS, () => {
      this.rest = undefined;
      this.announce([]);
    });
    return hint;
  }

  private endRest(): void {
    this.rest?.cancel();
    this.rest = undefined;
  }
}
