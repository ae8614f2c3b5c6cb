import { describeValue } from './error-text.js';

/** The stable, machine-readable name of an error; messages may be reworded between releases, codes may not. */
export type JobsErrorCode =
  | 'PAYLOAD_TOO_LARGE'
  | 'INVALID_PAYLOAD'
  | 'INVALID_OPTIONS'
  | 'JOB_NOT_FOUND'
  | 'JOB_STATE'
  | 'LEASE_LOST'
  | 'UNKNOWN_DATA_SOURCE'
  | 'QUEUE_UNAVAILABLE'
  | 'UNRECOVERABLE'
  | 'SNOOZE'
  | 'JOB_ABORTED'
  | 'IDLE_TIMEOUT'
  | 'IDEMPOTENCY_CONFLICT'
  | 'DATABASE_REFUSED';

/** Base of every error this package throws on purpose. */
export abstract class JobsError extends Error {
  abstract readonly code: JobsErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The JSON text of a payload (or of `metadata`) is longer than allowed. Nothing was stored. */
export class PayloadTooLargeError extends JobsError {
  readonly code = 'PAYLOAD_TOO_LARGE';

  constructor(
    /** What was too large: `payload` or `metadata`. */
    readonly subject: string,
    /** Size of the UTF-8 JSON text, in bytes. */
    readonly bytes: number,
    /** The limit, in bytes. */
    readonly bytesMax: number,
  ) {
    super(`${subject} must be at most ${bytesMax} bytes of JSON text, got ${bytes}`);
  }
}

interface InvalidPayloadDetails extends ErrorOptions {
  topic?: string | undefined;
}

/** A payload holds something that JSON, or a `jsonb` column, cannot carry. Nothing was stored. */
export class InvalidPayloadError extends JobsError {
  readonly code = 'INVALID_PAYLOAD';
  /** Of the job that was to be, where the schema of its topic refused it: a handler that enqueues it has a payload of its own. */
  readonly topic: string | undefined;

  constructor(
    /** Where the refused value stands, such as `payload.items[3].price`. */
    readonly path: string,
    /** Why it was refused. */
    readonly reason: string,
    options: InvalidPayloadDetails = {},
  ) {
    const { topic } = options;
    super(topic === undefined ? `${path}: ${reason}` : `${path}: ${reason} (schema of topic '${topic}')`, options);
    this.topic = topic;
  }
}

/** An option, an argument or a registration is wrong. Nothing was stored or started. */
export class InvalidOptionsError extends JobsError {
  readonly code = 'INVALID_OPTIONS';

  constructor(
    /** Name of the option or argument, such as `sqlite.lockTimeout`. */
    readonly option: string,
    /** What was expected, and what came. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`${option}: ${reason}`, options);
  }
}

/**
 * The database refuses what it was sent, and would refuse it again: a trigger or a constraint of the application's, for
 * example. What it refuses is not stored. `cause` is the driver's error. Without a `cause` it comes from the commit of a
 * transaction of the application's in which the queue took part, and which is rolled back since a statement in it had failed:
 * by PostgreSQL, or by the queue where TypeORM might commit it too early.
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
 * The job stands in a status that does not allow the request, or the database refuses it, for example since a row of the
 * application's refers to a job that is to be deleted: then `cause` says why. The job is as it was.
 */
export class JobStateError extends JobsError {
  readonly code = 'JOB_STATE';

  constructor(
    readonly id: string,
    message: string,
    /** The unfinished job that holds the unique key, when that is what stands in the way. */
    readonly holderId?: string,
    options?: ErrorOptions,
  ) {
    super(`job ${id}: ${message}`, options);
  }
}

/** This attempt does not own the job any more: another one does, or the job has ended. Roll back what it did. */
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

/** The given `EntityManager` belongs to a DataSource other than the one the queue lives in. Nothing was stored. */
export class UnknownDataSourceError extends JobsError {
  readonly code = 'UNKNOWN_DATA_SOURCE';
}

/**
 * The database did not answer, or does not serve the queue at present (a login, a privilege or the table is missing), or its lock
 * did not come in time. Repeating an `enqueue` with a `uniqueKey` is safe while the first job has not ended.
 */
export class QueueUnavailableError extends JobsError {
  readonly code = 'QUEUE_UNAVAILABLE';
  /** Whether a write may have been stored all the same, or a part of it: its answer was lost. */
  readonly isUncertain: boolean;

  constructor(message: string, { isUncertain = false, ...options }: ErrorOptions & { isUncertain?: boolean } = {}) {
    super(message, options);
    // Also of the kinds below, which applications cannot import.
    this.name = 'QueueUnavailableError';
    this.isUncertain = isUncertain;
  }
}

/** The same news, of a write of which a part, or a first try, may have been stored. */
export function toUncertain(cause: Error): QueueUnavailableError {
  return new QueueUnavailableError(cause.message, { cause, isUncertain: true });
}

/** A row or a unique key that this set needs is held by an open transaction; other sets may go through. */
export class RowLockedError extends QueueUnavailableError {}

/** A statement took longer than it may: a smaller set may go through. */
export class StatementCancelledError extends QueueUnavailableError {}

/**
 * Thrown by a handler to fail its job at once, whatever retries are left. An error of this name from elsewhere does the same: a
 * service that two queues call throws that of one of them.
 */
export class UnrecoverableError extends JobsError {
  readonly code = 'UNRECOVERABLE';
}

/** Whether a handler says by this error that another try would be in vain. */
export function isUnrecoverable(error: unknown): boolean {
  return error instanceof UnrecoverableError || (error instanceof Error && error.name === 'UnrecoverableError');
}

/** Thrown by a handler to put its job back for `delay` without using a retry. */
export class SnoozeError extends JobsError {
  readonly code = 'SNOOZE';

  constructor(
    /** Milliseconds, or text such as `'5m'`. */
    readonly delay: number | string,
    message = `snoozed for ${delay}`,
  ) {
    super(message);
  }
}

/** Why the signal of a running attempt was aborted. */
export type AbortReason = 'timeout' | 'cancelled' | 'shutdown';

/** What `job.signal.reason` is when an attempt is told to end; a lost lease gives a `LeaseLostError` instead. */
export class JobAbortedError extends JobsError {
  readonly code = 'JOB_ABORTED';

  constructor(
    readonly reason: AbortReason,
    message: string,
  ) {
    super(message);
  }
}

/** What keeps a process from being idle, of one topic. */
export interface UnfinishedTopic {
  readonly topic: string;
  /** Handlers that have not returned. */
  readonly running: number;
  /** Claimed jobs that wait for a slot. */
  readonly buffered: number;
  /** Jobs whose handler has returned, and whose outcome is not in the table. */
  readonly unrecorded: number;
  /** Whether jobs are due that nobody has claimed. */
  readonly isDue: boolean;
}

/** `whenIdle` ran out of time; the message says what was still going on, topic by topic. */
export class IdleTimeoutError extends JobsError {
  readonly code = 'IDLE_TIMEOUT';

  constructor(
    message: string,
    /** In the order of their names. */
    readonly topics: readonly UnfinishedTopic[] = [],
  ) {
    super(message);
  }
}

/** The idempotency key has come before, with another request. Nothing was stored. */
export class IdempotencyConflictError extends JobsError {
  readonly code = 'IDEMPOTENCY_CONFLICT';

  constructor(readonly key: string) {
    super(
      `idempotency key '${key}' was used for another request in the last 24 hours; expected the same body, or a new key`,
    );
  }
}
