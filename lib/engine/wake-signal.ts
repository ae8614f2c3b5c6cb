import type { JobStore } from '../store/job-store.js';
import type { LaneName } from '../store/store-records.js';
import { earliestOfLanes } from '../store/store-records.js';

/** Where a new job waits, and until when. */
export interface StoredJob extends LaneName {
  readonly runAt: Date;
}

/** Implemented by the dispatcher. */
export interface WakeListener {
  /** Jobs may be due: in one lane, or in all lanes of the topic. The dispatcher claims them. */
  wake(topic: string, priority?: number, dueAt?: Date): void;
  /** A job may be due at `dueAt`. The dispatcher scans for it before it claims. */
  expect(topic: string, priority: number, dueAt: Date): void;
}

/** Wakes the dispatcher when jobs become due. Any part may use it: the engine makes it before all others. */
export class WakeSignal {
  private listener: WakeListener | undefined;

  constructor(private readonly store: Pick<JobStore, 'announce'>) {}

  listen(listener: WakeListener): void {
    this.listener = listener;
  }

  /** This process has committed jobs. */
  stored(jobs: readonly StoredJob[]): void {
    for (const { topic, priority, runAt } of earliestOfLanes(jobs)) {
      this.listener?.wake(topic, priority, runAt);
    }
  }

  /** An insert has no answer, so its jobs may be committed. A claim would fail where the database is read-only. */
  maybeStored(jobs: readonly LaneName[]): void {
    const runAt = new Date();
    for (const { topic, priority } of earliestOfLanes(
      jobs.map(({ topic, priority }) => ({ topic, priority, runAt })),
    )) {
      this.listener?.expect(topic, priority, runAt);
    }
  }

  /** A job waits until `dueAt`. */
  expect(topic: string, priority: number, dueAt: Date): void {
    this.listener?.expect(topic, priority, dueAt);
  }

  /** Jobs of these topics may be due. Notifies the other processes too. */
  announce(topics: readonly string[]): void {
    topics.forEach((topic) => this.listener?.wake(topic));
    this.store.announce(topics);
  }
}
