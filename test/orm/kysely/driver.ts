import Database from 'better-sqlite3';
import { CamelCasePlugin, CompiledQuery, Kysely, PostgresDialect, SqliteDialect } from 'kysely';
import { fromKysely } from 'nestjs-jobs/orm';
import { openPool } from '../support/open-pool.js';
import type { OrmDriver } from '../support/orm-driver.js';
import { runAsync } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres', 'sqlite'],
  knowsEnd: true,
  async open(database, url) {
    const dialect =
      database === 'postgres'
        ? new PostgresDialect({ pool: openPool(url) })
        : new SqliteDialect({ database: new Database(url) });
    // A plugin that renames columns must not reach the queue's statements.
    const db = new Kysely<object>({ dialect, plugins: [new CamelCasePlugin()] });
    return {
      transact: (work, isRolledBack = false) =>
        runAsync(
          (run) =>
            db
              .transaction()
              .execute((trx) =>
                run({ adapt: () => fromKysely(trx), run: (sql) => trx.executeQuery(CompiledQuery.raw(sql)) }),
              ),
          work,
          isRolledBack,
        ),
      adaptClient: () => fromKysely(db),
      guideNames: { kysely: db },
      close: () => db.destroy(),
    };
  },
};
