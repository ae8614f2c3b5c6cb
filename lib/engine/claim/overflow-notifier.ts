import type { EngineParts } from '../runtime/engine-parts.js';

type OverflowNotifierParts = Pick<EngineParts, 'store' | 'clock' | 'liveWorkers' | 'pollIntervalMs'> & {
  /** Whether jobs of the topic are due, as far as this process knows, and it cannot claim them at once. */
  readonly overflows: (topic: string) => boolean;
};

/** The processes together notify all at most this often, each of them at most once in this time. */
const PAUSE_MS = 50;

/**
 * A notification or an enqueue in this process wakes one process. When that one has too few free slots, this class notifies all, so that
 * a backlog occupies every process.
 */
export class OverflowNotifier {
  /** Topics with new due jobs that other processes may not know. */
  private readonly topics = new Set<string>();
  private readonly notifiedAtMs = new Map<string, number>();
  private nextMs = -Infinity;

  constructor(private readonly parts: OverflowNotifierParts) {}

  /** This process should claim new jobs of the topic. */
  add(topic: string): void {
    this.topics.add(topic);
  }

  /**
   * A scan has found due jobs of the topic for which this process has no slot. Returns whether others should be notified: not within
   * `pollInterval` of the last time.
   */
  addFound(topic: string): boolean {
    const { clock, pollIntervalMs } = this.parts;
    const isNews = clock.now() - (this.notifiedAtMs.get(topic) ?? -Infinity) >= pollIntervalMs;
    if (isNews) {
      this.topics.add(topic);
    }
    return isNews;
  }

  /** All processes were notified of the topic. */
  recordNotified(topic: string): void {
    const nowMs = this.parts.clock.now();
    this.topics.delete(topic);
    this.notifiedAtMs.set(topic, nowMs);
    this.nextMs = nowMs + PAUSE_MS;
  }

  /** Notifies the others of topics that overflow. Returns after how many milliseconds this should be called again. */
  notify(): number {
    const { store, clock, liveWorkers, overflows } = this.parts;
    const topics = [...this.topics].filter((topic) => liveWorkers.hasOthersFor(topic) && overflows(topic));
    if (topics.length === 0) {
      return Infinity;
    }
    const waitMs = this.nextMs - clock.now();
    if (waitMs > 0) {
      return waitMs;
    }
    store.announce(topics, 'all');
    topics.forEach((topic) => this.recordNotified(topic));
    return Infinity;
  }

  /** Forgets topics of which no job is due any more. */
  clear(isDue: (topic: string) => boolean): void {
    [...this.topics].filter((topic) => !isDue(topic)).forEach((topic) => this.topics.delete(topic));
  }
}
