import type { Clock } from '../../core/clock.js';

/** Notifications are merged within this time: each takes a lock that all commits of the database share. */
const WINDOW_MS = 5;

/** Topics may be longer than what a notification carries in bytes. */
const HINT_BYTES_MAX = 4_000;

/**
 * Hints to other processes: the first at once, those that come within a few milliseconds as one at the end of that time,
 * with a topic when all of them are of one topic. An empty hint says "any".
 */
export class Announcer {
  private readonly waiting = new Set<string>();
  private isResting = false;

  constructor(
    private readonly send: (hint: string) => void,
    private readonly clock: Clock,
  ) {}

  /** Jobs of these topics have been stored. */
  announce(topics: Iterable<string>): void {
    const hint = this.take(topics);
    if (hint !== undefined) {
      this.send(hint);
    }
  }

  /**
   * The hint for a statement to take along that is about to store jobs of these topics, which saves a round trip and a
   * commit. `undefined` when it has to wait: then they are to be announced when they are stored.
   */
  hintFor(topics: Iterable<string>): string | undefined {
    return this.isResting ? undefined : this.take(topics);
  }

  private take(topics: Iterable<string>): string | undefined {
    for (const topic of topics) {
      this.waiting.add(topic);
    }
    const [topic] = this.waiting;
    if (this.isResting || topic === undefined) {
      return undefined;
    }
    const hint = this.waiting.size === 1 && Buffer.byteLength(topic) <= HINT_BYTES_MAX ? topic : '';
    this.waiting.clear();
    this.isResting = true;
    this.clock.schedule(WINDOW_MS, () => {
      this.isResting = false;
      this.announce([]);
    });
    return hint;
  }
}
