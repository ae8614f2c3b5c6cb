/**
 * An open transaction of the application, of any ORM. The functions of `nestjs-jobs/orm` return one; an application may write its own.
 *
 * @publicApi
 */
export interface JobsTransaction {
  /** Runs a statement in the transaction, and returns its rows by column name. Parameters are `$1` on PostgreSQL, `?` on SQLite. */
  query(sql: string, params: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /** The ORM's own object, for messages. Two transactions with one handle are the same. */
  readonly handle: object;
  /**
   * Calls the listener once with `true` after the commit, and with `false` or never after a rollback. The event `enqueued` then comes after
   * the commit. Leave it out when the ORM does not report its commits.
   */
  onEnd?(listener: (committed: boolean) => void): void;
}

/** Runs work in a new transaction, and resolves after its commit. */
export type RunInTransaction = <T>(work: (tx: JobsTransaction) => Promise<T>) => Promise<T>;
