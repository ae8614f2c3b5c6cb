import { describeValue } from '../core/error-text.js';
import type { SqlRow } from '../store/runtime/sql-runner.js';
import type { AdaptedTransaction } from '../store/transactions/adapted-transactions.js';
import { toTransactionRefusal } from '../store/transactions/adapted-transactions.js';

/** How an adapter names its ORM, and the transaction that it takes. */
export type Orm = Pick<AdaptedTransaction, 'orm' | 'expected'>;

export const HAS_ENDED = 'one that has ended; await every queue call inside it';

/** @throws InvalidOptionsError when the value is not what the ORM passes to a transaction. @param got what it is instead. */
export function assertTransaction(orm: Orm, isTransaction: boolean, got: string): void {
  if (!isTransaction) {
    throw toTransactionRefusal(orm, got);
  }
}

/** @throws InvalidOptionsError for a value that is no object of the ORM. @param method one that the object has. */
export function assertHandle(orm: Orm, handle: unknown, method: string): void {
  const isHandle = (typeof handle === 'object' || typeof handle === 'function') && handle !== null;
  const hasMethod = isHandle && typeof (handle as Record<string, unknown>)[method] === 'function';
  assertTransaction(orm, hasMethod, describeValue(handle));
}

/** The rows of a result: a list of rows, or an object with one. A statement without rows may return something else. */
export function toRows(result: unknown): readonly SqlRow[] {
  const rows = Array.isArray(result) ? result : (result as { rows?: unknown } | null | undefined)?.rows;
  return Array.isArray(rows) ? (rows as SqlRow[]) : [];
}

/** Whether a statement returns rows. better-sqlite3 has a method of its own for those that do not. */
export function returnsRows(sql: string): boolean {
  return /\bRETURNING\b/.test(sql) || !/\b(INSERT|UPDATE|DELETE)\b/.test(sql);
}

/** Splits a statement at its parameters, `$1` or `?`. `order` has the index of the parameter after each part but the last. */
export function splitAtParameters(sql: string): {
  readonly parts: readonly string[];
  readonly order: readonly number[];
} {
  const found = [...sql.matchAll(/\$(\d+)|\?/g)];
  const order = found.map(([, number], index) => (number === undefined ? index : Number(number) - 1));
  return { parts: sql.split(/\$\d+|\?/), order };
}

/** Replaces `$1` by `?`, for ORMs that know no other form. */
export function toQuestionMarks(
  sql: string,
  params: readonly unknown[],
): { readonly text: string; readonly values: unknown[] } {
  const { parts, order } = splitAtParameters(sql);
  return { text: parts.join('?'), values: order.map((at) => params[at]) };
}
