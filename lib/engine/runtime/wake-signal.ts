import type { JobStore } from '../../store/job-store.js';
import type { LaneName } from '../../store/jobs/job-records.js';
import { selectEarliest } from '../../store/jobs/job-records.js';

/** Where a new job waits, and until when. */
export interface StoredJob extends LaneName {
  readonly runAt: Date;
}

/** Implemented by the dispatcher. */
export interface WakeListener {
  /** Jobs may be due: in one lane, or in all lanes of the topic. The dispatcher claims them. */
  wake(topic: string, priority?: number, dueAt?: Date): void;
  /**
   * A job may be due at `dueAt`. The dispatcher scans for it before it claims.
   *
   * @param isUncertain the server may store the job later, without a notification.
   */
  scanAt(topic: string, priority: number, dueAt: Date, isUncertain?: boolean): void;
  /** Whether this process claims new jobs of these topics at once, one job for each topic given. */
  canClaim(topics: readonly string[]): boolean;
}

/** Wakes the dispatcher when jobs become due. The engine creates it first, so that every part can use it. */
export class WakeSignal {
  private listener: WakeListener | undefined;

  constructor(private readonly store: Pick<JobStore, 'announce'>) {}

  listen(listener: WakeListener): void {
    this.listener = listener;
  }

  /** Whether this process claims these jobs at once when they are stored: no other process must be notified. */
  canClaim(jobs: readonly { readonly topic: string }[]): boolean {
    return this.listener?.canClaim(jobs.map(({ topic }) => topic)) ?? false;
  }

  /** This process has committed jobs. */
  onStored(jobs: readonly StoredJob[]): void {
    for (const { topic, priority, runAt } of selectEarliest(jobs)) {
      this.listener?.wake(topic, priority, runAt);
    }
  }

  /**
   * The response to an insert was lost, so its jobs may be committed, now or later. The dispatcher scans for them and does not claim: a
   * claim fails when the database is read-only.
   */
  onMaybeStored(jobs: readonly LaneName[]): void {
    const runAt = new Date();
    for (const { topic, priority } of selectEarliest(jobs.map(({ topic, priority }) => ({ topic, priority, runAt })))) {
      this.listener?.scanAt(topic, priority, runAt, true);
    }
  }

  /** A job waits until `dueAt`. */
  scanAt(topic: string, priority: number, dueAt: Date): void {
    this.listener?.scanAt(topic, priority, dueAt);
  }

  /** Jobs of these topics may be due. Wakes all processes. */
  announce(topics: readonly string[]): void {
    topics.forEach((topic) => this.listener?.wake(topic));
    this.store.announce(topics, 'all');
  }

  /** These jobs are due. Wakes one process: this one, if it can claim them all. */
  offer(jobs: readonly { readonly topic: string }[]): void {
    const isOwn = this.canClaim(jobs);
    const topics = [...new Set(jobs.map(({ topic }) => topic))];
    topics.forEach((topic) => this.listener?.wake(topic));
    if (!isOwn) {
      this.store.announce(topics);
    }
  }
}
