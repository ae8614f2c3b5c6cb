import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, HAS_ENDED, toQuestionMarks, toRows } from './adapter.js';

const KNEX = { orm: 'Knex', expected: 'the `trx` of knex.transaction(async (trx) => …)' };

/** A `Knex.Transaction`. */
interface KnexTransaction {
  readonly isTransaction?: boolean;
  isCompleted(): boolean;
  raw(sql: string, bindings: never): PromiseLike<unknown>;
}

/** Returns a transaction of Knex, on `pg` or `better-sqlite3`. @publicApi */
export function fromKnex(trx: KnexTransaction): JobsTransaction {
  assertHandle(KNEX, trx, 'raw');
  assertTransaction(KNEX, trx.isTransaction === true, 'knex itself');
  return {
    ...KNEX,
    handle: trx,
    async query(sql, params) {
      assertTransaction(KNEX, !trx.isCompleted(), HAS_ENDED);
      const { text, values } = toQuestionMarks(sql, params);
      return toRows(await trx.raw(text, values as never));
    },
  };
}
