import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import { PrismaPg } from '@prisma/adapter-pg';
import { fromPrisma } from 'nestjs-jobs/orm';
import type { OrmDriver } from '../support/orm-driver.js';
import { POOL_SIZE, runAsync } from '../support/orm-driver.js';
import { PrismaClient as PostgresClient } from './generated/postgres';
import { PrismaClient as SqliteClient } from './generated/sqlite';

export const driver: OrmDriver = {
  databases: ['postgres', 'sqlite'],
  knowsEnd: true,
  async open(database, url) {
    const prisma =
      database === 'postgres'
        ? new PostgresClient({ adapter: new PrismaPg({ connectionString: url, max: POOL_SIZE }) })
        : (new SqliteClient({ adapter: new PrismaBetterSqlite3({ url: `file:${url}` }) }) as unknown as PostgresClient);
    return {
      transact: (work, isRolledBack = false, timeoutMs = 60_000) =>
        runAsync(
          (run) =>
            prisma.$transaction(
              (tx) => run({ adapt: () => fromPrisma(tx), run: async (sql) => tx.$executeRawUnsafe(sql) }),
              { maxWait: 60_000, timeout: timeoutMs },
            ),
          work,
          isRolledBack,
        ),
      adaptClient: () => fromPrisma(prisma),
      guideNames: { prisma },
      close: () => prisma.$disconnect(),
    };
  },
};
