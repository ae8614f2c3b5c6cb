import type { SqlRow } from '../store/runtime/sql-runner.js';
import type { JobsTransaction } from '../core/jobs-transaction.js';
import type { AdaptedTransaction } from '../store/transactions/adapted-transactions.js';
import { assertHandle, assertTransaction, HAS_ENDED, returnsRows, splitAtParameters, toRows } from './adapter.js';

const DRIZZLE = { orm: 'Drizzle', expected: 'the `tx` of db.transaction((tx) => …)' };

/** Drizzle's own `sql`. */
interface DrizzleSql<Statement> {
  raw(text: string): Statement;
  join(chunks: never): Statement;
}

/** A transaction of Drizzle on PostgreSQL. */
interface DrizzlePostgresTransaction {
  execute(statement: never): PromiseLike<unknown>;
  rollback(): never;
}

/** A transaction of Drizzle on SQLite: synchronous with better-sqlite3, asynchronous with libSQL. */
interface DrizzleSqliteTransaction {
  all(statement: never): unknown;
  run(statement: never): unknown;
  rollback(): never;
}

/** What Drizzle keeps of better-sqlite3. */
interface HiddenSession {
  readonly session?: { readonly client?: { readonly inTransaction?: boolean } };
}

/**
 * Returns a transaction of Drizzle. With better-sqlite3 the transaction ends with its callback: call `enqueueTx` in the callback, and await its
 * promise after the transaction.
 *
 * @param sql imported from `drizzle-orm`.
 * @publicApi
 */
export function fromDrizzle<Statement>(
  tx: DrizzlePostgresTransaction | DrizzleSqliteTransaction,
  sql: DrizzleSql<Statement>,
): JobsTransaction {
  assertTransaction(
    { orm: 'Drizzle', expected: 'its own `sql` of drizzle-orm as the second argument' },
    typeof sql?.raw === 'function',
    'none',
  );
  const isSqlite = typeof (tx as Partial<DrizzleSqliteTransaction> | undefined)?.all === 'function';
  assertHandle(DRIZZLE, tx, isSqlite ? 'all' : 'execute');
  assertTransaction(DRIZZLE, typeof tx.rollback === 'function', 'the database itself');
  const build = (text: string, params: readonly unknown[]): never => toStatement(sql, text, params) as never;
  const adapted = isSqlite
    ? toSqlite(tx as DrizzleSqliteTransaction, build)
    : {
        query: async (text: string, params: readonly unknown[]) =>
          toRows(await (tx as DrizzlePostgresTransaction).execute(build(text, params))),
      };
  return { ...DRIZZLE, handle: tx, ...adapted };
}

type Build = (text: string, params: readonly unknown[]) => never;

function toSqlite(tx: DrizzleSqliteTransaction, build: Build): Pick<AdaptedTransaction, 'query' | 'querySync'> {
  const run = (text: string, params: readonly unknown[]): unknown =>
    returnsRows(text) ? tx.all(build(text, params)) : tx.run(build(text, params));
  const client = (tx as HiddenSession).session?.client;
  const querySync = (text: string, params: readonly unknown[]): readonly SqlRow[] => {
    // A read may come after the end: it changes nothing.
    const isRead = /^\s*SELECT\b/.test(text);
    assertTransaction(DRIZZLE, isRead || client?.inTransaction === true, `${HAS_ENDED}. ${SYNCHRONOUS}`);
    return toRows(run(text, params));
  };
  return {
    query: async (text, params) => toRows(await run(text, params)),
    querySync: typeof client?.inTransaction === 'boolean' ? querySync : undefined,
  };
}

const SYNCHRONOUS =
  'Transactions of better-sqlite3 are synchronous: call enqueueTx before the first await, and await its promise after the transaction';

/** Builds a statement from its text and its parameters: Drizzle numbers them itself. */
function toStatement<Statement>(sql: DrizzleSql<Statement>, text: string, params: readonly unknown[]): Statement {
  const { parts, order } = splitAtParameters(text);
  const chunks = parts.flatMap((part, index) =>
    index < order.length ? [sql.raw(part), params[order[index]!]] : [sql.raw(part)],
  );
  return sql.join(chunks as never);
}
