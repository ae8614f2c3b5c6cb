import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, toQuestionMarks, toRows } from './adapter.js';

const MIKRO_ORM = { orm: 'MikroORM', expected: 'the `em` of em.transactional(async (em) => …)' };

/** An `EntityManager` of MikroORM's SQL drivers. */
interface MikroOrmManager {
  isInTransaction(): boolean;
  getTransactionContext(): unknown;
  getConnection(): {
    execute(sql: string, params: unknown[], method: 'all', context: never): Promise<unknown>;
  };
}

/** Returns the transaction of a fork of MikroORM. @publicApi */
export function fromMikroOrm(em: MikroOrmManager): JobsTransaction {
  assertHandle(MIKRO_ORM, em, 'isInTransaction');
  return {
    ...MIKRO_ORM,
    handle: em,
    async query(sql, params) {
      assertTransaction(MIKRO_ORM, em.isInTransaction(), 'one without an open transaction');
      const { text, values } = toQuestionMarks(sql, params);
      return toRows(await em.getConnection().execute(text, values, 'all', em.getTransactionContext() as never));
    },
  };
}
