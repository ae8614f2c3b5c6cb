import type { Duration } from './duration.js';
import { describeValue } from './error-text.js';

/** Stable, machine-readable name of an error. Messages may change between releases; codes may not. */
export type JobsErrorCode =
  | 'PAYLOAD_TOO_LARGE'
  | 'INVALID_PAYLOAD'
  | 'INVALID_OPTIONS'
  | 'JOB_NOT_FOUND'
  | 'JOB_STATE'
  | 'LEASE_LOST'
  | 'MISSING_KEY'
  | 'UNKNOWN_DATA_SOURCE'
  | 'QUEUE_UNAVAILABLE'
  | 'UNRECOVERABLE'
  | 'SNOOZE'
  | 'JOB_ABORTED'
  | 'IDLE_TIMEOUT'
  | 'JOB_FAILED'
  | 'WAIT_TIMEOUT'
  | 'IDEMPOTENCY_CONFLICT'
  | 'DATABASE_REFUSED'
  | 'GROUP_NOT_FOUND'
  | 'SCHEDULE_NOT_FOUND'
  | 'SCHEDULE_STATE';

/** Base of every error that this package throws on purpose. */
export abstract class JobsError extends Error {
  abstract readonly code: JobsErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The JSON text of a payload, or of `metadata`, exceeds its limit. Nothing was stored. */
export class PayloadTooLargeError extends JobsError {
  readonly code = 'PAYLOAD_TOO_LARGE';

  constructor(
    /** What is too large: `payload` or `metadata`. */
    readonly subject: string,
    /** Size of the UTF-8 JSON text, in bytes. */
    readonly bytes: number,
    /** The limit, in bytes. */
    readonly bytesMax: number,
    /** What the limit applies to. With a codec it is the text that would be stored. */
    readonly form: 'JSON text' | 'encoded JSON text' = 'JSON text',
  ) {
    super(`${subject} must be at most ${bytesMax} bytes of ${form}, got ${bytes}`);
  }
}

/** One value of a payload that was rejected. */
export interface PayloadIssue {
  /** Path of the value, such as `payload.items[3].price`. */
  readonly path: string;
  /** Why it was rejected. */
  readonly reason: string;
}

interface InvalidPayloadDetails extends ErrorOptions {
  topic?: string | undefined;
  issues?: readonly PayloadIssue[] | undefined;
}

/** A payload contains a value that JSON or a `jsonb` column cannot store, or its schema rejected it. Nothing was stored. */
export class InvalidPayloadError extends JobsError {
  readonly code = 'INVALID_PAYLOAD';
  /** Topic whose schema rejected the payload at enqueue; `undefined` for other causes. */
  readonly topic: string | undefined;
  /** Everything that was rejected. A schema reports each of its issues, the first 50 at most. */
  readonly issues: readonly PayloadIssue[];

  constructor(
    /** Path of the first rejected value, such as `payload.items[3].price`. */
    readonly path: string,
    /** Why it was rejected. */
    readonly reason: string,
    { topic, issues = [{ path, reason }], ...options }: InvalidPayloadDetails = {},
  ) {
    const text = issues.map((issue) => `${issue.path}: ${issue.reason}`).join('; ');
    super(topic === undefined ? text : `${text} (schema of topic '${topic}')`, options);
    this.topic = topic;
    this.issues = issues;
  }
}

interface InvalidOptionsDetails extends ErrorOptions {
  /** The call that received the option, such as `JobsModule.forRoot`. The message begins with it. */
  call?: string | undefined;
}

/** An option, an argument or a registration is wrong. Nothing was stored or started. */
export class InvalidOptionsError extends JobsError {
  readonly code = 'INVALID_OPTIONS';

