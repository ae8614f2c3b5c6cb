import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, toRows } from './adapter.js';

const POSTGRES_JS = { orm: 'postgres.js', expected: 'the `sql` of sql.begin(async (sql) => …)' };

/** A `TransactionSql` of the package `postgres`. */
interface PostgresJsTransaction {
  unsafe(text: string, parameters: never): PromiseLike<readonly unknown[]>;
  savepoint(work: never): unknown;
}

/** Returns a transaction of postgres.js. A handle whose transaction has ended cannot be recognized. @publicApi */
export function fromPostgresJs(sql: PostgresJsTransaction): JobsTransaction {
  assertHandle(POSTGRES_JS, sql, 'unsafe');
  assertTransaction(POSTGRES_JS, typeof sql.savepoint === 'function', 'the client itself');
  return {
    ...POSTGRES_JS,
    handle: sql,
    query: async (text, params) => toRows(await sql.unsafe(text, [...params] as never)),
  };
}
