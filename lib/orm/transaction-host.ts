import { InvalidOptionsError } from '../core/errors.js';
import type { JobsTransaction } from '../core/jobs-transaction.js';
import { fromDrizzle } from './drizzle.js';
import { fromKnex } from './knex.js';
import { fromKysely } from './kysely.js';
import { fromMikroOrm } from './mikro-orm.js';
import { fromPrisma } from './prisma.js';

/** The `TransactionHost` of @nestjs-cls/transactional. */
interface TransactionHost {
  /** The transaction object of the ORM. */
  readonly tx: unknown;
  isTransactionActive(): boolean;
}

type DrizzleSql = Parameters<typeof fromDrizzle>[1];

/**
 * Returns the ambient transaction of `@Transactional()`.
 *
 * @param sql imported from `drizzle-orm`; only Drizzle needs it.
 * @publicApi
 */
export function fromTransactionHost(host: TransactionHost, sql?: DrizzleSql): JobsTransaction {
  if (typeof host?.isTransactionActive !== 'function' || !host.isTransactionActive()) {
    throw new InvalidOptionsError(
      'tx',
      'TransactionHost: expected one inside a method with @Transactional() or inside withTransaction(), got one without an open transaction',
    );
  }
  const tx = host.tx as never;
  const adapt = ADAPTERS.find(({ method }) => typeof tx[method] === 'function')?.adapt;
  if (!adapt) {
    throw new InvalidOptionsError(
      'tx',
      'TransactionHost: expected a transaction of Prisma, Kysely, Knex, MikroORM or Drizzle, got another; write an object of the ' +
        'type JobsTransaction for it, and pass that of TypeORM itself: host.tx',
    );
  }
  return adapt(tx, sql as DrizzleSql);
}

/** Tells the ORMs apart by a method that only their transactions have. */
const ADAPTERS: readonly { method: string; adapt: (tx: never, sql: DrizzleSql) => JobsTransaction }[] = [
  { method: '$queryRawUnsafe', adapt: fromPrisma },
  { method: 'withoutPlugins', adapt: fromKysely },
  { method: 'isCompleted', adapt: fromKnex },
  { method: 'isInTransaction', adapt: fromMikroOrm },
  { method: 'rollback', adapt: fromDrizzle },
];
