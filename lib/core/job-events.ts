import type { Failure } from './error-text.js';

interface JobEventBase {
  readonly id: string;
  readonly topic: string;
}

interface AttemptEventBase extends JobEventBase {
  /** 1 for the first. */
  readonly attempt: number;
}

interface EndedAttemptBase extends AttemptEventBase {
  /** Milliseconds that the handler ran in this process; `null` if it ran in another process or had not started. */
  readonly durationMs: number | null;
}

interface UncommittedBase {
  /**
   * Set when the job was stored in a transaction whose ORM does not report its commit: the event is emitted before the commit, and
   * the transaction may still roll back.
   */
  readonly uncommitted?: true;
}

/**
 * A change of a job, made or observed by this process and emitted after the commit. `failed` means failed for good: no
 * further attempt follows.
 */
export type JobEvent =
  | (JobEventBase &
      UncommittedBase & { readonly type: 'enqueued'; readonly runAt: Date; readonly deduplicated: boolean })
  /** A debounced call has replaced the payload of a waiting job. */
  | (JobEventBase & UncommittedBase & { readonly type: 'replaced'; readonly runAt: Date })
  | (AttemptEventBase & {
      readonly type: 'started';
      /** Milliseconds that the job was due before it started. */
      readonly waitedMs: number;
    })
  | (EndedAttemptBase & { readonly type: 'completed' })
  | (EndedAttemptBase & { readonly type: 'failed'; readonly error: Failure })
  | (EndedAttemptBase & {
      readonly type: 'retrying';
      readonly error: Failure;
      readonly retries: number;
      readonly runAt: Date;
    })
  | (EndedAttemptBase & { readonly type: 'snoozed'; readonly runAt: Date })
  /** This process returned a claimed job to the queue without an outcome: at shutdown, or because it cannot start the job now. */
  | (EndedAttemptBase & { readonly type: 'released'; readonly runAt: Date })
  | (EndedAttemptBase & { readonly type: 'cancelled' })
  /** The job had not started by its expiry, and is cancelled. `attempt` is 0 if it was never claimed. */
  | (AttemptEventBase & { readonly type: 'expired' })
  | (AttemptEventBase & { readonly type: 'rescued'; readonly retries: number })
  | (EndedAttemptBase & { readonly type: 'lease_lost' });

/** The `type` of a {@link JobEvent}. */
export type JobEventType = JobEvent['type'];

const TYPES: Readonly<Record<JobEventType, true>> = {
  enqueued: true,
  replaced: true,
  started: true,
  completed: true,
  failed: true,
  retrying: true,
  snoozed: true,
  released: true,
  cancelled: true,
  expired: true,
  rescued: true,
  lease_lost: true,
};

/** Every {@link JobEventType}. */
export const JOB_EVENT_TYPES = Object.keys(TYPES) as readonly JobEventType[];
