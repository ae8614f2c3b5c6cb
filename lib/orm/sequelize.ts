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
  afterCommit(listener: () => void): void;
  commit(): Promise<void>;
}

interface HiddenMembers {
  readonly sequelize: SequelizeInstance;
  /** The transaction around a savepoint. */
  readonly parent?: (SequelizeTransaction & HiddenMembers) | null;
  readonly finished?: string;
  readonly connection?: { readonly _ending?: boolean };
}

/** Returns a transaction of Sequelize, on PostgreSQL. @publicApi */
export function fromSequelize(t: SequelizeTransaction): JobsTransaction {
  assertHandle(SEQUELIZE, t, 'afterCommit');
  const hidden = t as SequelizeTransaction & HiddenMembers;
  return {
    ...SEQUELIZE,
    handle: t,
    async query(sql, bind) {
      assertTransaction(SEQUELIZE, hidden.finished === undefined, HAS_ENDED);
      return toRows(await hidden.sequelize.query(sql, { bind, transaction: t as never, type: 'SELECT', raw: true }));
    },
    onEnd: (listener) => listenToCommit(hidden, listener),
  };
}

/** Sequelize releases no savepoint: it is committed with the transaction around it. A rollback is not reported. */
function listenToCommit(t: SequelizeTransaction & HiddenMembers, listener: (committed: boolean) => void): void {
  const levels = [t];
  for (let outer = t.parent; outer; outer = outer.parent) {
    levels.push(outer);
  }
  const outermost = levels.at(-1)!;
  outermost.afterCommit(() => {
    // It is also called after a COMMIT that has failed, when Sequelize has closed the connection.
    const hasFailed = outermost.connection?._ending === true;
    listener(!hasFailed && levels.every(({ finished }) => finished === 'commit'));
  });
}
