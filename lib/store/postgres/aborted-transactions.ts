import type { QueryRunner } from 'typeorm';
import { DatabaseRefusedError } from '../../core/errors.js';
import { TRANSACTION_HAS_FAILED } from './failures.js';

/** The part of `pg.Client` that knows of its transaction. */
interface InTransaction {
  /** `E` once a statement in it has failed. Not there in older versions, and `null` before anything was answered. */
  getTransactionStatus?(): string | null;
  /** Whether all that was sent is answered, the status with it. */
  readonly readyForQuery?: boolean;
}

/**
 * PostgreSQL answers the COMMIT of a transaction in which a statement has failed as if it had done it, and rolls back. Whoever caught
 * the error of that statement would never hear that the jobs are gone.
 *
 * @throws DatabaseRefusedError when that is how this one stands.
 */
export async function refuseAborted(queryRunner: QueryRunner): Promise<void> {
  const client = (await queryRunner.connect()) as InTransaction;
  const status = client.readyForQuery === true ? client.getTransactionStatus?.() : undefined;
  const isAborted = typeof status === 'string' ? status === 'E' : await refusesStatements(queryRunner);
  if (isAborted) {
    throw new DatabaseRefusedError(
      'PostgreSQL commits nothing of this transaction, the jobs neither: a statement in it has failed, and its error was caught; let it through, or put what may fail into a savepoint (manager.transaction)',
    );
  }
}

async function refusesStatements(queryRunner: QueryRunner): Promise<boolean> {
  try {
    await queryRunner.query('SELECT 1');
    return false;
  } catch (error) {
    return (error as { driverError?: { code?: unknown } }).driverError?.code === TRANSACTION_HAS_FAILED;
  }
}
