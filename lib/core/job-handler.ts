import type { ScheduleTick } from './schedule.js';

/**
 * The argument of a handler: one attempt of one job.
 *
 * `Tx` is the type of a transaction, TypeORM's `EntityManager`. `R` is the type of the result.
 */
export interface JobContext<T = unknown, Tx extends object = object, R = unknown> {
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
   * Records how far the job is: any JSON value. A note replaces a value over 64 KiB. Does not wait for the database: the worker
   * writes the latest value at most once a second, and with the outcome of the attempt. A database outage never rejects the call.
   *
   * @throws InvalidPayloadError for a value that is not JSON; its path starts with `progress`.
   * @throws LeaseLostError if the attempt has ended or has lost its lease.
   */
  progress(value: unknown): Promise<void>;
  /**
   * Marks the job completed inside the caller's transaction: its writes and `completed` commit together or not at all.
   * Await the call, let its error roll the transaction back, and return from the handler afterwards.
   *
   * @param result stored as the job's result if it is JSON.
   * @throws LeaseLostError if another attempt owns the job or the job has ended.
   * @throws JobStateError if a cancel was requested.
   * @throws UnknownDataSourceError if the manager belongs to another DataSource.
   */
  completeTx(manager: Tx, result?: R): Promise<void>;
}

/** Runs one job. The queue stores the returned value as the job's result if it is JSON. Throwing fails the attempt. */
export type JobHandlerFunction<T = unknown, Tx extends object = object> = (job: JobContext<T, Tx>) => unknown;
