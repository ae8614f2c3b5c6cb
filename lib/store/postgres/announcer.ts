import type { Clock } from '../../core/clock.js';

/** Notifications are merged within this time: each takes a lock that all commits of the database share. */
const WINDOW_MS = 5;

/**
 * Sends hints to other processes: the first at once, those that come within a few milliseconds as one at the end of
 * that time, with a topic when all of them are of one topic.
 */
export class Announcer {
  private readonly waiting = new Set<string>();
  private isResting = false;

  constructor(
    private readonly send: (topic: string) => void,
    private readonly clock: Clock,
  ) {}

  announce(topics: readonly string[]): void {
    topics.forEach((topic) => this.waiting.add(topic));
    if (!this.isResting) {
      this.flush();
    }
  }

  private flush(): void {
    const [topic] = this.waiting;
    if (topic === undefined) {
      return;
    }
    this.send(this.waiting.size === 1 ? topic : '');
    this.waiting.clear();
    this.isResting = true;
    this.clock.schedule(WINDOW_MS, () => {
      this.isResting = false;
      this.flush();
    });
  }
}
