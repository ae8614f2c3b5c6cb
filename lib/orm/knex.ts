import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, HAS_ENDED, toQuestionMarks, toRows } from './adapter.js';

const KNEX = { orm: 'Knex', expected: 'the `trx` of knex.transaction(async (trx) => …)' };

/** A `Knex.Transaction`. */
interface KnexTransaction {
  readonly isTransaction?: boolean;
  readonly executionPromise: PromiseLike<unknown>;
  /** The transaction around a savepoint. */
  readonly parentTransaction?: KnexTransaction;
  isCompleted(): boolean;
  raw(sql: string, bindings: never): PromiseLike<unknown>;
  on(event: 'query', listener: (query: { readonly sql: string }) => void): unknown;
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
    onEnd: (listener) => void hasCommitted(trx).then(listener),
  };
}

const ends = new WeakMap<KnexTransaction, Promise<boolean>>();

/** Resolves when the outermost transaction has ended, or this savepoint has been rolled back. Never rejects. */
function hasCommitted(trx: KnexTransaction): Promise<boolean> {
  const known = ends.get(trx) ?? watchEnd(trx);
  ends.set(trx, known);
  return known;
}

async function watchEnd(trx: KnexTransaction): Promise<boolean> {
  const outer = trx.parentTransaction && hasCommitted(trx.parentTransaction);
  let last = '';
  trx.on('query', ({ sql }) => (last = sql));
  try {
    await trx.executionPromise;
  } catch {
    return false;
  }
  // `trx.rollback()` without an error resolves the promise too.
  return !/^ROLLBACK\b/i.test(last) && (outer ?? true);
}
