// What the fragments of guide/your-orm.md take for granted: the clients of ORMs that the repository does not install, as far as the page
// uses them. test/orm/ runs the adapters with the ORMs themselves.
import type * as Jobs from 'nestjs-jobs';
import type * as Orm from 'nestjs-jobs/orm';
import type { PoolClient } from 'pg';
import type { PrismaClient } from './generated/prisma/client.js';
import type { Order as OrderEntity } from './order.entity.js';

interface StoredOrder {
  id: number;
  item: string;
  status: string;
}

type Work<Tx> = <T>(work: (tx: Tx) => Promise<T>) => Promise<T>;
type NewOrder = Pick<StoredOrder, 'item'>;
type Where = { readonly where: object };

/** Columns and conditions of Drizzle. */
interface Statement<Row> extends PromiseLike<Row[]> {
  returning(): Statement<Row>;
  where(condition: object): Statement<Row>;
  get(): Row;
}
interface DrizzleQueries {
  insert(table: object): { values(order: NewOrder): Statement<StoredOrder> };
  update(table: object): { set(values: Partial<StoredOrder>): Statement<StoredOrder> };
  rollback(): never;
}
interface DrizzlePostgres extends DrizzleQueries {
  execute(statement: { readonly queryChunks: unknown[] }): Promise<{ rows: unknown[] }>;
}
interface DrizzleSqlite extends DrizzleQueries {
  all(statement: { readonly queryChunks: unknown[] }): unknown[];
  run(statement: { readonly queryChunks: unknown[] }): unknown;
}

interface KyselyQuery {
  values(order: NewOrder): KyselyQuery;
  set(values: Partial<StoredOrder>): KyselyQuery;
  where(column: string, operator: '=', value: unknown): KyselyQuery;
  returning(column: 'id'): KyselyQuery;
  execute(): Promise<unknown>;
  executeTakeFirstOrThrow(): Promise<StoredOrder>;
}
interface KyselyTransaction extends Pick<Parameters<typeof Orm.fromKysely>[0], 'isTransaction' | 'withoutPlugins'> {
  insertInto(table: 'orders'): KyselyQuery;
  updateTable(table: 'orders'): KyselyQuery;
}

interface KnexTransaction extends Pick<
  Parameters<typeof Orm.fromKnex>[0],
  'isTransaction' | 'executionPromise' | 'isCompleted' | 'raw' | 'on'
> {
  (table: string): {
    insert(order: NewOrder): { returning(column: 'id'): Promise<StoredOrder[]> };
    where(order: object): { update(values: Partial<StoredOrder>): Promise<number> };
  };
}

interface MikroOrmManager extends Pick<
  Parameters<typeof Orm.fromMikroOrm>[0],
  'isInTransaction' | 'getTransactionContext' | 'getConnection'
> {
  transactional: Work<MikroOrmManager>;
  create(entity: typeof OrderEntity, order: NewOrder): StoredOrder;
  flush(): Promise<void>;
  nativeUpdate(entity: typeof OrderEntity, where: object, values: Partial<StoredOrder>): Promise<number>;
}

type SequelizeTransaction = Parameters<typeof Orm.fromSequelize>[0];
interface WithTransaction {
  readonly transaction: SequelizeTransaction;
}

interface PostgresTransaction extends Pick<Parameters<typeof Orm.fromPostgresJs>[0], 'unsafe' | 'savepoint'> {
  (text: TemplateStringsArray, ...values: unknown[]): Promise<StoredOrder[]>;
}

declare global {
  const item: string;
  const job: Jobs.JobContext<{ orderId: number }>;

  const fromPrisma: typeof Orm.fromPrisma;
  const fromDrizzle: typeof Orm.fromDrizzle;
  const fromKysely: typeof Orm.fromKysely;
  const fromKnex: typeof Orm.fromKnex;
  const fromMikroOrm: typeof Orm.fromMikroOrm;
  const fromSequelize: typeof Orm.fromSequelize;
  const fromPg: typeof Orm.fromPg;
  const fromPostgresJs: typeof Orm.fromPostgresJs;
  const fromTransactionHost: typeof Orm.fromTransactionHost;

  const prisma: PrismaClient;
  const db: { transaction: Work<DrizzlePostgres> };
  const sqliteDb: { transaction<T>(work: (tx: DrizzleSqlite) => T): T };
  const orders: { readonly id: object };
  const eq: (column: object, value: unknown) => object;
  const sql: Record<'raw' | 'join', (of: never) => { readonly queryChunks: unknown[] }>;
  const kysely: { transaction(): { execute: Work<KyselyTransaction> } };
  const knex: { transaction: Work<KnexTransaction> };
  const em: MikroOrmManager;
  const sequelize: { transaction: Work<SequelizeTransaction> };
  const OrderModel: {
    create(order: NewOrder, options: WithTransaction): Promise<StoredOrder>;
    update(values: Partial<StoredOrder>, options: Where & WithTransaction): Promise<unknown>;
  };
  const transact: Work<PoolClient>;
  const postgres: { begin: Work<PostgresTransaction> };
  const host: Parameters<typeof Orm.fromTransactionHost>[0] & {
    readonly tx: PrismaClient;
    withTransaction<T>(work: () => Promise<T>): Promise<T>;
  };
}
