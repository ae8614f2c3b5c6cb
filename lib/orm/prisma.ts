import type { JobsTransaction } from '../core/jobs-transaction.js';
import { assertHandle, assertTransaction, toRows } from './adapter.js';

const PRISMA = { orm: 'Prisma', expected: 'the `tx` of prisma.$transaction(async (tx) => …)' };

/** A `Prisma.TransactionClient`. */
interface PrismaTransaction {
  $queryRawUnsafe(query: string, ...values: unknown[]): PromiseLike<unknown>;
}

/** Returns an interactive transaction of Prisma. @publicApi */
export function fromPrisma(tx: PrismaTransaction): JobsTransaction {
  assertHandle(PRISMA, tx, '$queryRawUnsafe');
  assertTransaction(PRISMA, (tx as { $connect?: unknown }).$connect === undefined, 'the PrismaClient itself');
  return {
    ...PRISMA,
    handle: tx,
    query: async (sql, params) => toRows(await tx.$queryRawUnsafe(sql, ...params)),
  };
}
