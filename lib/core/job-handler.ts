/**
 * What a handler is given: one attempt of one job.
 *
 * `Tx` is what stands for a transaction, an `EntityManager` of TypeORM.
 */
export interface JobContext<T = unknown, Tx extends object = object> {
  /** The job's id, UUID v7: the same for all attempts, and good as a key for services that know repetitions by one. */
  readonly id: string;
  readonly topic: string;
  /** As it was enqueued, or what the topic's schema made of it. */
  readonly payload: T;
  /** 1 for the first; rises with each claim, crashes and snoozes included. */
  readonly attempt: number;
  /** Failed attempts since it was enqueued or last re-queued. */
  readonly retries: number;
  /** This attempt is the last one when `retries` has reached it. */
  readonly maxRetries: number;
  /** When this attempt was due, by the database's clock. */
  readonly runAt: Date;
  /** When the job was enqueued, by the database's clock. */
  readonly created: Date;
  /** The notes that were given at enqueue; `null` when there were none. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /**
   * Aborts on timeout, cancel, forced shutdown ({@link JobAbortedError} as its reason) and lost lease
   * ({@link LeaseLostError}). Hand it to whatever waits.
   */
  readonly signal: AbortSignal;
  /**
   * The transaction of the handler, with `transactional: true`.
   *
   * @throws InvalidOptionsError in a handler that is not transactional.
   */
  readonly manager: Tx;
  /**
   * Keeps a value, at most 64 KiB of JSON, where everybody can see how far the job is. While a transaction holds the job's row
   * for longer than a moment, as one of the handler's own with `completeTx`, values are left out.
   *
   * @throws LeaseLostError when another attempt owns the job; QueueUnavailableError when the database does not answer.
   */
  progress(value: unknown): Promise<void>;
  /**
   * Marks the job completed inside the caller's own transaction: its writes and `completed` commit together or not at
   * all. Await it, let the error roll the transaction back, and return from the handler afterwards.
   *
   * @param result kept as the job's result, when JSON.
   * @throws LeaseLostError when another attempt owns the job or it has ended.
   * @throws JobStateError when a cancel was requested.
   * @throws UnknownDataSourceError when the manager belongs to another DataSource.
   */
  completeTx(manager: Tx, result?: unknown): Promise<void>;
}

/** Runs the jobs of a topic. What it returns, when JSON, is kept as the job's result; throwing fails the attempt. */
export type JobHandlerFunction<T = unknown, Tx extends object = object> = (job: JobContext<T, Tx>) => unknown;
