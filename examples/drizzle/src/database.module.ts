import { Injectable, Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { Pool } from 'pg';

/** What Drizzle passes to the callback of `db.transaction`. */
export type Transaction = Parameters<Parameters<Database['db']['transaction']>[0]>[0];

@Injectable()
export class Database implements OnModuleInit, OnApplicationShutdown {
  // Each transactional handler holds a connection, and requests need some too: more than `concurrency` in app.module.ts.
  private readonly pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 15 });
  readonly db = drizzle(this.pool);

  async onModuleInit(): Promise<void> {
    await migrate(this.db, { migrationsFolder: 'migrations' });
  }

  // Not in onModuleDestroy: handlers that still run finish before this hook, and need the pool until then.
  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}

@Module({ providers: [Database], exports: [Database] })
export class DatabaseModule {}
