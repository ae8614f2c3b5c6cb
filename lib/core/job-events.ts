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
  /** Milliseconds the handler ran in this process; `null` when it did not: another process ran it, or it had not begun. */
  readonly durationMs: number | null;
}

/**
 * What happened to a job, as this process saw it; emitted after the write has committed. `failed` is the hook for
 * "failed for good", lost leases included.
 */
export type JobEvent =
  | (JobEventBase & { readonly type: 'enqueued'; readonly runAt: Date; readonly deduplicated: boolean })
  | (AttemptEventBase & {
      readonly type: 'started';
      /** Milliseconds it was due before it started. */
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
  | (EndedAttemptBase & { readonly type: 'snoozed'; readonly runAt: Date; readonly reason: 'snooze' | 'release' })
  | (EndedAttemptBase & { readonly type: 'cancelled' })
  | (AttemptEventBase & { readonly type: 'rescued'; readonly retries: number })
  | (EndedAttemptBase & { readonly type: 'lease_lost' });

/** Names of what happens to jobs, as `jobs.events` tells it. */
export type JobEventType = JobEvent['type'];