  constructor(
    /** Name of the option or argument, such as `sqlite.lockTimeout`. */
    readonly option: string,
    /** The expected and the received value. */
    readonly reason: string,
    { call, ...options }: InvalidOptionsDetails = {},
  ) {
    super(`${call === undefined ? '' : `${call}: `}${option}: ${reason}`, options);
  }
}

/** Returns an error about an option whose message begins with the call; other errors unchanged. */
export function withCall(call: string | undefined, error: unknown): unknown {
  if (!(error instanceof InvalidOptionsError)) {
    return error;
  }
  const { option, reason, cause } = error;
  return new InvalidOptionsError(option, reason, cause === undefined ? { call } : { call, cause });
}

/**
 * The database rejected a statement and would reject it again, for example because of a trigger or a constraint of the
 * application. Nothing was stored. `cause` is the driver's error. It is absent if a commit failed because of an earlier
 * statement.
 */
export class DatabaseRefusedError extends JobsError {
  readonly code = 'DATABASE_REFUSED';
}

/** No job has this id. */
export class JobNotFoundError extends JobsError {
  readonly code = 'JOB_NOT_FOUND';

  constructor(readonly id: string) {
    super(`there is no job ${typeof id === 'string' ? id : describeValue(id)}`);
  }
}

/**
 * The job's status does not allow the request. With a `cause`, the database rejected it, for example because a row of the
 * application references the job. The job is unchanged.
 */
export class JobStateError extends JobsError {
  readonly code = 'JOB_STATE';

  constructor(
    readonly id: string,
    message: string,
    /** Id of the other job that holds the unique key, if that is the reason. */
    readonly holderId?: string,
    options?: ErrorOptions,
  ) {
    super(`job ${id}: ${message}`, options);
  }
}

/** This attempt no longer owns the job: another attempt does, or the job has ended. Roll back the attempt's work. */
export class LeaseLostError extends JobsError {
  readonly code = 'LEASE_LOST';

  constructor(
    readonly id: string,
    readonly attempt: number,
    reason = 'has lost its lease: another attempt owns the job, or it has ended',
  ) {
    super(`attempt ${attempt} of job ${id} ${reason}`);
  }
}

/**
 * Thrown by a codec that lacks the key of a payload. The job returns to the queue without using a retry, so that a process with the key
 * can run it.
 */
export class MissingKeyError extends JobsError {
  readonly code = 'MISSING_KEY';

  constructor(
    readonly keyId: string,
    message = `this process has no key '${keyId}' to decode the payload`,
  ) {
    super(message);
  }
}

/** Compares names, because the codec may throw the class of the other module format. */
export function isMissingKey(error: unknown): error is MissingKeyError {
  return error instanceof MissingKeyError || (error instanceof Error && error.name === 'MissingKeyError');
}

/** The given `EntityManager` does not belong to the queue's DataSource. Nothing was stored. */
export class UnknownDataSourceError extends JobsError {
  readonly code = 'UNKNOWN_DATA_SOURCE';
}

/**
 * The database did not respond or did not grant a lock in time, or a login, a privilege or a table is missing. Retrying an
 * `enqueue` that has a `uniqueKey` is safe until the first job ends.
 */
export class QueueUnavailableError extends JobsError {
  readonly code = 'QUEUE_UNAVAILABLE';
  /** `true` if the write, or a part of it, may have been stored. */
  readonly isUncertain: boolean;

