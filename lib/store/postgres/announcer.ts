import type { Clock, ScheduledWake } from '../../core/clock.js';

/** Notifications are merged within this time: each takes a lock that all commits of the database share. */
const WINDOW_MS = 5;

/**
 * A statement that begins this long after the last one takes along what has gathered since. Under a steady flow none is sent
 * for its own sake then: with 64 callers such took a twelfth of all that could be stored.
 */
const CARRY_AFTER_MS = 3;

/** Topics may be longer than what a notification carries in bytes. */
const HINT_BYTES_MAX = 4_000;

/**
 * Hints to other processes: the first at once, those that come within a few milliseconds as one at the end of that time,
 * with a topic when all of them are of one topic. An empty hint says "any".
 */
export class Announcer {
  private readonly waiting = new Set<string>();
  /** Until its end hints are merged. */
  private rest: ScheduledWake | undefined;
  private sentAtMs = -Infinity;

  constructor(
    private readonly send: (hint: string) => void,
    private readonly clock: Clock,
  ) {}

  /** Jobs of these topics have been stored. */
  announce(topics: Iterable<string>): void {
    this.gather(topics);
    if (!this.rest && this.waiting.size > 0) {
      this.send(this.take());
    }
  }

  /**
   * The hint for a statement to take along that is about to store jobs of these topics, which saves a round trip and a
   * commit. `undefined` when it has to wait: then they are to be announced when they are stored.
   *
   * @param isCertain whether the statement sends it whatever comes of these jobs: it may speak of those of others, too.
   */
  hintFor(topics: Iterable<string>, isCertain: boolean): string | undefined {
    const mayCarry = isCertain && this.clock.now() - this.sentAtMs >= CARRY_AFTER_MS;
    if (this.rest && !mayCarry) {
      return undefined;
    }
    this.gather(topics);
    return this.waiting.size > 0 ? this.take() : undefined;
  }

  private gather(topics: Iterable<string>): void {
    for (const topic of topics) {
      this.waiting.add(topic);
    }
  }

  /** All that waits, as one. */
  private take(): string {
    const [topic] = this.waiting;
    const hint = this.waiting.size === 1 && Buffer.byteLength(topic!) <= HINT_BYTES_MAX ? topic! : '';
    this.waiting.clear();
    this.sentAtMs = this.clock.now();
    this.rest?.cancel();
    this.rest = this.clock.schedule(WINDOW_MS, () => {
      this.rest = undefined;
      this.announce([]);
    });
    return hint;
  }
}
