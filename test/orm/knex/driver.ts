import knex from 'knex';
import { fromKnex } from 'nestjs-jobs/orm';
import type { OrmDriver } from '../support/orm-driver.js';
import { runAsync } from '../support/orm-driver.js';

export const driver: OrmDriver = {
  databases: ['postgres', 'sqlite'],
  knowsEnd: true,
  async open(database, url) {
    const db =
      database === 'postgres'
        ? knex({ client: 'pg', connection: url, pool: { max: 10 } })
        : knex({ client: 'better-sqlite3', connection: { filename: url }, useNullAsDefault: true });
    return {
      transact: (work, isRolledBack = false) =>
        runAsync(
          (run) =>
            db.transaction((trx) =>
              run({ adapt: () => fromKnex(trx), run: async (sql) => (await trx.raw(sql)) as unknown }),
            ),
          work,
          isRolledBack,
        ),
      adaptClient: () => fromKnex(db as never),
      close: () => db.destroy(),
    };
  },
};
