import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, HAS_ENDED, toRows } from './adapter.js';

const SEQUELIZE = { orm: 'Sequelize', expected: 'the transaction `t` of sequelize.transaction(async (t) => …)' };

interface QueryOptions {
  readonly bind: readonly unknown[];
  readonly transaction: never;
  readonly type: 'SELECT';
  readonly raw: true;
}

interface SequelizeInstance {
  query(sql: string, options: QueryOptions): Promise<unknown>;
}

/** A `Transaction` of Sequelize. Its types hide the members that tell its instance, parent and state. */
interface SequelizeTransaction {
  readonly afterCommit: unknown;
  commit(): Promise<void>;
}

interface HiddenMembers {
  readonly sequelize: SequelizeInstance;
  /** The transaction around a savepoint. */
  readonly parent?: object | null;
  readonly finished?: string;
}

/** Returns a transaction of Sequelize, on PostgreSQL. @publicApi */
export function fromSequelize(t: SequelizeTransaction): JobsTransaction {
  assertHandle(SEQUELIZE, t, 'afterCommit');
  const hidden = t as unknown as HiddenMembers;
  return {
    ...SEQUELIZE,
    handle: t,
    async query(sql, bind) {
      assertTransaction(SEQUELIZE, hidden.finished === undefined, HAS_ENDED);
      return toRows(await hidden.sequelize.query(sql, { bind, transaction: t as never, type: 'SELECT', raw: true }));
    },
  };
}
