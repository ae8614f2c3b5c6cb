import Database from 'better-sqlite3';
import { eq, sql } from 'drizzle-orm';
import { drizzle as openSqlite } from 'drizzle-orm/better-sqlite3';
import { drizzle as openPostgres } from 'drizzle-orm/node-postgres';
import * as pg from 'drizzle-orm/pg-core';
import * as sqlite from 'drizzle-orm/sqlite-core';
import type { JobsTransaction } from 'nestjs-jobs';
import { fromDrizzle } from 'nestjs-jobs/orm';
import { openPool } from '../support/open-pool.js';
import type { OpenOrm, OrmDriver } from '../support/orm-driver.js';
import { RolledBack, runAsync } from '../support/orm-driver.js';

const pgOrders = pg.pgTable('orders', {
  id: pg.serial().primaryKey(),
  item: pg.text(),
  status: pg.text().default('new'),
});
const sqliteOrders = sqlite.sqliteTable('orders', {
  id: sqlite.integer().primaryKey(),
  item: sqlite.text(),
  status: sqlite.text().default('new'),
});

export const driver: OrmDriver = {
  databases: ['postgres', 'sqlite'],
  isSynchronous: true,
  knowsEnd: false,
  open: async (database, url) => (database === 'postgres' ? onPostgres(url) : onSqlite(url)),
};

function onPostgres(url: string): OpenOrm {
  const pool = openPool(url);
  const db = openPostgres(pool);
  return {
    transact: (work, isRolledBack = false) =>
      runAsync(
        (run) =>
          db.transaction((tx) =>
            run({ adapt: () => fromDrizzle(tx, sql), run: async (text) => tx.execute(sql.raw(text)) }),
          ),
        work,
        isRolledBack,
      ),
    adaptClient: () => fromDrizzle(db as never, sql),
    guideNames: { db, sql, eq, orders: pgOrders },
    close: () => pool.end(),
  };
}

function onSqlite(path: string): OpenOrm {
  const file = new Database(path);
  const db = openSqlite(file);
  return {
    async transact<T>(
      work: (tx: { adapt(): JobsTransaction; run(text: string): Promise<unknown> }) => Promise<T>,
      isRolledBack = false,
    ) {
      let value!: Promise<T>;
      try {
        db.transaction((tx) => {
          // Only what runs before the first await is inside.
          value = work({ adapt: () => fromDrizzle(tx, sql), run: async (text) => tx.run(sql.raw(text)) });
          if (isRolledBack) throw new RolledBack();
        });
      } catch (error) {
        if (!(error instanceof RolledBack)) throw error;
      }
      return value;
    },
    adaptClient: () => fromDrizzle(db as never, sql),
    guideNames: { sqliteDb: db, sql, orders: sqliteOrders },
    close: async () => void file.close(),
  };
}
