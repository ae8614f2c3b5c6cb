/*
 * orm/: transactions of other ORMs than TypeORM. In: the transaction object of an ORM. Out: a `JobsTransaction`, which `enqueueTx`,
 * `completeTx` and the option `tx` accept. Types are structural, so that no ORM is a dependency.
 */
export { fromDrizzle } from './drizzle.js';
export { fromKnex } from './knex.js';
export { fromKysely } from './kysely.js';
export { fromMikroOrm } from './mikro-orm.js';
export { fromPg } from './pg.js';
export { fromPostgresJs } from './postgres-js.js';
export { fromPrisma } from './prisma.js';
export { fromSequelize } from './sequelize.js';
export { fromTransactionHost } from './transaction-host.js';
export type { JobsTransaction } from '../core/jobs-transaction.js';