  constructor(message: string, { isUncertain = false, ...options }: ErrorOptions & { isUncertain?: boolean } = {}) {
    super(message, options);
    // The subclasses are internal: applications see the public name.
    this.name = 'QueueUnavailableError';
    this.isUncertain = isUncertain;
  }
}

/** Converts an error of a write to one that says that a part of it, or an earlier try, may have been stored. */
export function toUncertain(cause: Error): QueueUnavailableError {
  return new QueueUnavailableError(cause.message, { cause, isUncertain: true });
}

/** An open transaction holds a row or a unique key of this batch. Other batches can succeed. */
export class RowLockedError extends QueueUnavailableError {}

/** On SQLite another connection or a transaction of this process has held the lock for the whole `lockTimeout`. Nothing was stored. */
export class WriteLockError extends QueueUnavailableError {
  constructor(
    message: string,
    readonly lockTimeoutMs: number,
  ) {
    super(message);
  }
}

/** A login, a privilege, a table or a setting is missing or wrong. Other statements can succeed. */
export class DatabaseDeniedError extends QueueUnavailableError {}

/** A statement exceeded its time limit. A smaller batch can succeed. */
export class StatementCancelledError extends QueueUnavailableError {}

/** Whether an error means that the database is unavailable as a whole, and not only for one statement. */
export function isOutage(error: unknown): error is QueueUnavailableError {
  return (
    error instanceof QueueUnavailableError &&
    !(
      error instanceof RowLockedError ||
      error instanceof StatementCancelledError ||
      error instanceof DatabaseDeniedError
    )
  );
}

/** Thrown by a handler to fail its job at once, even if retries are left. Any error with this `name` has the same effect. */
export class UnrecoverableError extends JobsError {
  readonly code = 'UNRECOVERABLE';
}

/** Returns whether the error forbids a retry. Compares names, because shared code may throw the class of another queue. */
export function isUnrecoverable(error: unknown): boolean {
  return error instanceof UnrecoverableError || (error instanceof Error && error.name === 'UnrecoverableError');
}

/** Thrown by a handler to reschedule its job after `delay` without using a retry. */
export class SnoozeError extends JobsError {
  readonly code = 'SNOOZE';

  constructor(
    /** Milliseconds, or text such as `'5m'`. */
    readonly delay: Duration,
    message = `snoozed for ${delay}`,
  ) {
    super(message);
  }
}

/**
 * Why the queue aborted the signal of an attempt. `late`: guards and pipes have taken so long that a call of the handler would exceed the
 * rate of its topic. The job returns to the queue.
 */
export type AbortReason = 'timeout' | 'cancelled' | 'shutdown' | 'late';

/** The `reason` of an aborted `job.signal`. After a lost lease, the reason is a `LeaseLostError`. */
export class JobAbortedError extends JobsError {
  readonly code = 'JOB_ABORTED';

  constructor(
    readonly reason: AbortReason,
    message: string,
  ) {
    super(message);
  }
}

/** The unfinished work of one topic in this process. */
export interface UnfinishedTopic {
  readonly topic: string;
  /** Handlers that have not returned. */
  readonly running: number;
  /** Claimed jobs that wait for a slot. */
  readonly buffered: number;
  /** Jobs whose handler has returned and whose outcome is not stored yet. */
  readonly unrecorded: number;
  /** Whether due jobs wait to be claimed. */
  readonly isDue: boolean;
}

/** `whenIdle` reached its timeout. The message lists the unfinished work by topic. */
export class IdleTimeoutError extends JobsError {
  readonly code = 'IDLE_TIMEOUT';

  constructor(
    message: string,
    /** Sorted by topic. */
    readonly topics: readonly UnfinishedTopic[] = [],
  ) {
    super(message);
  }
}

/** The idempotency key belongs to another request. Nothing was stored. */
export class IdempotencyConflictError extends JobsError {
  readonly code = 'IDEMPOTENCY_CONFLICT';

  constructor(readonly key: string) {
    super(
      `idempotency key '${key}' was used for another request in the last 24 hours; expected the same body, or a new key`,
    );
  }
}

/** No group has this id. */
export class GroupNotFoundError extends JobsError {
  readonly code = 'GROUP_NOT_FOUND';

  constructor(readonly group: string) {
    super(`there is no group '${group}'`);
  }
}

/** No schedule has this name. */
export class ScheduleNotFoundError extends JobsError {
  readonly code = 'SCHEDULE_NOT_FOUND';

  constructor(readonly schedule: string) {
    super(`there is no schedule '${schedule}'`);
  }
}

/** The schedule cannot be changed: the code of a process declares it, or other processes keep changing it. */
export class ScheduleStateError extends JobsError {
  readonly code = 'SCHEDULE_STATE';

  constructor(
    readonly schedule: string,
    message: string,
  ) {
    super(`schedule '${schedule}' ${message}`);
  }
}
