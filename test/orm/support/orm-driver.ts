import type { JobsTransaction } from 'nestjs-jobs';

/** An ORM with its databases. Its packages have a lock file of their own, beside the driver. */
export interface OrmDriver {
  readonly databases: readonly ('postgres' | 'sqlite')[];
  /** Whether transactions on SQLite end with the tick. */
  readonly isSynchronous?: boolean;
  /** Whether the adapter recognizes a transaction that has ended. */
  readonly knowsEnd: boolean;
  /** Whether the adapter reports the commit. */
  readonly reportsCommit?: boolean;
  /** @param url of the database, or the path of a SQLite file. */
  open(database: 'postgres' | 'sqlite', url: string): Promise<OpenOrm>;
}

export interface OpenOrm {
  /**
   * Runs work in a transaction, which commits, or rolls back after `work`.
   *
   * @param timeoutMs after which the ORM ends the transaction, if it can.
   */
  transact<T>(work: (tx: OrmTransaction) => Promise<T>, isRolledBack?: boolean, timeoutMs?: number): Promise<T>;
  /** Passes what is no transaction to the adapter: the client. */
  adaptClient(): JobsTransaction;
  /** The ORM and its table `orders`, as the code of guide/your-orm.md calls them. */
  readonly guideNames: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

export interface OrmTransaction {
  /** Calls the adapter. */
  adapt(): JobsTransaction;
  /** Runs a statement of the application. */
  run(sql: string): Promise<unknown>;
  /** Runs work in a savepoint of the ORM. Only where the adapter reports the commit. */
  nest?<T>(work: (tx: OrmTransaction) => Promise<T>, isRolledBack?: boolean): Promise<T>;
}

/** Smaller than the number of callers at once. */
export const POOL_SIZE = 3;

/** Thrown to roll a transaction back. */
export class RolledBack extends Error {}

/** Runs work and rolls back if asked to; for ORMs whose transactions end with a callback. */
export async function runAsync<T>(
  begin: (work: (tx: OrmTransaction) => Promise<T>) => Promise<unknown>,
  work: (tx: OrmTransaction) => Promise<T>,
  isRolledBack: boolean,
): Promise<T> {
  let value!: T;
  try {
    await begin(async (tx) => {
      value = await work(tx);
      if (isRolledBack) throw new RolledBack();
      return value;
    });
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
  }
  return value;
}
