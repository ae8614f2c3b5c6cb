import type { Job, Schedule, TopicStats } from '../../../client/index.js';

interface RequeueRequest {
  readonly job: Job;
  readonly isEdited: boolean;
  /** Jobs were cancelled because this one failed: they may run again, too. */
  readonly hasDependants: boolean;
}

/** Which dialog is open, wherever it was asked for. */
class Overlays {
  enqueue: { topic: string; payload: string } | null = $state.raw(null);
  /** The job that runs again, with another payload if it is edited. */
  requeue: RequeueRequest | null = $state.raw(null);
  /** The schedule that is edited; `start: null` creates one. */
  schedule: { start: Schedule | null } | null = $state.raw(null);
  /** The topic whose limits are edited. */
  limits: TopicStats | null = $state.raw(null);
  isHelpOpen = $state(false);
  isSearchOpen = $state(false);

  openEnqueue(topic = '', payload = ''): void {
    this.enqueue = { topic, payload };
  }

  close(): void {
    this.enqueue = null;
    this.requeue = null;
    this.schedule = null;
    this.limits = null;
    this.isHelpOpen = false;
    this.isSearchOpen = false;
  }
}

export const overlays = new Overlays();
