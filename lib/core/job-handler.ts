import type { ParentJob } from './dependencies.js';
import type { Duration } from './duration.js';
import type { JobLogLevel } from './job-log.js';
import type { ScheduleTick } from './schedule.js';

/**
 * The argument of a handler: one attempt of one job.
 *
 * `Tx` is the type of a transaction, TypeORM's `EntityManager`. `R` is the type of the result. `Adapted` is that of a transaction of
 * another ORM.
 */
export interface JobContext<T = unknown, Tx extends object = object, R = unknown, Adapted extends object = Tx> {
  /** The job's id, UUID v7. All attempts share it, so it can serve as an idempotency key for other services. */
  readonly id: string;
  readonly topic: string;
  /** The payload as enqueued, or the output of the topic's schema. */
  readonly payload: T;
  /** 1 for the first attempt. Rises with each claim, also after crashes and snoozes. */
  readonly attempt: number;
  /** Failed attempts since the job was enqueued or last requeued. */
  readonly retries: number;
  /** If `retries` has reached this number, this attempt is the last one. */
  readonly maxRetries: number;
  /** When this attempt was due, by the database's clock. */
  readonly runAt: Date;
  /** When the job was enqueued, by the database's clock. */
  readonly created: Date;
  /** The metadata given at enqueue; `null` if there was none. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /** The schedule that made the job; `undefined` for other jobs. */
  readonly schedule: ScheduleTick | undefined;
  /**
   * Aborts on timeout, cancel and forced shutdown (reason: {@link JobAbortedError}) and on a lost lease (reason:
   * {@link LeaseLostError}). Pass it to everything that the handler awaits.
   */
  readonly signal: AbortSignal;
  /**
   * The handler's transaction, with `transactional: true`.
   *
   * @throws InvalidOptionsError in a handler that is not transactional.
   */
  readonly manager: Tx;
  /**
   * The transaction object of the ORM, with `transactional: true`: what the option `transactions` has adapted, or else `manager`.
   *
   * @throws InvalidOptionsError in a handler that is not transactional.
   */
  readonly tx: object;
  /**
   * Records how far the job is: any JSON value. A note replaces a value over 64 KiB. Does not wait for the database: the worker
   * writes the latest value at most once a second, and with the outcome of the attempt. A database outage never rejects the call.
   *
   * @throws InvalidPayloadError for a value that is not JSON; its path starts with `progress`.
   * @throws LeaseLostError if the attempt has ended or has lost its lease.
   */
  progress(value: unknown): Promise<void>;
  /**
   * Writes a line to the log of the job, with any JSON value as data. A line over 4 KiB is cut. The job keeps its newest 200 lines, or
   * `logs.maxLines`. Does not wait for the database: the worker writes all lines at most once a second, and before the outcome of the
   * attempt. After the attempt has ended or has lost its lease the line is ignored.
   *
   * @param level default `'info'`.
   * @throws InvalidPayloadError for data that is not JSON; its path starts with `data`.
   * @throws InvalidOptionsError for an unknown level.
   */
  readonly log: (message: string, data?: unknown, level?: JobLogLevel) => void;
  /**
   * Runs a part of the handler, and records its result with the job. A later attempt skips the step and gets that result. Resolves when
   * the result is stored, with the parsed JSON of the result. A step may run twice: the process may die, or lose the lease, after the
   * effect of the step and before its result is stored.
   *
   * @param name 1 to 100 characters, the same in each attempt. Each step of a handler needs its own.
   * @param run its result must be JSON or `undefined`. All steps of a job have at most 64 KiB together. If it throws, nothing is recorded.
   * @throws InvalidOptionsError for an invalid name, and for the name of a step that runs or has finished in this attempt.
   * @throws InvalidPayloadError, PayloadTooLargeError for the result: the step has run, and will run again.
   * @throws LeaseLostError if the attempt has ended or has lost its lease; JobAbortedError if it was aborted before the step started.
   */
  readonly step: <T>(name: string, run: () => T | Promise<T>) => Promise<T>;
  /**
   * Marks the job completed inside the caller's transaction: its writes and `completed` commit together or not at all.
   * Await the call, let its error roll the transaction back, and return from the handler afterwards.
   *
   * @param result stored as the job's result if it is JSON.
   * @throws LeaseLostError if another attempt owns the job or the job has ended.
   * @throws JobStateError if a cancel was requested.
   * @throws UnknownDataSourceError if the transaction is one of another database.
   */
  completeTx(tx: Tx | Adapted, result?: R): Promise<void>;
  /** The id of the job's group, also in its callbacks; `undefined` for other jobs. */
  readonly groupId: string | undefined;
  /** Returns the jobs in `dependsOn` of this job, in that order, with their results. Empty for a job without parents. */
  parents(): Promise<ParentJob[]>;
}

/** Runs one job. The queue stores the returned value as the job's result if it is JSON. Throwing fails the attempt. */
export type JobHandlerFunction<T = unknown, Tx extends object = object> = (job: JobContext<T, Tx>) => unknown;

/** The argument of a batch handler: one attempt each of several jobs. */
export interface JobBatch<
  T = unknown,
  Tx extends object = object,
  R = unknown,
  Adapted extends object = Tx,
> extends ReadonlyArray<BatchedJob<T, Tx, R, Adapted>> {
  /**
   * Aborts when no member is left to work on: each is marked or its own signal has aborted. So it aborts on the timeout of the call,
   * a forced shutdown, or when the last open member is cancelled or loses its lease.
   */
  readonly signal: AbortSignal;
  /**
   * Completes the members without a mark inside the caller's transaction: its writes and all these completions commit together or
   * not at all. Await the call, and let its error roll the transaction back. To leave a member out, mark it before.
   *
   * @throws LeaseLostError if another attempt owns one of them or it has ended.
   * @throws JobStateError if a cancel of one of them was requested.
   * @throws UnknownDataSourceError if the transaction is one of another database.
   */
  completeTx(tx: Tx | Adapted): Promise<void>;
}

/**
 * A member of a batch. Its first mark decides its outcome, and the queue stores it at once: do not work on the member afterwards. A
 * mark after the attempt has ended is ignored.
 */
export interface BatchedJob<
  T = unknown,
  Tx extends object = object,
  R = unknown,
  Adapted extends object = Tx,
> extends JobContext<T, Tx, R, Adapted> {
  /** Completes the job. @param result stored as its result if it is JSON. */
  complete(result?: R): void;
  /** Fails the attempt, with the same rules as a thrown error. */
  fail(error: unknown): void;
  /** Runs the job again after this time, without using a retry. @throws InvalidOptionsError for a value that is no duration. */
  snooze(delay: Duration): void;
}

/**
 * Runs several jobs in one call. When it returns, the members without a mark complete; the queue ignores the value. When it throws,
 * they fail.
 */
export type BatchHandlerFunction<T = unknown, Tx extends object = object> = (jobs: JobBatch<T, Tx>) => unknown;

/** A handler of any kind. */
export type AnyHandler = (argument: never) => unknown;
