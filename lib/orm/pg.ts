import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, toRows } from './adapter.js';

const PG = { orm: 'pg', expected: 'a connected client after BEGIN' };

/** A `pg.Client`, or a client of a `pg.Pool`. */
interface PgClient {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
}

/** What clients tell since pg 8.19: `I` for idle, `T` in a transaction, `E` in one that has failed. */
interface WithStatus {
  getTransactionStatus?(): string | null;
}

/**
 * Returns the transaction that a client of `pg` has begun.
 *
 * @example
 * await client.query('BEGIN');
 * await jobs.enqueueTx(fromPg(client), 'send_mail', { to });
 * await client.query('COMMIT');
 *
 * @publicApi
 */
export function fromPg(client: PgClient): JobsTransaction {
  assertHandle(PG, client, 'query');
  assertTransaction(PG, !('totalCount' in client), 'the pool; take a client with pool.connect()');
  assertTransaction(
    PG,
    typeof (client as WithStatus).getTransactionStatus === 'function',
    'one that does not tell whether a transaction is open; clients of pg 8.19 and newer do',
  );
  const assertOpen = (): void => {
    const status = (client as WithStatus).getTransactionStatus!();
    assertTransaction(PG, status !== 'I', 'a client without an open transaction');
  };
  return {
    ...PG,
    handle: client,
    async query(sql, params) {
      assertOpen();
      return toRows(await client.query(sql, [...params]));
    },
  };
}
