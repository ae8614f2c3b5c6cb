/**
 * The payload of a dead letter: a job that the queue inserts when another one has failed for good, into the topic that `deadLetter` or
 * `@OnJobFailed` names. `T` is the type of the failed job's payload.
 */
export interface DeadLetter<T = unknown> {
  /** Id of the failed job. */
  readonly id: string;
  /** Topic of the failed job. */
  readonly topic: string;
  /** Payload of the failed job, as it was stored. */
  readonly payload: T;
  /** Metadata of the failed job, as its enqueuer gave it. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /** Error of the last attempt. */
  readonly lastError: string;
  /** Number of the last attempt. Counts every claim, like `job.attempt`. */
  readonly attempt: number;
  /** When the failed job was enqueued, ISO 8601 in UTC. */
  readonly created: string;
  /** When it failed for good, ISO 8601 in UTC. */
  readonly failed: string;
}

/** Member of a failed job's metadata: the dead letters of its last failure, `{ id, topic }` each. */
export const DEAD_LETTERS_METADATA = '$deadLetters';

/** Member of a dead letter's metadata: `{ id, topics }`, the id of the failed job, and the topics that the chain of failures has passed. */
export const FAILED_JOB_METADATA = '$failedJob';

/** Returns how many jobs have failed, one after another, before this dead letter was stored; 0 for other jobs. */
export function countFailures(metadata: Readonly<Record<string, unknown>> | null): number {
  const { topics } = (metadata?.[FAILED_JOB_METADATA] ?? {}) as { topics?: unknown };
  return Array.isArray(topics) ? topics.length : 0;
}

/** Whether a payload is that of a dead letter, as it was stored. A user may have replaced it at a re-queue. */
export function isDeadLetter(payload: unknown): payload is DeadLetter {
  const members = ['id', 'topic', 'payload', 'metadata', 'lastError', 'attempt', 'created', 'failed'];
  return typeof payload === 'object' && payload !== null && members.every((name) => Object.hasOwn(payload, name));
}

/** A topic that receives the dead letters of another one, and the settings of the inserted jobs. */
export interface DeadLetterTarget {
  readonly topic: string;
  readonly maxRetries: number;
  readonly priority: number;
}
